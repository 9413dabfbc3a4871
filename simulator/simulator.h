/* simulator/simulator.h - X's streaming APIs as a local server: v1.1, which no server of X speaks any more,
 * and the filtered stream of v2, without an account and without a price per post.
 *
 * It plays recorded messages (or its own sample) over HTTP exactly as statuses/filter and statuses/sample
 * did: OAuth 1.0a is verified, track, follow, locations and language are applied, the body is chunked,
 * compressed when asked for, kept alive. With API v2 rules are kept, checked and matched, bearer tokens given
 * out and payloads cut to the fields that were asked for (simulator/api2.h). `roost simulate` is this behind
 * a command line; tests and benchmarks embed it.
 *
 * Without a rate each account has its own place in the messages: they go out as fast as the client reads, and
 * the next connection of the account goes on behind the last message that was handed to the kernel whole.
 * With a rate there is one stream that goes on whether or not anybody listens, and who connects hears what
 * comes from then on.
 *
 * One thread runs a simulator; simulator_stop, simulator_port and simulator_counts may be called from others.
 */
#ifndef ROOST_SIMULATOR_SIMULATOR_H
#define ROOST_SIMULATOR_SIMULATOR_H

#include "base/err.h"
#include "simulator/oauth_check.h"
#include "simulator/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The account that is served when none is given. Published: it protects nothing. */
#define SIMULATOR_API_KEY       "roostDemoApiKey"
#define SIMULATOR_API_SECRET    "roostDemoApiSecretThatIsNoSecret"
#define SIMULATOR_ACCESS_TOKEN  "1000001-roostDemoAccessToken"
#define SIMULATOR_ACCESS_SECRET "roostDemoAccessSecretThatIsNoSecret"
#define SIMULATOR_BEARER_TOKEN  "roostDemoBearerTokenThatIsNoSecret%3D"

enum {
    SIMULATOR_SAMPLE = 3000,
    SIMULATOR_SEED = 1,
    SIMULATOR_REPEAT_MAX = 10000,
    SIMULATOR_ACCOUNTS_MAX = 1000,
    SIMULATOR_CONNECTIONS_MAX = 1000
};

enum simulator_end {
    SIMULATOR_HOLD,  /* after the last message: keep-alives for ever, as a stream that is quiet */
    SIMULATOR_CLOSE, /* the stream is ended cleanly; so is each later one, at once */
    SIMULATOR_EXIT   /* as CLOSE, and simulator_run returns when the last connection is gone */
};

/* Set it to SIMULATOR_OPTIONS first. Strings and accounts must last until simulator_open returns; the strings
 * of the accounts as long as the simulator. */
struct simulator_options {
    const char *listen;  /* ADDRESS:PORT or [ADDRESS]:PORT, numeric; port 0: any free one */
    const char *file;    /* NDJSON to play; NULL: the sample, sample_count messages made from seed */
    const char *control; /* NDJSON spread evenly between the messages; NULL: none */
    size_t sample_count; /* 1 to 1,000,000 */
    uint64_t seed;       /* of the sample and of random chunks */

    double rate;          /* messages a second, up to 1,000,000; 0: as fast as each client reads */
    double speed;         /* by the messages' own times, so many times as fast, up to 1,000,000; 0: not */
    uint64_t total;       /* end after so many messages in all; 0: no such end */
    bool wait_for_client; /* with a rate: the stream begins with the first connection, not with the server */
    bool loop;            /* begin again after the last message */
    enum simulator_end at_end;
    bool fresh_ids; /* ids and times are made new when a message is sent (simulator/fresh.h) */

    const struct oauth_account *accounts; /* none: the published one above */
    size_t account_count;
    bool
        no_auth; /* every request is let in; its account is the user of Basic or the token of OAuth, if any */

    bool no_filter;       /* every message matches; the parameters are still checked */
    bool tls;             /* https; the three strings below */
    bool api_1, api_2;    /* which paths are served */
    bool enterprise;      /* the access level: embedding:, backfill_minutes */
    bool not_enrolled;    /* the access level has no filtered stream: 403 (API v2) */
    uint64_t usage_cap;   /* posts of an app in a month of UTC (API v2); 0: no such end */
    bool second_replaces; /* one connection too many ends the oldest; else it is refused with 429 */
    bool newer_names;     /* the newer spelling of three attributes (simulator/fields.h) */
    unsigned connections; /* of an app at a time; more than 1 only with a rate */
    uint64_t
        cut_after; /* each stream breaks off in the middle of its message number cut_after + 1; 0: never */

    size_t repeat; /* each connection begins with the last so many messages before it again, as they were sent
                    * (up to SIMULATOR_REPEAT_MAX); with a rate: those of the stream, heard or not, in up to
                    * half of `queue` */
    const char *bearer_token; /* of the first account's app; NULL: the published one */
    size_t rules_maximum;     /* of an app, 1 to 100,000 */
    size_t rule_length;       /* code points, 1 to 4,096 */
    const char *faults;       /* a script (simulator/fault.h) as text; NULL: nothing goes wrong */
    const char *faults_name;  /* of its file, for messages */
    const char *tls_certificate, *tls_key; /* PEM files; both NULL: one made here */
    const char *tls_write;                 /* a file that gets the certificate; NULL: none */
    int64_t rule_delay_ms;                 /* an added rule works after so long (about 20 s on X) */
    int64_t keep_alive_v2_ms;              /* as keep_alive_ms, for streams of API v2 */

    int64_t keep_alive_ms; /* an empty line after so long without data; 1 or more */
    enum wire_chunks chunks;
    size_t chunk_size;
    size_t queue; /* bytes kept for a client that reads too slowly, with a rate; then it is disconnected */
    double limit_rate; /* with a rate: at most so many messages a second per connection, the rest is counted
                        * in `limit` messages; 0: no limit */

    int answer_status;     /* this HTTP status (400 to 599) instead of a stream; 0: off */
    uint64_t answer_count; /* for the first so many requests; 0: for all */
    uint32_t max_connects; /* attempts of an account per connect_minutes, refused ones counted; more: 420
                            * (429 with API v2); 0: off (with API v2: 50 in 15) */
    uint32_t connect_minutes;

    int stop_fd; /* when it becomes readable, as simulator_stop (a signalfd); -1: none. Stays the caller's */
};

#define SIMULATOR_OPTIONS                                                                                    \
    ((struct simulator_options){.listen = "127.0.0.1:0",                                                     \
                                .sample_count = SIMULATOR_SAMPLE,                                            \
                                .seed = SIMULATOR_SEED,                                                      \
                                .api_1 = true,                                                               \
                                .rules_maximum = 1000,                                                       \
                                .rule_length = 1024,                                                         \
                                .connections = 1,                                                            \
                                .keep_alive_ms = 30000,                                                      \
                                .keep_alive_v2_ms = 20000,                                                   \
                                .chunk_size = 1,                                                             \
                                .queue = (size_t)4 << 20,                                                    \
                                .connect_minutes = 5,                                                        \
                                .stop_fd = -1})

struct simulator_counts {
    uint64_t requests; /* answered, streams included */
    uint64_t refused;  /* of them, with another status than 200 */
    uint64_t messages; /* handed to the kernel whole, over all streams, repeats included */
    uint64_t bytes;    /* of all streams, as on the wire */
    uint64_t slow;     /* streams ended because their client read too slowly */
};

struct simulator;

/* Loads the messages and listens: connections are accepted (by the kernel) from now on. NULL: the message
 * says what is wrong with which option (ERR_FATAL), or that the port is in use (ERR_RETRY). The caller closes
 * it. */
struct simulator *simulator_open(const struct simulator_options *options, struct err *e);

/* The port it listens on. Any thread. */
int simulator_port(const struct simulator *s);

/* "127.0.0.1:8080", as it was asked for but with the real port. Any thread. */
const char *simulator_address(const struct simulator *s);

/* How many messages it plays before it begins again, and how many of them are tweets. */
size_t simulator_messages(const struct simulator *s);
size_t simulator_tweets(const struct simulator *s);

/* Serves until it is stopped or, with SIMULATOR_EXIT, everything is played. Open streams are ended cleanly,
 * with at most a second for slow clients. 0, or -1 when the event loop fails. */
int simulator_run(struct simulator *s, struct err *e);

/* Makes simulator_run return, now or when it is called. Any thread; safe in a signal handler. */
void simulator_stop(struct simulator *s);

void simulator_counts(const struct simulator *s, struct simulator_counts *counts);

/* Closes all that is open. Not while simulator_run runs. NULL does nothing. */
void simulator_close(struct simulator *s);

#endif
