#include "etl/receiver.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/watchdog.h"
#include "base/wipe.h"
#include "bridge/address.h"
#include "bridge/client.h"
#include "bridge/gap.h"
#include "etl/thread.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CONNECT_MS = 5000,
    READ_MS = 100,
    BACK_OFF_FIRST_MS = 100,
    BACK_OFF_MOST_MS = 5000,
    TOKEN_MAXIMUM = 4096
};

struct frame_head {
    uint64_t sequence;
};

struct receiver {
    struct receiver_settings settings;
    struct log_context log;
    bool unix_socket;
    bool away;                         /* said so */
    uint64_t had;                      /* up to here this connection brings nothing new */
    uint64_t gone_from, gone_to;       /* frames that are missing and not told yet; 0: none */
    char before[BRIDGE_SPOOL_ID_SIZE]; /* the spool read before this one; "": none, or told */
    uint64_t before_had;               /* of it */

    pthread_mutex_t lock; /* guards all below, for acknowledgements and interrupts from other threads */
    struct bridge_client *client;
    char *token; /* what the client was made with; NULL: none */
    bool connected, interrupted;
    char spool[BRIDGE_SPOOL_ID_SIZE];
    uint64_t last;      /* stored last of that spool; 0: none in this run */
    uint64_t read_here; /* read last on this connection: the most that may be acknowledged on it */
    uint64_t committed; /* of that spool */
    bool owed;          /* `committed` has not been said on this connection */
    int64_t since;      /* `connected` is as it is; wall time */
    int64_t error_at;
    char error[300];
};

struct receiver *receiver_new(const struct receiver_settings *settings, struct err *e)
{
    struct address address;
    if (address_parse(settings->address, &address, e) != 0) {
        err_wrap(e, "the bridge's address %s", settings->address);
        return NULL;
    }
    struct receiver *r = calloc(1, sizeof *r);
    if (!r) {
        err_set(e, ERR_RETRY, "out of memory for a receiver");
        return NULL;
    }
    r->settings = *settings;
    r->log = (struct log_context){"etl", settings->address};
    r->unix_socket = address_port(&address) == 0;
    r->since = clock_wall_ms();
    r->error_at = CLOCK_NONE;
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

void receiver_free(struct receiver *r)
{
    if (r) {
        bridge_client_free(r->client);
        wipe_string(r->token);
        pthread_mutex_destroy(&r->lock);
        free(r);
    }
}

/* ---- connecting ---- */

/* The token to use now, on the heap; NULL with result 0: none is needed. */
static int find_token(const struct receiver *r, char **token, struct err *e)
{
    *token = NULL;
    struct view found = view_of(r->settings.token);
    struct buffer text = BUFFER(TOKEN_MAXIMUM);
    if (view_absent(found) && r->settings.token_file) {
        if (access(r->settings.token_file, F_OK) == 0 && file_read(r->settings.token_file, &text, e) == 0) {
            found = view_trim(buffer_view(&text));
        }
    }
    int result = 0;
    if (!view_absent(found)) {
        *token = view_copy(found);
        result = *token ? 0 : err_set(e, ERR_RETRY, "out of memory for the bridge's token");
    } else if (!r->unix_socket) {
        result = err_set(
            e, ERR_RETRY,
            "the bridge's token cannot be read (%s): roost listen makes it when it first starts; where its "
            "spool_dir is not readable for this user, [etl] needs bridge_token_file",
            r->settings.token_file ? r->settings.token_file : "no file is known");
    }
    wipe_buffer(&text);
    return result;
}

/* Has a client with the token of now. */
static int prepare_client(struct receiver *r, struct err *e)
{
    char *token;
    if (find_token(r, &token, e) != 0) {
        return -1;
    }
    if (r->client && view_equal(view_of(token), view_of(r->token))) {
        wipe_string(token);
        return 0;
    }
    const struct bridge_client_settings settings = {r->settings.address, r->settings.consumer, token};
    struct bridge_client *client = bridge_client_new(&settings, e);
    if (!client) {
        wipe_string(token);
        return -1;
    }
    pthread_mutex_lock(&r->lock);
    struct bridge_client *old = r->client;
    char *old_token = r->token;
    r->client = client;
    r->token = token;
    if (r->interrupted) {
        bridge_client_interrupt(client);
    }
    pthread_mutex_unlock(&r->lock);
    bridge_client_free(old);
    wipe_string(old_token);
    return 0;
}

/* Frames that the sinks lack and the bridge has no more: an error line, and a gap for the next batch. */
static void note_gone(struct receiver *r, const char *spool, uint64_t from, uint64_t next)
{
    r->gone_from = from;
    r->gone_to = next - 1;
    log_error(&r->log,
              "the frames %" PRIu64 " to %" PRIu64
              " of spool %s are no longer kept by the bridge and are not in the "
              "sinks: going on at %" PRIu64,
              from, next - 1, spool, next);
}

/* Behind frame `had`, but with that frame once more where it is still kept: the bridge takes an
 * acknowledgement only of what this connection was sent, and with the spool full nothing new comes until
 * something is acknowledged. store() drops what was had. */
static uint64_t start_behind(struct receiver *r, const struct bridge_welcome *welcome, uint64_t had)
{
    r->had = had;
    return had >= welcome->first && had <= welcome->held && had > 0 ? had : had + 1;
}

/* The first spool of this run, of which no sink has anything: which one the sinks have something of. Names
 * that no bridge gives are passed over. */
static int ask_before(struct receiver *r, const struct bridge_welcome *welcome, struct err *e)
{
    struct sink_latest latest;
    if (r->settings.latest(r->settings.user, view_of(welcome->spool), &latest, e) != 0) {
        return -1;
    }
    if (latest.sequence > 0 && strcmp(latest.spool, welcome->spool) != 0 &&
        strspn(latest.spool, "0123456789abcdef") == sizeof r->before - 1) {
        memcpy(r->before, latest.spool, sizeof r->before);
        r->before_had = latest.sequence;
    }
    return 0;
}

/* Where to go on: behind what was stored, or what the sinks have. */
static int find_start(struct receiver *r, const struct bridge_welcome *welcome, uint64_t *from, struct err *e)
{
    bool same = strcmp(welcome->spool, r->spool) == 0;
    r->gone_from = r->gone_to = 0;
    if (same && r->last > 0) {
        *from = start_behind(r, welcome, r->last);
        if (r->last + 1 < welcome->first) {
            note_gone(r, welcome->spool, r->last + 1, welcome->first);
        }
        return 0;
    }
    uint64_t position;
    if (r->settings.position(r->settings.user, view_of(welcome->spool), &position, e) != 0) {
        return -1;
    }
    if (position == 0 && !r->spool[0] && r->settings.latest && ask_before(r, welcome, e) != 0) {
        return -1;
    }
    if (position > 0 && position + 1 < welcome->first) {
        note_gone(r, welcome->spool, position + 1, welcome->first);
    }
    pthread_mutex_lock(&r->lock);
    uint64_t had = r->last > r->committed ? r->last : r->committed;
    if (r->spool[0] && !same && position == 0 && had > 0) {
        memcpy(r->before, r->spool, sizeof r->before);
        r->before_had = had;
    }
    memcpy(r->spool, welcome->spool, sizeof r->spool);
    r->last = 0;
    r->committed = position;
    r->owed = position > 0;
    pthread_mutex_unlock(&r->lock);
    *from = start_behind(r, welcome, position);
    return 0;
}

static void set_connected(struct receiver *r, bool connected)
{
    pthread_mutex_lock(&r->lock);
    r->connected = connected;
    r->since = clock_wall_ms();
    r->read_here = 0;
    r->owed = r->committed > 0;
    pthread_mutex_unlock(&r->lock);
    if (r->settings.changed) {
        r->settings.changed(r->settings.user);
    }
}

void receiver_tell(struct receiver *r, struct receiver_condition *c)
{
    pthread_mutex_lock(&r->lock);
    *c = (struct receiver_condition){.address = r->settings.address,
                                     .connected = r->connected,
                                     .since = r->since,
                                     .read = r->last,
                                     .committed = r->committed,
                                     .error_at = r->error_at};
    snprintf(c->spool, sizeof c->spool, "%s", r->spool);
    snprintf(c->error, sizeof c->error, "%s", r->error);
    pthread_mutex_unlock(&r->lock);
}

/* Says what is owed as soon as this connection has read that far (the bridge takes no more). A lost
 * connection is noticed by the reader; then it stays owed. The lock is held. */
static void pay(struct receiver *r)
{
    struct err ignored;
    if (r->owed && r->connected && r->committed <= r->read_here) {
        r->owed = bridge_client_acknowledge(r->client, r->committed, &ignored) != 0;
    }
}

/* Tells the bridge, too, that another spool was read before: what that one held behind it is not here, and
 * this one knows nothing of that. Said on each connection until frames have come on one. */
static int start_from(struct receiver *r, uint64_t from, struct err *e)
{
    if (!r->before[0]) {
        return bridge_client_start(r->client, from, e);
    }
    log_error(&r->log,
              "spool %s was read up to frame %" PRIu64
              " before, and this bridge has spool %s: what the former held "
              "behind that frame is not here, unless the latter is a copy of it",
              r->before, r->before_had, r->spool);
    return bridge_client_start_after(r->client, from, r->before, r->before_had, e);
}

/* 0: streaming from there on. -1: not connected; ERR_FATAL: the job must end. */
static int open_stream(struct receiver *r, struct err *e)
{
    struct bridge_welcome welcome;
    uint64_t from;
    if (prepare_client(r, e) != 0 || bridge_client_connect(r->client, CONNECT_MS, &welcome, e) != 0) {
        return -1;
    }
    if (find_start(r, &welcome, &from, e) != 0 || start_from(r, from, e) != 0) {
        bridge_client_disconnect(r->client);
        return -1;
    }
    if (r->away) {
        log_notice(&r->log, "the bridge is back");
        r->away = false;
    }
    log_info(&r->log, "connected, reading spool %s from frame %" PRIu64, welcome.spool,
             r->had + 1 < welcome.first ? welcome.first : r->had + 1);
    set_connected(r, true);
    return 0;
}

/* ---- reading ---- */

/* A gap event in the place of the last missing frame: so it goes the way of every frame, is in one
 * transaction with the position that passes over the others, and is written once. The bridge is not told of
 * that position before a frame of this connection has been read. */
static int store_gap(struct receiver *r, struct stream_receiver *to, struct err *e)
{
    char detail[300];
    struct buffer body = BUFFER(GAP_BODY_MAXIMUM), json = BUFFER(POST_MAXIMUM_BYTES);
    struct post event;
    const struct frame_head head = {r->gone_to};
    const int64_t now = clock_wall_ms();
    snprintf(detail, sizeof detail,
             "consumer %s lacks the frames %" PRIu64 " to %" PRIu64
             " of spool %s, which the bridge has no more",
             r->settings.consumer, r->gone_from, r->gone_to, r->spool);
    gap_write(&body, &(struct gap){.from = now,
                                   .to = now,
                                   .cause = "spool",
                                   .detail = detail,
                                   .undelivered = (int64_t)(r->gone_to - r->gone_from + 1),
                                   .first = r->gone_from,
                                   .last = r->gone_to});
    gap_event(&event, "", &body);
    post_write(&json, &event);
    int result = buffer_failed(&body) || buffer_failed(&json)
                     ? err_set(e, ERR_RETRY, "out of memory for a gap")
                     : stream_receiver_store(to, view_make((const char *)&head, sizeof head),
                                             buffer_view(&json), view_of(r->spool), head.sequence, e);
    if (result == 0) {
        pthread_mutex_lock(&r->lock);
        r->last = r->gone_to;
        pthread_mutex_unlock(&r->lock);
        r->gone_from = r->gone_to = 0;
    }
    buffer_free(&body);
    buffer_free(&json);
    return result;
}

/* What lies between the last frame and this one was dropped or found damaged meanwhile. A consumer that has
 * nothing yet lacks nothing: it begins where the spool does. */
static int pass_over(struct receiver *r, struct stream_receiver *to, uint64_t sequence, struct err *e)
{
    uint64_t before = r->last > r->had ? r->last : r->had;
    if (before == 0 || sequence <= before + 1) {
        return 0;
    }
    note_gone(r, r->spool, before + 1, sequence);
    return store_gap(r, to, e);
}

static int store(struct receiver *r, struct stream_receiver *to, const struct bridge_frame *frame,
                 struct err *e)
{
    const struct frame_head head = {frame->sequence};
    if (pass_over(r, to, frame->sequence, e) != 0) {
        return -1;
    }
    if (frame->sequence > r->had &&
        stream_receiver_store(to, view_make((const char *)&head, sizeof head), frame->payload,
                              view_of(r->spool), frame->sequence, e) != 0) {
        return -1;
    }
    r->before[0] = '\0';
    pthread_mutex_lock(&r->lock);
    if (frame->sequence > r->had) {
        r->last = frame->sequence;
    }
    r->read_here = frame->sequence;
    pay(r);
    pthread_mutex_unlock(&r->lock);
    return 0;
}

/* Reads until the connection is lost or it is time to stop; *e says why. */
static void read_frames(struct receiver *r, struct stream_receiver *to, struct err *e)
{
    err_set(e, ERR_RETRY, "stopped");
    if (r->gone_to && store_gap(r, to, e) != 0) {
        return;
    }
    while (!stream_receiver_stopping(to)) {
        struct bridge_frame frame;
        watchdog_progress();
        int got = bridge_client_read(r->client, READ_MS, &frame, e);
        if (got < 0 || (got > 0 && store(r, to, &frame, e) != 0)) {
            return;
        }
    }
}

static void say_away(struct receiver *r, const struct err *why)
{
    pthread_mutex_lock(&r->lock);
    snprintf(r->error, sizeof r->error, "%.299s", why->text);
    r->error_at = clock_wall_ms();
    pthread_mutex_unlock(&r->lock);
    if (!r->away) {
        log_warning(&r->log, "no bridge: %s; trying again until it is there", why->text);
        r->away = true;
    }
}

static void receiver_run(struct stream_receiver *to, void *user)
{
    struct receiver *r = user;
    int64_t wait_ms = BACK_OFF_FIRST_MS;
    while (!stream_receiver_stopping(to)) {
        struct err why;
        watchdog_progress();
        if (open_stream(r, &why) == 0) {
            wait_ms = BACK_OFF_FIRST_MS;
            read_frames(r, to, &why);
            if (stream_receiver_stopping(to)) {
                return; /* connected: the last batch is still to be acknowledged */
            }
            set_connected(r, false);
            bridge_client_disconnect(r->client);
        }
        if (stream_receiver_stopping(to)) {
            return;
        }
        if (why.kind == ERR_FATAL) {
            r->settings.failed(r->settings.user, &why);
            return;
        }
        say_away(r, &why);
        stream_receiver_sleep(to, wait_ms);
        wait_ms = wait_ms * 2 < BACK_OFF_MOST_MS ? wait_ms * 2 : BACK_OFF_MOST_MS;
    }
}

/* A connected client is not interrupted: it looks up every READ_MS, and is needed for the last
 * acknowledgement. */
static void receiver_interrupt(void *user)
{
    struct receiver *r = user;
    pthread_mutex_lock(&r->lock);
    if (!r->connected) {
        r->interrupted = true;
        if (r->client) {
            bridge_client_interrupt(r->client);
        }
    }
    pthread_mutex_unlock(&r->lock);
}

struct stream_receiver_settings receiver_stream(struct receiver *r)
{
    return (struct stream_receiver_settings){
        .name = "etl receiver", .run = receiver_run, .interrupt = receiver_interrupt, .user = r};
}

void receiver_acknowledge(struct receiver *r, struct view spool, uint64_t sequence)
{
    pthread_mutex_lock(&r->lock);
    if (view_is(spool, r->spool) && sequence > r->committed) {
        r->committed = sequence;
        r->owed = true;
        pay(r);
    }
    pthread_mutex_unlock(&r->lock);
}

struct frame receiver_frame(struct record record)
{
    struct frame_head head;
    memcpy(&head, record.data, sizeof head);
    return (struct frame){head.sequence,
                          view_make((const char *)record.data + sizeof head, record.size - sizeof head)};
}
