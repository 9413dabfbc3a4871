/* The spool under power loss: what was held is there, whole, in order, under its number; identity and token
 * stay; no position is ahead; a recovery says what it cut, and may itself lose power anywhere. */
#include "bridge/spool.h"

#include "base/random.h"
#include "bridge/segment.h"
#include "bridge/spool_look.h"
#include "tests/power_loss/support/trial.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MOST_FRAMES = 1000,
    MOST_TEXT = 1 << 19,
    NAMES = 3,
    MAXIMUM_BYTES = 6000,
    SEGMENT_BYTES = 900,
    MOST_PAYLOAD = 1300
};

static const char *const names[NAMES] = {"etl", "audit", "copy"};

/* --- a life --- */

struct life {
    uv_loop_t loop;
    struct spool *spool;
    struct spool_settings settings;
    struct random random;
    unsigned number;
    char folder[256];
    bool closed;
    bool reopens; /* now and then */
};

static void on_held(void *user, uint64_t sequence)
{
    (void)user;
    trial_say("held %" PRIu64, sequence);
}

static void on_report(void *user, const struct spool_report *report)
{
    (void)user;
    static const char *const what[] = {"cut", "corrupt", "dropped", "renewed", "failed"};
    trial_say("report %s %" PRIu64 " %" PRIu64 " %" PRIu64, what[report->what], report->first, report->last,
              report->bytes);
}

static void say_positions(const struct life *l)
{
    for (size_t i = 0; i < NAMES; i++) {
        uint64_t position;
        if (spool_acknowledged(l->spool, names[i], &position)) {
            trial_say("position %s %" PRIu64, names[i], position);
        } else {
            trial_say("unknown %s", names[i]);
        }
    }
}

static void say_frames(const struct life *l)
{
    struct err e;
    struct spool_frame frame;
    struct spool_cursor *c = spool_read_from(l->spool, 1, &e);
    int found;
    trial_say("frames");
    while (c && (found = spool_next(c, &frame, &e)) > 0) {
        trial_say("frame %" PRIu64 " %.*s", frame.sequence, VIEW_PRINT(frame.payload));
    }
    spool_close_cursor(c);
    if (!c || found < 0) {
        trial_say("failed %s", e.text);
    }
    trial_say("end %" PRIu64, spool_first(l->spool));
}

/* The size of the newest segment before and after opening tells what was cut. */
static void newest_segment(const char *folder, char name[SEGMENT_NAME_SIZE])
{
    uint64_t newest = 0, first;
    DIR *d = opendir(folder);
    name[0] = '\0';
    for (const struct dirent *entry; d && (entry = readdir(d));) {
        if (segment_parse_name(entry->d_name, &first) && first >= newest) {
            newest = first;
            segment_format_name(name, first);
        }
    }
    if (d) {
        closedir(d);
    }
}

static off_t size_of(const char *folder, const char *name)
{
    char path[512];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return name[0] && stat(path, &status) == 0 ? status.st_size : 0;
}

/* Who looks from outside must not be told that more is held than is. */
static void say_look(const struct life *l)
{
    struct err e;
    struct spool_look look;
    if (spool_look(l->folder, NULL, &look, &e) == 0) {
        trial_say("looked %" PRIu64 " %" PRIu64, look.held, look.last);
    }
}

static void open_spool(struct life *l)
{
    const struct spool_events events = {.held = on_held, .report = on_report, .user = l};
    struct err e;
    char newest[SEGMENT_NAME_SIZE];
    newest_segment(l->folder, newest);
    off_t size = size_of(l->folder, newest);
    say_look(l);
    trial_say("opening");
    l->spool = spool_open(&l->loop, &l->settings, &events, &e);
    if (!l->spool) {
        trial_say("unopened %s", e.text);
        return;
    }
    off_t after = size_of(l->folder, newest);
    trial_say("shrunk %lld", (long long)(size - after));
    trial_say("identity %s", spool_identity(l->spool));
    trial_say("token %s", spool_token(l->spool));
    say_positions(l);
    trial_say("opened %" PRIu64 " %" PRIu64 " %" PRIu64, spool_first(l->spool), spool_last(l->spool),
              spool_held(l->spool));
    say_frames(l);
}

static void on_closed(void *user)
{
    ((struct life *)user)->closed = true;
}

static void close_spool(struct life *l)
{
    l->closed = false;
    spool_close(l->spool, on_closed, l);
    while (!l->closed) {
        uv_run(&l->loop, UV_RUN_ONCE);
    }
    l->spool = NULL;
    trial_say("closed");
}

static void append(struct life *l)
{
    char payload[MOST_PAYLOAD];
    size_t length = 1 + random_below(&l->random, random_below(&l->random, 4) ? 120 : 1200);
    uint64_t sequence;
    struct err e;
    int n = snprintf(payload, sizeof payload, "%u-%" PRIu64 "-", l->number, random_next(&l->random));
    memset(payload + n, 'a' + (int)random_below(&l->random, 26), length);
    payload[(size_t)n + length] = '\0';
    trial_say("append %" PRIu64 " %s", spool_last(l->spool) + 1, payload);
    if (spool_append(l->spool, view_of(payload), &sequence, &e) == 0) {
        trial_say("appended %" PRIu64, sequence);
    }
}

static void wait_held(struct life *l)
{
    while (spool_held(l->spool) < spool_last(l->spool)) {
        uv_run(&l->loop, UV_RUN_ONCE);
    }
}

static void acknowledge(struct life *l, const char *name, uint64_t sequence)
{
    trial_say("acknowledge %s %" PRIu64, name, sequence);
    spool_acknowledge(l->spool, name, sequence);
}

static void add(struct life *l, const char *name)
{
    struct err e;
    trial_say("add %s %" PRIu64, name, spool_first(l->spool) - 1);
    if (spool_add_consumer(l->spool, name, &e)) {
        trial_say("failed %s", e.text);
    }
}

static void forget(struct life *l, const char *name)
{
    struct err e;
    uint64_t position;
    if (spool_acknowledged(l->spool, name, &position)) {
        trial_say("forget %s", name);
        if (spool_forget_consumer(l->spool, name, &e) == 0) {
            trial_say("forgotten %s", name);
        } else if (spool_acknowledged(l->spool, name, &position)) {
            trial_say("kept %s", name); /* its file was being written just then */
        }
    }
}

static void act(struct life *l)
{
    const char *name = names[random_below(&l->random, NAMES)];
    switch (random_below(&l->random, 12)) {
    case 0:
        acknowledge(l, name, spool_held(l->spool));
        break;
    case 1: /* all of them: everything may go */
        for (size_t i = 0; i < NAMES; i++) {
            acknowledge(l, names[i], spool_held(l->spool));
        }
        break;
    case 2:
        acknowledge(l, name, random_below(&l->random, spool_held(l->spool) + 1));
        break;
    case 3:
        forget(l, name);
        break;
    case 4:
        add(l, name);
        break;
    case 5:
        uv_run(&l->loop, UV_RUN_NOWAIT);
        break;
    case 6:
        if (l->reopens && random_below(&l->random, 3) == 0) {
            close_spool(l);
            open_spool(l);
        }
        break;
    case 7:
        spool_rewind(l->spool, name, random_below(&l->random, spool_held(l->spool) + 1));
        break;
    default:
        for (uint64_t i = random_below(&l->random, 3); l->spool && i < 3; i++) {
            append(l);
        }
        if (l->spool && random_below(&l->random, 3)) {
            wait_held(l);
        }
    }
}

static void live_with(const char *folder, unsigned number, bool last, uint64_t seed,
                      const struct spool_settings *settings, bool reopens)
{
    struct life l = {
        .settings = *settings, .random = {seed * 16 + number}, .number = number, .reopens = reopens};
    uv_loop_init(&l.loop);
    snprintf(l.folder, sizeof l.folder, "%s/var/spool", folder);
    l.settings.folder = l.folder;
    open_spool(&l);
    for (size_t i = 0; l.spool && number == 0 && i < NAMES - 1; i++) {
        add(&l, names[i]);
    }
    for (unsigned i = 0; l.spool && i < (number == 0 ? 45 : 12); i++) {
        act(&l);
    }
    if (l.spool) {
        close_spool(&l);
    }
    if (last) {
        open_spool(&l);
        if (l.spool) {
            append(&l);
            close_spool(&l);
        }
    }
}

static const struct spool_settings sound = {.maximum_bytes = MAXIMUM_BYTES, .segment_bytes = SEGMENT_BYTES};

static void live(const char *folder, unsigned life, bool last, uint64_t seed)
{
    live_with(folder, life, last, seed, &sound, true);
}

static void live_dropping(const char *folder, unsigned life, bool last, uint64_t seed)
{
    struct spool_settings dropping = sound;
    dropping.drop_oldest = true;
    live_with(folder, life, last, seed, &dropping, true);
}

/* While syncs fail (in the first life) it is not opened again: what the kernel dropped in a failed sync, a
 * new opening cannot know. */
static void live_failing(const char *folder, unsigned life, bool last, uint64_t seed)
{
    live_with(folder, life, last, seed, &sound, life > 0);
}

static int sync_nothing(int fd)
{
    (void)fd;
    return 0;
}

static void live_unsynced(const char *folder, unsigned life, bool last, uint64_t seed)
{
    struct spool_settings broken = sound;
    broken.sync_file = sync_nothing;
    live_with(folder, life, last, seed, &broken, false);
}

/* --- the judge --- */

struct appended {
    const struct appended *older;
    uint64_t sequence;
    const char *payload;
};

struct known {
    bool known, maybe; /* maybe: added or forgotten, and not known to be on disk */
    bool durable;      /* what is known is on disk */
    uint64_t acknowledged;
};

struct memory {
    bool dropping; /* frames may go without acknowledgement */
    bool failing;  /* syncs fail: opening may, and closing may leave positions unsaved */
    char identity[SPOOL_IDENTITY_SIZE], token[SPOOL_TOKEN_SIZE];
    const char *pinned[MOST_FRAMES]; /* the content of a held frame, once it is known */
    const struct appended *newest, *this_life[MOST_FRAMES];
    uint64_t held, held_now; /* ever; in this life */
    uint64_t may_go;         /* all up to here were acknowledged by all known at some time */
    uint64_t cut_bytes, read_to, looked;
    struct known consumers[NAMES];
    bool seen[MOST_FRAMES];
    struct appended appended[MOST_FRAMES];
    size_t appended_count, text_used;
    char text[MOST_TEXT];
};

static void count_may_go(struct memory *m)
{
    uint64_t lowest = UINT64_MAX;
    bool any = false;
    for (size_t i = 0; i < NAMES; i++) {
        if (m->consumers[i].known) {
            any = true;
            lowest = m->consumers[i].acknowledged < lowest ? m->consumers[i].acknowledged : lowest;
        }
    }
    lowest = any ? lowest : m->held; /* nobody is owed anything */
    m->may_go = lowest > m->may_go ? lowest : m->may_go;
}

static void judge_append(struct memory *m, uint64_t sequence, const char *payload, struct buffer *wrong)
{
    size_t size = strlen(payload) + 1;
    if (sequence >= MOST_FRAMES || m->appended_count == MOST_FRAMES || m->text_used + size > MOST_TEXT) {
        buffer_print(wrong, "the trial is too long");
        return;
    }
    if (sequence <= m->held) {
        buffer_print(wrong, "number %" PRIu64 " is given out again, %" PRIu64 " was held", sequence, m->held);
    }
    struct appended *a = &m->appended[m->appended_count++];
    *a = (struct appended){m->newest, sequence, memcpy(m->text + m->text_used, payload, size)};
    m->text_used += size;
    m->newest = m->this_life[sequence] = a;
}

static void judge_held(struct memory *m, uint64_t sequence)
{
    for (uint64_t i = m->held_now + 1; i <= sequence && i < MOST_FRAMES; i++) {
        if (m->this_life[i]) {
            m->pinned[i] = m->this_life[i]->payload;
        }
    }
    m->held_now = sequence;
    m->held = sequence > m->held ? sequence : m->held;
    count_may_go(m);
}

static void judge_frame(struct memory *m, uint64_t sequence, const char *payload, struct buffer *wrong)
{
    if (sequence <= m->read_to || sequence >= MOST_FRAMES) {
        buffer_print(wrong, "frame %" PRIu64 " comes behind %" PRIu64, sequence, m->read_to);
        return;
    }
    m->read_to = sequence;
    m->seen[sequence] = true;
    const struct appended *a = m->newest;
    while (a && (a->sequence != sequence || strcmp(a->payload, payload) != 0)) {
        a = a->older;
    }
    if (!a) {
        buffer_print(wrong, "frame %" PRIu64 " was never appended", sequence);
    } else if (m->pinned[sequence] && strcmp(m->pinned[sequence], payload) != 0) {
        buffer_print(wrong, "frame %" PRIu64 " was held with another content", sequence);
    } else {
        m->pinned[sequence] = a->payload;
    }
}

/* Whether a held frame may be gone: acknowledged by all, or so old that it was dropped. Segments that go are
 * removed one after the other without a sync in between, so a newer one may be gone while an older is back.
 */
static bool may_be_gone(const struct memory *m, uint64_t sequence)
{
    size_t newer = 0;
    for (uint64_t i = sequence; m->dropping && i <= m->held && i < MOST_FRAMES; i++) {
        newer += m->pinned[i] ? SEGMENT_HEAD_SIZE + strlen(m->pinned[i]) : 0;
    }
    return sequence <= m->may_go || newer > MAXIMUM_BYTES - SEGMENT_BYTES - 2 * MOST_PAYLOAD;
}

/* All frames were read: the held ones that nobody may have dropped are among them. */
static void judge_end(const struct memory *m, struct buffer *wrong)
{
    for (uint64_t i = 1; i < MOST_FRAMES && !wrong->length; i++) {
        if (m->pinned[i] && !m->seen[i] && !may_be_gone(m, i)) {
            buffer_print(wrong, "frame %" PRIu64 " was held and is gone; acknowledged by all was %" PRIu64, i,
                         m->may_go);
        }
    }
}

static void judge_report(struct memory *m, const char *what, uint64_t first, uint64_t last, uint64_t bytes,
                         struct buffer *wrong)
{
    if (strcmp(what, "renewed") == 0) {
        buffer_print(wrong, "the identity was changed");
    }
    if (strcmp(what, "cut") == 0) {
        m->cut_bytes += bytes;
    }
    bool lost = strcmp(what, "cut") == 0 || strcmp(what, "corrupt") == 0;
    for (uint64_t i = first; lost && i <= last && i < MOST_FRAMES; i++) {
        if (m->pinned[i] && !may_be_gone(m, i)) {
            buffer_print(wrong, "frame %" PRIu64 " was held and is said to be lost", i);
            return;
        }
    }
}

static void judge_opened(struct memory *m, uint64_t first, uint64_t last, uint64_t held, struct buffer *wrong)
{
    count_may_go(m);
    if (last < m->held) {
        buffer_print(wrong, "the end is %" PRIu64 ", %" PRIu64 " was held", last, m->held);
    } else if (held != last) {
        buffer_print(wrong, "opening does not hold what it found");
    } else if (!m->dropping && first > m->may_go + 1 && first <= m->held) {
        buffer_print(wrong, "it begins at %" PRIu64 ", acknowledged by all was %" PRIu64, first, m->may_go);
    } else if (m->looked > held) {
        buffer_print(wrong, "from outside %" PRIu64 " was held, opening found %" PRIu64, m->looked, held);
    }
    m->held_now = held;
    m->held = held;
}

static void judge_same(char *known, size_t size, const char *now, struct buffer *wrong)
{
    if (known[0] && strcmp(known, now) != 0) {
        buffer_print(wrong, "it was %s", known);
    }
    snprintf(known, size, "%s", now);
}

static void judge_consumer(struct memory *m, const char *verb, const char *name, uint64_t sequence,
                           struct buffer *wrong)
{
    size_t i = 0;
    while (i < NAMES && strcmp(names[i], name) != 0) {
        i++;
    }
    if (i == NAMES) {
        return;
    }
    struct known *c = &m->consumers[i];
    bool higher = sequence > c->acknowledged;
    if (strcmp(verb, "add") == 0 && !c->known) {
        *c =
            (struct known){.known = true, .maybe = true, .acknowledged = higher ? sequence : c->acknowledged};
    } else if (strcmp(verb, "acknowledge") == 0 && c->known) {
        c->acknowledged = higher ? sequence : c->acknowledged;
    } else if (strcmp(verb, "forget") == 0) {
        c->known = false;
        c->maybe = true;
    } else if (strcmp(verb, "kept") == 0) {
        c->known = true;
    } else if (strcmp(verb, "forgotten") == 0) {
        c->maybe = false;
    } else if (strcmp(verb, "position") == 0) {
        if (!c->known && !c->maybe) {
            buffer_print(wrong, "%s was forgotten", name);
        } else if (higher) {
            buffer_print(wrong, "%s had acknowledged %" PRIu64, name, c->acknowledged);
        }
        c->known = true;
    } else if (strcmp(verb, "unknown") == 0) {
        if (c->known && !c->maybe) {
            buffer_print(wrong, "%s was known", name);
        }
        c->known = false;
    }
    count_may_go(m);
}

static void judge_life(struct memory *m)
{
    memset(m->this_life, 0, sizeof m->this_life);
    m->held_now = 0;
}

static void judge_opening(struct memory *m)
{
    m->cut_bytes = 0;
    judge_life(m);
}

static void judge(void *memory, const char *line, struct buffer *wrong)
{
    struct memory *m = memory;
    char word[32] = "", name[80] = "";
    uint64_t a = 0, b = 0, c = 0;
    int text = 0;
    if (sscanf(line, "append %" SCNu64 " %n", &a, &text) == 1 && text) {
        judge_append(m, a, line + text, wrong);
    } else if (sscanf(line, "frame %" SCNu64 " %n", &a, &text) == 1 && text) {
        judge_frame(m, a, line + text, wrong);
    } else if (sscanf(line, "held %" SCNu64, &a) == 1) {
        judge_held(m, a);
    } else if (sscanf(line, "opened %" SCNu64 " %" SCNu64 " %" SCNu64, &a, &b, &c) == 3) {
        judge_opened(m, a, b, c, wrong);
    } else if (strcmp(line, "frames") == 0) {
        m->read_to = 0;
        memset(m->seen, 0, sizeof m->seen);
    } else if (sscanf(line, "end %" SCNu64, &a) == 1) {
        judge_end(m, wrong);
    } else if (sscanf(line, "report %31s %" SCNu64 " %" SCNu64 " %" SCNu64, word, &a, &b, &c) == 4) {
        judge_report(m, word, a, b, c, wrong);
    } else if (sscanf(line, "shrunk %" SCNu64, &a) == 1) {
        if (a != m->cut_bytes) {
            buffer_print(wrong, "%" PRIu64 " bytes went, %" PRIu64 " were reported", a, m->cut_bytes);
        }
    } else if (sscanf(line, "looked %" SCNu64, &a) == 1) {
        m->looked = a;
    } else if (sscanf(line, "identity %79s", name) == 1) {
        judge_same(m->identity, sizeof m->identity, name, wrong);
    } else if (sscanf(line, "token %79s", name) == 1) {
        judge_same(m->token, sizeof m->token, name, wrong);
    } else if (strncmp(line, "failed", 6) == 0 || (!m->failing && strncmp(line, "unopened", 8) == 0)) {
        buffer_print(wrong, "it failed");
    } else if (strcmp(line, "opening") == 0) {
        judge_opening(m);
    } else if (strncmp(line, "life", 4) == 0) {
        m->looked = 0;
    } else if (strcmp(line, "closed") == 0) {
        for (size_t i = 0; i < NAMES && !m->failing; i++) {
            m->consumers[i].maybe = false;
        }
    } else if (sscanf(line, "%31s %79s %" SCNu64, word, name, &a) >= 2) {
        judge_consumer(m, word, name, a, wrong);
    }
}

static void judge_dropping(void *memory, const char *line, struct buffer *wrong)
{
    ((struct memory *)memory)->dropping = true;
    judge(memory, line, wrong);
}

static void judge_failing(void *memory, const char *line, struct buffer *wrong)
{
    ((struct memory *)memory)->failing = true;
    judge(memory, line, wrong);
}

static const struct trial trials[] = {
    {.name = "a spool that stops when it is full", .live = live, .judge = judge, .seeds = 2, .kills = true},
    {.name = "a spool that drops the oldest", .live = live_dropping, .judge = judge_dropping, .seeds = 1},
    {.name = "a spool without syncs", .live = live_unsynced, .judge = judge, .seeds = 1, .broken = true},
    {.name = "a spool whose syncs fail",
     .live = live_failing,
     .judge = judge_failing,
     .seeds = 1,
     .fail_syncs = 30},
};

int main(void)
{
    int result = 0;
    for (size_t i = 0; i < sizeof trials / sizeof trials[0]; i++) {
        struct trial t = trials[i];
        t.memory_size = sizeof(struct memory);
        t.jobs = t.fail_syncs ? 16 : 2; /* what waits a second for its next try takes no processor */
        result |= trial_run(&t);
    }
    return result;
}
