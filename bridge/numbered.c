/* The talk with a consumer (bridge/PROTOCOL.md, "Numbered clients"): hello, welcome, start, frames,
 * acknowledgements.
 *
 * Frames are read from the spool only when the last piece has gone to the kernel, so a consumer that does not
 * read costs one piece of memory and nobody's time.
 */
#include "base/number.h"
#include "bridge/bridge_parts.h"

#include <stdio.h>
#include <string.h>

/* Without telling by the time it takes how many characters were right. */
static bool same_token(struct view given, const char *token)
{
    size_t length = strlen(token);
    unsigned difference = given.length == length ? 0 : 1;
    for (size_t i = 0; i < length; i++) {
        difference |=
            (unsigned)(unsigned char)token[i] ^ (unsigned)(unsigned char)(i < given.length ? given.at[i] : 0);
    }
    return difference == 0;
}

struct view numbered_word(struct view *rest)
{
    const char *space = rest->length ? memchr(rest->at, ' ', rest->length) : NULL;
    struct view word = view_make(rest->at, space ? (size_t)(space - rest->at) : rest->length);
    *rest = view_from(*rest, word.length + (space ? 1 : 0));
    return word;
}

struct hello { /* of a consumer, or of somebody who wants one forgotten: one of the two names */
    struct view consumer, forget, token;
};

static bool read_hello(struct peer *p, struct view line, struct hello *hello)
{
    *hello = (struct hello){{0}, {0}, {0}};
    struct view rest = view_from(line, strlen("roost "));
    struct view version = numbered_word(&rest);
    if (!view_is(version, "1")) {
        peer_refuse(p, true, "this bridge speaks version 1 of the protocol, not %.*s", VIEW_PRINT(version));
        return false;
    }
    while (rest.length) {
        struct view word = numbered_word(&rest);
        if (view_starts(word, VIEW("consumer=")) && !hello->consumer.at && !hello->forget.at) {
            hello->consumer = view_from(word, strlen("consumer="));
        } else if (view_starts(word, VIEW("forget=")) && !hello->consumer.at && !hello->forget.at) {
            hello->forget = view_from(word, strlen("forget="));
        } else if (view_starts(word, VIEW("token=")) && !hello->token.at) {
            hello->token = view_from(word, strlen("token="));
        } else {
            peer_refuse(p, true, "the hello is \"roost 1 consumer=NAME token=TOKEN\", or forget=NAME");
            return false;
        }
    }
    if (!frame_consumer_name(hello->forget.at ? hello->forget : hello->consumer)) {
        peer_refuse(p, true, "a consumer's name has 1 to 63 of a-z A-Z 0-9 _ - .");
        return false;
    }
    return true;
}

static bool may_acknowledge(struct peer *p, struct view token)
{
    if (token.at ? same_token(token, spool_token(p->bridge->spool)) : p->same_user) {
        return true;
    }
    peer_refuse(p, true, "%s; it is in the file token of the bridge's spool_dir",
                token.at ? "the token is wrong" : "a consumer needs the bridge's token");
    return false;
}

static const struct peer *find_consumer(const struct bridge *b, struct view name)
{
    for (const struct peer *p = b->peers; p; p = p->next) {
        if ((p->state == PEER_WELCOMED || p->state == PEER_NUMBERED) && view_is(name, p->consumer)) {
            return p;
        }
    }
    return NULL;
}

/* The whole talk of a client that wants a consumer forgotten: one answer, and the end. */
static void take_forget(struct peer *p, struct view forget)
{
    struct bridge *b = p->bridge;
    char name[sizeof p->consumer];
    struct err e;
    snprintf(name, sizeof name, "%.*s", VIEW_PRINT(forget));
    if (b->closing) {
        peer_refuse(p, false, "the bridge is closing");
        return;
    }
    if (spool_forget_consumer(b->spool, name, &e)) {
        peer_refuse(p, e.kind != ERR_RETRY, "%s", e.text);
        return;
    }
    log_notice(&bridge_log, "consumer %s is forgotten, as %s asked: nothing is kept for it any more", name,
               p->place);
    peer_leave(p, "ok forgotten");
}

static void take_hello(struct peer *p, struct view line)
{
    struct bridge *b = p->bridge;
    struct hello hello;
    struct err e;
    if (!read_hello(p, line, &hello) || !may_acknowledge(p, hello.token)) {
        return;
    }
    const struct peer *other = find_consumer(b, hello.forget.at ? hello.forget : hello.consumer);
    if (other) {
        peer_refuse(p, false, "the consumer %s is connected%s, from %s", other->consumer,
                    hello.forget.at ? "" : " already", other->place);
        return;
    }
    if (hello.forget.at) {
        take_forget(p, hello.forget);
        return;
    }
    if (b->numbers.numbered_clients >= PEER_NUMBERED_MAXIMUM || b->closing) {
        peer_refuse(p, false, b->closing ? "the bridge is closing" : "too many consumers are connected");
        return;
    }
    char name[sizeof p->consumer];
    snprintf(name, sizeof name, "%.*s", VIEW_PRINT(hello.consumer));
    if (spool_add_consumer(b->spool, name, &e)) {
        peer_refuse(p, e.kind == ERR_FATAL, "%s", e.text);
        return;
    }
    memcpy(p->consumer, name, sizeof name);
    p->state = PEER_WELCOMED;
    b->numbers.numbered_clients++;
    peer_set_deadline(p, PEER_START_MS);
    log_info(&bridge_log, "client %s is consumer %s", p->place, p->consumer);
    uint64_t held = spool_held(b->spool), first = spool_first(b->spool);
    buffer_print(&p->filling, "ok spool=%s first=%llu held=%llu marker=%.*s\n", spool_identity(b->spool),
                 (unsigned long long)(first > held ? held + 1 : first), (unsigned long long)held,
                 VIEW_PRINT(b->marker));
    bridge_first_client(b);
    peer_flush(p);
}

/* The identity that all connected consumers were told has ended. */
static void send_away_all(struct bridge *b)
{
    for (struct peer *p = b->peers; p; p = p->next) {
        if (p->state == PEER_WELCOMED || p->state == PEER_NUMBERED) {
            peer_refuse(p, false, "the spool has a new identity: connect again");
        }
    }
}

struct start {
    uint64_t from;
    struct view gone; /* the identity of a spool that the consumer finds no more; absent: none */
    uint64_t had;     /* of that spool */
};

static bool read_gone(struct view word, struct start *start)
{
    const size_t digits = SPOOL_IDENTITY_SIZE - 1;
    struct view text = view_from(word, strlen("after="));
    if (!view_starts(word, VIEW("after=")) || text.length < digits + 2 || text.at[digits] != ':') {
        return false;
    }
    start->gone = view_make(text.at, digits);
    for (size_t i = 0; i < digits; i++) {
        if (!strchr("0123456789abcdef", text.at[i]) || !text.at[i]) {
            return false;
        }
    }
    return number_parse_unsigned(view_from(text, digits + 1), &start->had) == 0 && start->had;
}

static bool read_start(struct view line, struct start *start)
{
    *start = (struct start){.gone = view_none()};
    struct view rest = line;
    return view_is(numbered_word(&rest), "start") &&
           number_parse_unsigned(numbered_word(&rest), &start->from) == 0 && start->from &&
           (!rest.length || read_gone(rest, start));
}

/* This consumer knew another spool, and nobody here knows of that but by the consumer. */
static void note_gone(struct peer *p, const struct start *start)
{
    struct bridge *b = p->bridge;
    struct bridge_gone gone = {.had = start->had};
    char text[400];
    if (view_absent(start->gone) || view_is(start->gone, spool_identity(b->spool)) ||
        view_is(start->gone, spool_identity_before(b->spool))) {
        return;
    }
    snprintf(gone.consumer, sizeof gone.consumer, "%s", p->consumer);
    snprintf(gone.spool, sizeof gone.spool, "%.*s", VIEW_PRINT(start->gone));
    snprintf(
        text, sizeof text,
        "consumer %s read spool %s up to frame %llu before, and this bridge has spool %s: what the former "
        "held behind that frame is not here, unless the latter is a copy of it",
        gone.consumer, gone.spool, (unsigned long long)gone.had, spool_identity(b->spool));
    bridge_note_gone(b, &gone, text);
}

static void take_start(struct peer *p, struct view line)
{
    struct bridge *b = p->bridge;
    struct err e;
    struct start start;
    if (!read_start(line, &start)) {
        peer_refuse(p, true, "after the welcome comes \"start SEQUENCE\", from 1");
        return;
    }
    uint64_t from = start.from, acknowledged = 0;
    uint64_t held = spool_held(b->spool);
    if (from > held + 1) {
        log_error(&bridge_log, "consumer %s asks for frame %llu, but the spool ends at %llu", p->consumer,
                  (unsigned long long)from, (unsigned long long)held);
        if (spool_renew(b->spool, &e)) {
            peer_refuse(p, false, "%s", e.text);
            return;
        }
        send_away_all(b);
        return;
    }
    uint64_t first = spool_first(b->spool);
    spool_acknowledged(b->spool, p->consumer, &acknowledged);
    if (from <= acknowledged) {
        spool_rewind(b->spool, p->consumer, from - 1);
    }
    log_info(&bridge_log, "consumer %s starts at %llu; the spool has %llu to %llu", p->consumer,
             (unsigned long long)from, (unsigned long long)first, (unsigned long long)held);
    if (from < first) {
        log_warning(&bridge_log, "frames %llu to %llu are not kept any more: consumer %s does not get them",
                    (unsigned long long)from, (unsigned long long)(first - 1), p->consumer);
    }
    p->cursor = spool_read_from(b->spool, from, &e);
    if (!p->cursor) {
        peer_refuse(p, false, "%s", e.text);
        return;
    }
    p->state = PEER_NUMBERED;
    peer_set_deadline(p, 0);
    note_gone(p, &start);
    numbered_pump(p);
}

static void take_acknowledgement(struct peer *p, struct view line)
{
    uint64_t sequence;
    if (!view_starts(line, VIEW("ack ")) ||
        number_parse_unsigned(view_from(line, strlen("ack ")), &sequence)) {
        peer_refuse(p, true, "a consumer that has started sends \"ack SEQUENCE\" and nothing else");
        return;
    }
    if (sequence > p->sent) {
        peer_refuse(p, true, "it acknowledged frame %llu, but was sent only up to %llu on this connection",
                    (unsigned long long)sequence, (unsigned long long)p->sent);
        return;
    }
    if (sequence > p->committed) {
        p->committed = sequence;
        spool_acknowledge(p->bridge->spool, p->consumer, sequence);
    }
}

void numbered_line(struct peer *p, struct view line)
{
    if (line.length && line.at[line.length - 1] == '\r') {
        line.length--; /* nc -C, telnet */
    }
    switch (p->state) {
    case PEER_HELLO:
        take_hello(p, line);
        return;
    case PEER_WELCOMED:
        take_start(p, line);
        return;
    default:
        take_acknowledgement(p, line);
    }
}

void numbered_pump(struct peer *p)
{
    struct bridge *b = p->bridge;
    struct err e;
    if (p->state != PEER_NUMBERED || p->writing) {
        return;
    }
    int found = 1;
    while (p->filling.length < NUMBERED_PIECE) {
        struct spool_frame frame;
        found = spool_next(p->cursor, &frame, &e);
        if (found <= 0) {
            break;
        }
        frame_write_head(&p->filling,
                         &(struct frame_head){frame.sequence, frame.payload.length, frame.checksum});
        buffer_add_view(&p->filling, frame.payload);
        frame_write_end(&p->filling, b->marker);
        p->sent = frame.sequence;
    }
    if (found < 0 || buffer_failed(&p->filling)) {
        /* A frame that is only partly in the buffer would be a lie about the stream: the connection ends
         * instead. */
        log_error(&bridge_log, "consumer %s: %s", p->consumer, found < 0 ? e.text : "out of memory");
        peer_refuse(p, false, "%s", found < 0 ? e.text : "out of memory");
        return;
    }
    peer_flush(p);
}

bool numbered_done(const struct peer *p)
{
    return p->state != PEER_NUMBERED || (!p->writing && !p->filling.length);
}
