/* ingest/source.h - the life of a source on the loop: connect, stream, lose the connection, wait, connect
 * again.
 *
 * What all networks have in common is here; what is particular to one is in its struct source_protocol
 * (x_v1.c for the v1.1 API, x_v2.c for v2). A source hands posts and events to the caller one by one, in the
 * order they came, and keeps exactly one that was refused; then it stops reading, so that the server waits in
 * TCP's window, until it is resumed. At a stop all that it has is offered once more, so that nothing that was
 * received is dropped. Every failure is classed once, in here, and climbs one of the ladders of
 * ingest/backoff.h. An outage is logged when it begins and when it ends, with its length; repeats are
 * collapsed. When a source streams again, the outage crosses the bridge as `gap` events (ingest/ledger.h); so
 * does, at each `limit` notice, what the server left out. Each minute of a stream, and at its end, a `count`
 * event tells from when to when it was heard and what was received, kept, filtered and unreadable. Neither
 * secrets nor texts of posts are logged.
 *
 * Everything happens on the loop's thread; every function may be called from inside a callback.
 */
#ifndef ROOST_INGEST_SOURCE_H
#define ROOST_INGEST_SOURCE_H

#include "base/err.h"
#include "bridge/post.h"
#include "ingest/backoff.h"
#include "ingest/ledger_file.h"
#include "ingest/set_aside.h"
#include "ingest/settings.h"
#include "ingest/version.h"

#include <stdint.h>
#include <uv.h>

enum source_state {
    SOURCE_IDLE,       /* opened, not started */
    SOURCE_CONNECTING, /* a request is under way, no head of an answer yet */
    SOURCE_STREAMING,  /* the server streams */
    SOURCE_WAITING,    /* between two attempts */
    SOURCE_DOWN,   /* as waiting, after a final answer of a server that streamed before: minutes to an hour */
    SOURCE_STOPPED /* for good; `final` has said why */
};

/* A state as one word for logs and status lines: "streaming". */
const char *source_state_name(enum source_state state);

/* Milliseconds, unless said otherwise. */
struct source_timing {
    int64_t connect;          /* name, TCP and TLS together */
    int64_t stall;            /* silence that ends a stream */
    int64_t clock_skew;       /* a 401 whose Date is further away than this is blamed on the clock */
    int64_t count_interval;   /* between `count` events */
    int64_t change_settle;    /* a change of the configuration waits so long for another one */
    int64_t change_apart;     /* between the last request for a stream and one because of a change; the
                                 settings' change_interval goes first */
    int64_t change_under_way; /* so long is the old stream read on when the new one has shown that it streams:
                                 a round trip, and what a server flushes together */
    unsigned final_attempts;  /* final answers before a source that never streamed is given up (a number) */
    const struct backoff_timing *backoff;
};

/* What a source counted since it was opened. received = posts + events + filtered + repeated + unreadable,
 * once nothing waits. */
struct source_counts {
    uint64_t received;    /* messages, keep-alives not among them */
    uint64_t posts;       /* taken by the caller */
    uint64_t events;      /* taken by the caller; count and gap, which are made here, not among them */
    uint64_t filtered;    /* posts left out by the local filter */
    uint64_t repeated;    /* posts that came by two streams, at a change of the configuration */
    uint64_t undelivered; /* posts that the server says it left out (`limit` messages) */
    uint64_t unreadable;  /* set aside: no JSON, over-long, a fragment at the end of a stream */
    uint64_t keep_alives;
    uint64_t bytes;              /* of the body, decompressed */
    uint64_t attempts, connects; /* requests sent, and those of them that streamed */
    int64_t last_byte_at;        /* wall time; CLOCK_NONE: none yet */
    int64_t streaming_since;     /* wall time; CLOCK_NONE: not now */
};

struct source;

struct source_events { /* NULL members are not called; `user` is handed back */
    /* A post or an event. 0: taken. -1 with ERR_RETRY: not taken; the source keeps it, reads no further and
     * offers it again on source_resume. -1 with ERR_REJECT: it can never be taken; it is set aside. Views in
     * it are valid during the call. */
    int (*post)(void *user, struct source *s, const struct post *post, struct err *e);
    /* The source stopped for good; `why` (ERR_FATAL) has been logged. Then only source_stop is of use. */
    void (*final)(void *user, struct source *s, const struct err *why);
    /* From version->since on the source asks for this; also told again when nothing has changed. Valid during
     * the call. */
    void (*in_force)(void *user, struct source *s, const struct version *version);
    void *user;
};

struct source_options {
    const struct source_timing
        *timing;                 /* NULL: the network's documents'; the settings' stall_timeout goes first */
    struct set_aside *set_aside; /* for unreadable messages; shared; NULL: they are only counted */
    struct ledger *ledger;       /* of all sources; NULL: it forgets its outages when it stops */
    const char *streamed_path;   /* file with a hash of all credentials that ever streamed; NULL: not kept */
    const struct source_protocol *protocol; /* NULL: that of the settings' type */
};

/* A source in state idle. Settings, events' user and what the options point to must outlive it. NULL:
 * ERR_FATAL when there is no such type here or the settings cannot work, ERR_RETRY when memory is out. */
struct source *source_open(uv_loop_t *loop, const struct source_settings *settings,
                           const struct source_options *options, const struct source_events *events,
                           struct err *e);

/* Connects, soon. Only in state idle. */
void source_start(struct source *s);

/* Other settings: those of the same section after a reload, which must live as long as source_uses says.
 * True: the source goes on, untouched if they are the same; else it asks for them when and how its network
 * allows, and logs when and whether (ingest/DESIGN.md, "Another configuration"). Until then, and when they
 * are refused, the old ones are in force. False: it must be stopped and opened anew: it is of another type,
 * has not begun, or has stopped for good. */
bool source_change(struct source *s, const struct source_settings *next);

/* Does it need these settings any longer? */
bool source_uses(const struct source *s, const struct source_settings *settings);

/* Reads no further until source_resume (the caller has no room). */
void source_pause(struct source *s);

/* There is room again: what was refused is offered again, then reading goes on. */
void source_resume(struct source *s);

/* The same, but opens no connection. True: everything that was taken from the network so far has been taken,
 * and a stop before the loop's next turn has nothing left to hand over. */
bool source_drain(struct source *s);

/* `cause` is what roost.gaps will say of the time from now on: "stopped" or "reload".
 * First everything that was taken from the network is offered a last time: the message that was refused, what
 * came behind it, what libcurl had read; paused or not. What is refused now is lost: the log says how many
 * messages and bytes, and a gap of cause `spool_full` counts them. (Called from inside `post`: what lies
 * behind that message in the bytes at hand is offered after `post` has returned.) Then a last `count` event;
 * the connection ends, everything is given back, and done(user) (may be NULL) is called from the loop. s must
 * not be used after this call. Also for a source never started. */
void source_stop(struct source *s, const char *cause, void (*done)(void *user), void *user);

/* How it is, for people and monitors. Wall times; CLOCK_NONE: none. */
struct source_condition {
    enum source_state state;
    int64_t since;        /* it streams, or does not; before anything happened: it was opened */
    int64_t next_attempt; /* in state waiting and down */
    const char *error; /* why the latest attempt failed or the latest stream ended; "": none did. Valid until
                        * the loop's next turn */
    int64_t error_at;
};
struct source_condition source_condition(const struct source *s);

const char *source_name(const struct source *s);
enum source_state source_state(const struct source *s);
struct source_counts source_count(const struct source *s);

/* --- for networks: what is particular to one --- */

/* One signed attempt; strings on the heap, the source frees them. */
struct source_attempt {
    bool again;         /* given: it streamed before, in this life or an earlier one */
    const char *method; /* a constant */
    char *url;
    char *authorization; /* a whole header line; wiped before it is freed */
    char *form;          /* NULL: no body */
};

/* What something that the server said means for the next attempt. All-zero: nothing. */
struct source_reaction {
    bool fatal; /* only another configuration changes it: the source stops at once */
    bool final; /* trying again does not change it: see source_timing.final_attempts */
    enum backoff_ladder ladder;
    const char *cause; /* of roost.gaps, a constant; NULL: nothing was said */
    int64_t at_least;  /* milliseconds that the server asks for; 0 or less: none */
    int64_t at_most;   /* no use in waiting longer; 0: no bound */
};

/* The same with the words for it. */
struct source_verdict {
    struct source_reaction reaction;
    const char *advice; /* what it means here and what to do; never NULL, lives as long as the protocol */
    char words[200];    /* the server's own, as ` "WORDS"`, or "" */
    char why[ERR_TEXT_SIZE]; /* the whole message, for the log */
};

/* What the source must know of a message beyond the post. All-zero: nothing. */
struct source_remark {
    bool evicted; /* the server ends this stream for another client of the account: reconnecting at once would
                     fight it */
    /* The server says that it ends this stream. With BACKOFF_NETWORK the stream may be opened again at once
     * if it has earned it; else this ladder is climbed. */
    struct source_reaction ends;
    uint64_t undelivered; /* posts left out by the server since the connection was opened, in all; 0: nothing
                             new */
    char text[300];       /* to be logged; "": nothing */
};

struct http_result; /* ingest/http_stream.h */

/* What start_preparing has begun is over. failed NULL: prepare may follow; else the attempt is over, and this
 * is what it means. */
typedef void source_prepared(void *user, const struct source_verdict *failed);

typedef void source_in_force(void *user, const struct version *version);

struct source_protocol {
    const char *type;                   /* as in `type = TYPE` */
    const char *network;                /* as in posts.network */
    const struct source_timing *timing; /* by the network's documents */
    void *(*open)(const struct source_settings *settings, struct err *e);
    void (*close)(void *state);
    /* What must be done over the network before a stream can be asked for (a token, rules). Asked before each
     * prepare. 0: nothing, prepare may follow at once. 1: it has begun; done(user, ...) is called from the
     * loop later, once, never inside this call. -1: as of prepare. NULL: there never is anything. */
    int (*start_preparing)(void *state, uv_loop_t *loop, source_prepared *done, void *user, struct err *e);
    /* Takes all that the protocol has on the loop off it; a start_preparing under way is given up and its
     * `done` is not called any more. closed(user) is called when nothing is left, perhaps inside this call;
     * then only `close` follows. NULL: there never is anything. */
    void (*quit)(void *state, void (*closed)(void *user), void *user);
    /* Called once, before all else: whom to tell, from the loop, what the network is asked for from a moment
     * on. NULL: it is never told. */
    void (*watch)(void *state, source_in_force *tell, void *user);
    /* The stream that was prepared last is open. NULL: of no interest. */
    void (*streams)(void *state);
    /* The stream that `streams` told of has ended, and the source waits before it asks again. NULL: of no
     * interest. */
    void (*ended)(void *state);
    /* Builds and signs one attempt. ERR_FATAL: no attempt can ever work. */
    int (*prepare)(void *state, struct source_attempt *attempt, struct err *e);
    /* Goes on with another list, beside the open stream (see source_change). NULL: never. `settings` are of
     * the same type. */
    bool (*change)(void *state, const struct source_settings *settings);
    /* A second stream may be opened beside the first: the server then ends the older one. Only without
     * start_preparing. */
    bool beside;
    /* The settings that it goes by, or is about to, where `change` may have made them others than those it
     * was opened with. NULL: those. */
    const struct source_settings *(*goes_by)(void *state);
    /* Does it need settings that `change` was given? Not NULL when `change` is not. */
    bool (*uses)(void *state, const struct source_settings *settings);
    /* One message, without its line end, never empty. *post points to what was read, with the keywords that
     * matched, valid until the next call and as long as the message; NULL: the local filter left it out
     * (which filters are local depends on what this network's server can do). -1 with ERR_REJECT: unreadable.
     */
    int (*read)(void *state, struct view message, int64_t received_at, const struct post **post,
                struct source_remark *remark, struct err *e);
    /* An HTTP status that trying again does not change. */
    bool (*is_final)(int status);
    /* What a status means here and what to do, as the second half of a message; never NULL. */
    const char *(*advice)(void *state, int status);
    /* Changes what an answer means where the body says more than the status. v->reaction, words and advice
     * are what the status alone says; `why` is made from them later. NULL: the status says it all. */
    void (*judge)(void *state, const struct http_result *result, struct source_verdict *v);
    /* What a wrong clock of this machine does, for a 401 whose Date is far off: ", which makes signatures
     * invalid"; never NULL. */
    const char *skew_harm;
    /* All that identifies server and credentials, for a keyed hash. */
    void (*identify)(void *state, struct buffer *into);
};

#endif
