/* ingest/backoff.h - how long to wait before the next attempt to connect.
 *
 * The documents of the API (docs: "Connecting to a streaming endpoint", "Backing off") give each kind of
 * failure its own ladder: network errors climb in equal steps, HTTP errors double, rate limits double from a
 * minute, because each further attempt lengthens the ban. An established stream that drops is opened again at
 * once. roost adds two things. A final answer (wrong key, forbidden) of a server that has let us stream
 * before has a slow ladder of its own. And "at once" must be earned, or a server that accepts and closes
 * would be hammered without any wait.
 *
 * No clock and no memory in here: the caller says what happened and waits as long as it is told. A struct
 * backoff is plain data; all-zero is the start.
 */
#ifndef ROOST_INGEST_BACKOFF_H
#define ROOST_INGEST_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

enum backoff_ladder {
    BACKOFF_NETWORK,    /* connect, TLS, reset, time-out, stall: 0.25, 0.5, 0.75 ... 16 s */
    BACKOFF_HTTP,       /* an HTTP error worth retrying: 5, 10, 20 ... 320 s */
    BACKOFF_RATE_LIMIT, /* 420 or 429: 60, 120, 240 s ... 1 h */
    BACKOFF_FINAL, /* 401, 403 ... from a server that streamed for these credentials before: 1, 2, 4 min ... 1
                      h */
    BACKOFF_SPEND, /* the account's posts are used up until a date or until they are paid for: 15, 30, 60 min
                    */
    BACKOFF_LADDERS
};

/* All in milliseconds. */
struct backoff_timing {
    struct {
        int64_t first, most; /* BACKOFF_NETWORK adds `first` each time, the others double */
    } ladders[BACKOFF_LADDERS];
    int64_t calm; /* a stream that lived this long has earned a reconnection at once */
};

/* The documents' values. A spent account comes back by itself with its next period, or when somebody has
 * paid; it is asked once an hour by then, and an answer without posts costs nothing. They give the rate-limit
 * ladder no end; roost's is 1 h: a ban that outlives it has been met by then with six attempts in two hours
 * and is asked once an hour, which no published window (15 min, 24 h) punishes. */
extern const struct backoff_timing backoff_documented;

enum {
    BACKOFF_LONGEST_REQUEST_MS =
        24 * 60 * 60 * 1000 /* the longest wait a server may ask for: X's longest window */
};

struct backoff {
    unsigned steps[BACKOFF_LADDERS]; /* waits given out since the last reset */
    bool at_once_spent;              /* a short stream had its reconnection at once */
};

/* The wait before the next attempt after a failure of this kind, in milliseconds: the ladder's next step, or
 * `at_least` if that is longer (what Retry-After or x-rate-limit-reset asked for; 0 or less: nothing; cut at
 * BACKOFF_LONGEST_REQUEST_MS). */
int64_t backoff_failed(struct backoff *b, const struct backoff_timing *timing, enum backoff_ladder ladder,
                       int64_t at_least);

/* A connection streams (status 200): the ladders of HTTP errors start anew. That of the network does only
 * when the stream has earned it, see backoff_dropped. */
void backoff_established(struct backoff *b);

/* The wait after an established stream ended without an error answer: 0 (at once) if it lived `timing->calm`
 * or longer, or if it brought a message and no other such short stream came just before; then the network
 * ladder starts anew. Else the next step of the network ladder. */
int64_t backoff_dropped(struct backoff *b, const struct backoff_timing *timing, int64_t lived_ms,
                        uint64_t messages);

/* True when the ladder's last wait was its longest: the moment to tell the operator. */
bool backoff_at_top(const struct backoff *b, const struct backoff_timing *timing, enum backoff_ladder ladder);

#endif
