#include "simulator/fault.h"

#include "base/number.h"
#include "base/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    DAY = 86400,
    WORDS_MAX = 12,
    /* Refusals by evictions in a random script: a client that backs off from 60 s to an hour, as it must, has
     * then waited two hours and reached the top. Each further one would cost another hour. */
    RANDOM_EVICTIONS = 7
};

const char *const fault_types[] = {"OperationalDisconnect",
                                   "UpstreamOperationalDisconnect",
                                   "ForceDisconnect",
                                   "UpstreamUncleanDisconnect",
                                   "SlowReader",
                                   "InternalError",
                                   "ClientApplicationStateDegraded",
                                   "InvalidRules",
                                   NULL};

const char *const fault_periods[] = {"Daily", "Monthly", NULL};

static const char *const BODIES[] = {"json", "html", "empty", NULL};
static const char *const HOWS[] = {"clean", "no-last-chunk", "reset",   "mid-message", "mid-character",
                                   "keep",  "truncated",     "corrupt", NULL};

/* What may stand behind '=': a whole number, seconds with decimals, or a word. */
static const struct {
    const char *name;
    int64_t least, most; /* of words: places in the list */
    const char *const *words;
} VALUES[FAULT_VALUES] = {[FAULT_CODE] = {"code", 1, 599, NULL},
                          [FAULT_TIMES] = {"times", 1, 1000000, NULL},
                          [FAULT_MS] = {"seconds", 1, (int64_t)DAY * 1000, NULL},
                          [FAULT_BYTES] = {"bytes", 1, FAULT_BYTES_MAX, NULL},
                          [FAULT_COUNT] = {"count", 1, 10000, NULL},
                          [FAULT_RETRY_AFTER] = {"retry-after", 0, DAY, NULL},
                          [FAULT_RESET] = {"reset", 0, DAY, NULL},
                          [FAULT_SKEW] = {"skew", -DAY * 365, DAY * 365, NULL},
                          [FAULT_BODY] = {"body", 0, FAULT_BODY_EMPTY, BODIES},
                          [FAULT_HOW] = {"how", FAULT_CLEAN, FAULT_CORRUPT, HOWS},
                          [FAULT_OPEN] = {"open", FAULT_CLEAN, FAULT_KEEP, HOWS},
                          [FAULT_TYPE] = {"type", 0, 7, fault_types},
                          [FAULT_PERIOD] = {"period", 0, 1, fault_periods}};

enum { REQUIRED = INT32_MIN, NOT_SENT = -1 };

struct kind {
    const char *name;
    struct {
        enum fault_value value;
        int64_t standard; /* REQUIRED: it must be given */
    } takes[7];
    size_t count;
};

#define TAKES_OPEN                                                                                           \
    {                                                                                                        \
        FAULT_OPEN, FAULT_NO_LAST_CHUNK                                                                      \
    }

static const struct kind KINDS[FAULT_KINDS] = {
    [FAULT_STATUS] = {"status",
                      {{FAULT_CODE, REQUIRED},
                       {FAULT_TIMES, 1},
                       {FAULT_RETRY_AFTER, NOT_SENT},
                       {FAULT_RESET, NOT_SENT},
                       {FAULT_SKEW, 0},
                       {FAULT_BODY, FAULT_BODY_JSON},
                       TAKES_OPEN},
                      7},
    [FAULT_REFUSE] = {"refuse", {{FAULT_MS, REQUIRED}, TAKES_OPEN}, 2},
    [FAULT_CUT] = {"cut", {{FAULT_HOW, FAULT_NO_LAST_CHUNK}}, 1},
    [FAULT_STALL] = {"stall", {{FAULT_MS, REQUIRED}}, 1},
    [FAULT_QUIET] = {"quiet", {{FAULT_MS, REQUIRED}}, 1},
    [FAULT_SLOW] = {"slow", {{FAULT_BYTES, REQUIRED}, {FAULT_MS, REQUIRED}}, 2},
    [FAULT_GARBAGE] = {"garbage", {{FAULT_BYTES, 1000}}, 1},
    [FAULT_PAGE] = {"page", {{FAULT_TIMES, 1}, TAKES_OPEN}, 2},
    [FAULT_REDIRECT] = {"redirect", {{FAULT_TIMES, 1}, TAKES_OPEN}, 2},
    [FAULT_JSON] = {"json", {{FAULT_TIMES, 1}, TAKES_OPEN}, 2},
    [FAULT_GZIP] = {"gzip", {{FAULT_HOW, FAULT_TRUNCATED}}, 1},
    [FAULT_DISCONNECT] = {"disconnect", {{FAULT_TYPE, 1}, {FAULT_CODE, 10}}, 2},
    [FAULT_DUPLICATE] = {"duplicate", {{FAULT_COUNT, REQUIRED}}, 1},
    [FAULT_REORDER] = {"reorder", {{FAULT_COUNT, REQUIRED}}, 1},
    [FAULT_RATE_LIMIT] = {"rate-limit", {{FAULT_MS, REQUIRED}, TAKES_OPEN}, 2},
    [FAULT_EXPIRED_TOKEN] = {"expired-token", {{FAULT_TIMES, 1}, TAKES_OPEN}, 2},
    [FAULT_EVICTION] = {"eviction", {{FAULT_TIMES, 1}}, 1},
    [FAULT_SLOW_HEAD] = {"slow-head", {{FAULT_MS, REQUIRED}, {FAULT_TIMES, 1}, TAKES_OPEN}, 3},
    [FAULT_LATE_FLUSH] = {"late-flush", {{FAULT_MS, REQUIRED}}, 1},
    [FAULT_PARTIAL_ERRORS] = {"partial-errors", {{FAULT_COUNT, REQUIRED}}, 1},
    [FAULT_HANDSHAKE] = {"handshake", {{FAULT_TIMES, 1}, TAKES_OPEN}, 2},
    [FAULT_USAGE_CAPPED] = {"usage-capped", {{FAULT_PERIOD, 1}, {FAULT_TIMES, 1}, TAKES_OPEN}, 3},
    [FAULT_CLIENT_FORBIDDEN] = {"client-forbidden", {{FAULT_TIMES, 1}, TAKES_OPEN}, 2},
};

static const char *const WHENS[] = {"message", "second", "connection", NULL};

static int place_in(const char *const *words, struct view word)
{
    for (int i = 0; words[i]; i++) {
        if (view_is(word, words[i])) {
            return i;
        }
    }
    return -1;
}

static int kind_named(struct view word)
{
    for (int i = 0; i < FAULT_KINDS; i++) {
        if (view_is(word, KINDS[i].name)) {
            return i;
        }
    }
    return -1;
}

/* ---- reading ---- */

/* "12.5" as milliseconds. */
static int read_seconds(struct view text, int64_t least_ms, int64_t most_ms, int64_t *ms)
{
    const char *dot = memchr(text.at, '.', text.length);
    size_t whole = dot ? (size_t)(dot - text.at) : text.length, decimals = dot ? text.length - whole - 1 : 0;
    int64_t seconds, part = 0;
    if (number_parse(view_make(text.at, whole), 0, most_ms / 1000, &seconds) < 0 || decimals > 3 ||
        (dot && number_parse(view_from(text, whole + 1), 0, 999, &part) < 0)) {
        return -1;
    }
    for (size_t i = decimals; dot && i < 3; i++) {
        part *= 10;
    }
    *ms = seconds * 1000 + part;
    return *ms >= least_ms && *ms <= most_ms ? 0 : -1;
}

static size_t split(struct view line, struct view words[WORDS_MAX])
{
    size_t count = 0;
    for (size_t at = 0; at < line.length && line.at[at] != '#';) {
        size_t from = at;
        while (at < line.length && !strchr(" \t\r#", line.at[at] ? line.at[at] : '!')) {
            at++;
        }
        if (at > from && count < WORDS_MAX) {
            words[count++] = view_make(line.at + from, at - from);
        }
        while (at < line.length && line.at[at] && strchr(" \t\r", line.at[at])) {
            at++;
        }
    }
    return count;
}

struct place {
    const char *name;
    unsigned line;
};

static int wrong(const struct place *p, struct view word, struct err *e, const char *right)
{
    return err_set(e, ERR_FATAL, "%s, line %u: %.*s: %s", p->name, p->line,
                   (int)(word.length < 60 ? word.length : 60), word.at, right);
}

static int read_value(const struct place *p, struct fault *f, struct view word, bool *given, struct err *e)
{
    const struct kind *k = &KINDS[f->kind];
    const char *equals = memchr(word.at, '=', word.length);
    size_t length = equals ? (size_t)(equals - word.at) : word.length;
    for (size_t i = 0; equals && i < k->count; i++) {
        enum fault_value v = k->takes[i].value;
        struct view value = view_from(word, length + 1);
        if (!view_is(view_make(word.at, length), VALUES[v].name)) {
            continue;
        }
        int64_t *into = &f->values[v];
        int result = 0;
        if (VALUES[v].words) {
            *into = place_in(VALUES[v].words, value);
            result = *into < VALUES[v].least || *into > VALUES[v].most ? -1 : 0;
        } else if (v == FAULT_MS) {
            result = read_seconds(value, VALUES[v].least, VALUES[v].most, into);
        } else {
            result = number_parse(value, VALUES[v].least, VALUES[v].most, into);
        }
        if (given[v]) {
            return wrong(p, word, e, "it is said twice");
        }
        given[v] = true;
        return result < 0 ? wrong(p, word, e, "not a value of this kind, or out of range") : 0;
    }
    char right[200];
    snprintf(right, sizeof right, "%s does not know it (NAME=VALUE is needed)", k->name);
    return wrong(p, word, e, right);
}

static int check(const struct place *p, const struct fault *f, const bool *given, struct view word,
                 struct err *e)
{
    const struct kind *k = &KINDS[f->kind];
    char right[100];
    for (size_t i = 0; i < k->count; i++) {
        if (k->takes[i].standard == REQUIRED && !given[k->takes[i].value]) {
            snprintf(right, sizeof right, "%s= is missing", VALUES[k->takes[i].value].name);
            return wrong(p, word, e, right);
        }
    }
    int64_t how = f->values[FAULT_HOW], code = f->values[FAULT_CODE];
    bool of_gzip = how == FAULT_TRUNCATED || how == FAULT_CORRUPT;
    if ((f->kind == FAULT_GZIP && !of_gzip) || (f->kind == FAULT_CUT && (of_gzip || how == FAULT_KEEP))) {
        return wrong(p, word, e,
                     of_gzip ? "truncated and corrupt are for gzip" : "how= is not one of this fault's");
    }
    if ((f->kind == FAULT_STATUS && code < 400) || (f->kind == FAULT_DISCONNECT && code > 12)) {
        return wrong(p, word, e, "a status is 400 to 599, a disconnect code 1 to 12");
    }
    return 0;
}

static int read_line(const struct place *p, const struct view *words, size_t count, struct fault *f,
                     struct err *e)
{
    bool given[FAULT_VALUES] = {false};
    int64_t number = 0;
    int when = place_in(WHENS, words[0]), kind = count > 2 ? kind_named(words[2]) : -1;
    if (when < 0) {
        return wrong(p, words[0], e, "a line begins with message, second or connection");
    }
    if (count < 3) {
        return wrong(p, words[0], e, "WHEN NUMBER FAULT [NAME=VALUE]... is needed");
    }
    if ((when == FAULT_AT_SECOND ? read_seconds(words[1], 0, (int64_t)DAY * 30 * 1000, &number)
                                 : number_parse(words[1], 1, INT64_MAX, &number)) < 0) {
        return wrong(p, words[1], e, "not a number that it can happen at");
    }
    if (kind < 0) {
        return wrong(p, words[2], e, "no such fault; docs/simulator.md has the table");
    }
    *f = (struct fault){(enum fault_when)when, (uint64_t)number, (enum fault_kind)kind, p->line, {0}};
    for (size_t i = 0; i < KINDS[kind].count; i++) {
        f->values[KINDS[kind].takes[i].value] = KINDS[kind].takes[i].standard;
    }
    for (size_t i = 3; i < count; i++) {
        if (read_value(p, f, words[i], given, e) < 0) {
            return -1;
        }
    }
    return check(p, f, given, words[2], e);
}

int fault_script_read(struct view text, const char *name, struct fault_script *script, struct err *e)
{
    struct place place = {name, 0};
    size_t capacity = 0;
    *script = (struct fault_script){0};
    while (text.length) {
        const char *end = memchr(text.at, '\n', text.length);
        size_t length = end ? (size_t)(end - text.at) : text.length;
        struct view words[WORDS_MAX], line = view_make(text.at, length);
        size_t count = split(line, words);
        text = view_from(text, length + 1);
        place.line++;
        if (!count) {
            continue;
        }
        if (script->count == FAULTS_MAX) {
            return err_set(e, ERR_FATAL, "%s, line %u: more than %d faults", name, place.line, FAULTS_MAX);
        }
        if (script->count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            struct fault *grown = realloc(script->items, capacity * sizeof *grown);
            if (!grown) {
                return err_set(e, ERR_RETRY, "memory is out");
            }
            script->items = grown;
        }
        if (read_line(&place, words, count, &script->items[script->count], e) < 0) {
            return -1;
        }
        script->count++;
    }
    return 0;
}

/* ---- writing ---- */

static void print_seconds(struct buffer *into, int64_t ms)
{
    int part = (int)(ms % 1000), digits = 3;
    buffer_add_number(into, ms / 1000);
    for (; part && part % 10 == 0; digits--) {
        part /= 10;
    }
    if (part) {
        buffer_print(into, ".%0*d", digits, part);
    }
}

void fault_print(const struct fault *f, struct buffer *into)
{
    const struct kind *k = &KINDS[f->kind];
    buffer_print(into, "%s ", WHENS[f->when]);
    if (f->when == FAULT_AT_SECOND) {
        print_seconds(into, (int64_t)f->at);
    } else {
        buffer_print(into, "%llu", (unsigned long long)f->at);
    }
    buffer_print(into, " %s", k->name);
    for (size_t i = 0; i < k->count; i++) {
        enum fault_value v = k->takes[i].value;
        int64_t value = f->values[v];
        if (value == k->takes[i].standard) {
            continue;
        }
        buffer_print(into, " %s=", VALUES[v].name);
        if (v == FAULT_MS) {
            print_seconds(into, value);
        } else if (VALUES[v].words) {
            buffer_add_text(into, VALUES[v].words[value]);
        } else {
            buffer_add_number(into, value);
        }
    }
}

/* ---- random ones ---- */

static int64_t between(struct random *r, int64_t least, int64_t most)
{
    return least + (int64_t)random_below(r, (uint64_t)(most - least + 1));
}

static int64_t any_of(struct random *r, const int64_t *values, size_t count)
{
    return values[random_below(r, count)];
}

/* Of the sizes that tell something: shorter and longer than a client waits, few and many. */
static int64_t random_value(struct random *r, enum fault_kind kind, enum fault_value v)
{
    static const int64_t statuses[] = {500, 502, 503, 504};
    static const int64_t cuts[] = {FAULT_CLEAN, FAULT_NO_LAST_CHUNK, FAULT_RESET_TCP, FAULT_MID_MESSAGE,
                                   FAULT_MID_CHARACTER};
    switch (v) {
    case FAULT_CODE:
        return kind == FAULT_STATUS ? any_of(r, statuses, 4) : between(r, 1, 12);
    case FAULT_TIMES:
        return between(r, 1, 3);
    case FAULT_MS:
        return kind == FAULT_SLOW_HEAD ? between(r, 1, 20) * 1000
               : kind == FAULT_REFUSE  ? between(r, 1, 20) * 1000
                                       : between(r, 1, 60) * 1000;
    case FAULT_BYTES:
        return kind == FAULT_SLOW ? between(r, 50, 20000) : between(r, 1, 5000);
    case FAULT_COUNT:
        return between(r, 1, 30);
    case FAULT_RETRY_AFTER:
        return random_below(r, 2) ? NOT_SENT : between(r, 1, 30);
    case FAULT_RESET:
        return NOT_SENT;
    case FAULT_SKEW:
        return 0;
    case FAULT_BODY:
        return between(r, 0, 2);
    case FAULT_HOW:
        return kind == FAULT_GZIP ? between(r, FAULT_TRUNCATED, FAULT_CORRUPT) : any_of(r, cuts, 5);
    case FAULT_OPEN:
        return any_of(r, cuts, 5);
    case FAULT_TYPE:
        return between(r, 0, 7);
    case FAULT_PERIOD:
    case FAULT_VALUES:
        break;
    }
    return 0;
}

static int read_without(const char *without, bool left_out[FAULT_KINDS], struct err *e)
{
    size_t count = 0;
    for (const char *at = without; at && *at;) {
        size_t length = strcspn(at, ",");
        int kind = kind_named(view_make(at, length));
        if (kind < 0) {
            return err_set(e, ERR_FATAL, "%.*s: no such fault", (int)(length < 60 ? length : 60), at);
        }
        count += !left_out[kind] && kind < FAULT_RANDOM_KINDS;
        left_out[kind] = true;
        at += length + (at[length] == ',');
    }
    return count < FAULT_RANDOM_KINDS ? 0 : err_set(e, ERR_FATAL, "no fault is left to choose from");
}

/* No more refusals by evictions than RANDOM_EVICTIONS, at least one each. */
static void limit_evictions(struct fault *faults, size_t count)
{
    int64_t left = RANDOM_EVICTIONS;
    for (size_t i = 0; i < count; i++) {
        int64_t *times = &faults[i].values[FAULT_TIMES];
        if (faults[i].kind == FAULT_EVICTION) {
            *times = *times <= left ? *times : left > 1 ? left : 1;
            left -= *times;
        }
    }
}

static int by_time(const void *a, const void *b)
{
    uint64_t x = ((const struct fault *)a)->at, y = ((const struct fault *)b)->at;
    return x < y ? -1 : x > y;
}

int fault_script_random(uint64_t seed, size_t count, unsigned seconds, const char *without,
                        struct buffer *into, struct err *e)
{
    struct random r = {seed};
    bool left_out[FAULT_KINDS] = {false};
    if (count < 1 || count > FAULTS_MAX || !seconds || seconds > DAY * 30) {
        return err_set(e, ERR_FATAL, "random faults are 1 to %d within a second to 30 days", FAULTS_MAX);
    }
    if (read_without(without, left_out, e) < 0) {
        return -1;
    }
    struct fault *faults = calloc(count, sizeof *faults);
    if (!faults) {
        return err_set(e, ERR_RETRY, "memory is out");
    }
    for (size_t i = 0; i < count; i++) {
        struct fault *f = &faults[i];
        do {
            f->kind = (enum fault_kind)random_below(&r, FAULT_RANDOM_KINDS);
        } while (left_out[f->kind]);
        f->when = FAULT_AT_SECOND;
        f->at = (uint64_t)between(&r, 1, (int64_t)seconds * 10) * 100;
        for (size_t v = 0; v < KINDS[f->kind].count; v++) {
            enum fault_value value = KINDS[f->kind].takes[v].value;
            f->values[value] = random_value(&r, f->kind, value);
        }
    }
    qsort(faults, count, sizeof *faults, by_time);
    limit_evictions(faults, count);
    for (size_t i = 0; i < count; i++) {
        fault_print(&faults[i], into);
        buffer_add_byte(into, '\n');
    }
    free(faults);
    return 0;
}

void fault_script_free(struct fault_script *script)
{
    free(script->items);
    *script = (struct fault_script){0};
}
