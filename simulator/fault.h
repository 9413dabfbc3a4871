/* simulator/fault.h - a script of what goes wrong and when: read, made at random, printed.
 *
 * One fault a line, '#' begins a comment:
 *
 *     message 100  cut how=mid-message
 *     second 12.5  stall seconds=40
 *     connection 3 status code=503 times=2 retry-after=7
 *
 * `message N`: when N messages went out over all streams. `second T`: T seconds after the first request for a
 * stream (0: from the start). `connection N`: with the N-th request for a stream. docs/simulator.md has the
 * table of faults; a word that is not in it is an error with its line.
 */
#ifndef ROOST_SIMULATOR_FAULT_H
#define ROOST_SIMULATOR_FAULT_H

#include "base/buffer.h"
#include "base/err.h"

#include <stdint.h>

enum { FAULTS_MAX = 10000, FAULT_BYTES_MAX = 1 << 20 };

enum fault_when { FAULT_AT_MESSAGE, FAULT_AT_SECOND, FAULT_AT_CONNECTION };

enum fault_kind {
    FAULT_STATUS,
    FAULT_REFUSE,
    FAULT_CUT,
    FAULT_STALL,
    FAULT_QUIET,
    FAULT_SLOW,
    FAULT_GARBAGE,
    FAULT_PAGE,
    FAULT_REDIRECT,
    FAULT_JSON,
    FAULT_GZIP,
    FAULT_DISCONNECT,
    FAULT_DUPLICATE,
    FAULT_REORDER,
    FAULT_RATE_LIMIT,
    FAULT_EXPIRED_TOKEN,
    FAULT_EVICTION,
    FAULT_SLOW_HEAD,
    FAULT_LATE_FLUSH,
    FAULT_PARTIAL_ERRORS,
    FAULT_HANDSHAKE,
    FAULT_RANDOM_KINDS, /* those above are for random scripts: a client gets over them in seconds or minutes
                         */
    FAULT_USAGE_CAPPED = FAULT_RANDOM_KINDS,
    FAULT_CLIENT_FORBIDDEN,
    FAULT_KINDS
};

enum fault_value {
    FAULT_CODE,        /* an HTTP status, or a disconnect code of v1.1 */
    FAULT_TIMES,       /* requests for a stream */
    FAULT_MS,          /* written as seconds= */
    FAULT_BYTES,       /* of garbage; or a second, when slow */
    FAULT_COUNT,       /* messages */
    FAULT_RETRY_AFTER, /* seconds; -1: no header */
    FAULT_RESET,       /* x-rate-limit-reset, seconds from now; -1: no header */
    FAULT_SKEW,        /* seconds that the Date header is off */
    FAULT_BODY,        /* enum fault_body */
    FAULT_HOW,         /* enum fault_how */
    FAULT_OPEN,        /* what happens to open streams: enum fault_how; written as open= */
    FAULT_TYPE,        /* place in fault_types */
    FAULT_PERIOD,      /* place in fault_periods */
    FAULT_VALUES
};

enum fault_body { FAULT_BODY_JSON, FAULT_BODY_HTML, FAULT_BODY_EMPTY };

enum fault_how {
    FAULT_CLEAN,         /* the body ends in order */
    FAULT_NO_LAST_CHUNK, /* the connection closes behind a whole message */
    FAULT_RESET_TCP,
    FAULT_MID_MESSAGE,
    FAULT_MID_CHARACTER,
    FAULT_KEEP,      /* for open=: nothing happens to them */
    FAULT_TRUNCATED, /* gzip: the body ends in order, the compressed data do not */
    FAULT_CORRUPT
};

struct fault {
    enum fault_when when;
    uint64_t at; /* messages, milliseconds or connections */
    enum fault_kind kind;
    unsigned line;
    int64_t values[FAULT_VALUES];
};

struct fault_script {
    struct fault *items;
    size_t count;
};

/* The disconnect_types of API v2, ended by NULL. */
extern const char *const fault_types[];

/* Of usage-capped; ended by NULL. */
extern const char *const fault_periods[];

/* Reads a script; name is for messages. -1: the message names line and word. Both cases leave something to
 * free. */
int fault_script_read(struct view text, const char *name, struct fault_script *script, struct err *e);

/* Appends a script of `count` faults within `seconds`, in the format that is read; the same seed is the same
 * script. without: kinds left out, "status,refuse" (NULL: none). Statuses are such that a client tries again.
 * -1: a word in `without` is no kind. */
int fault_script_random(uint64_t seed, size_t count, unsigned seconds, const char *without,
                        struct buffer *into, struct err *e);

/* One fault as a line without its end. */
void fault_print(const struct fault *fault, struct buffer *into);

/* Frees the items and leaves it empty. */
void fault_script_free(struct fault_script *script);

#endif
