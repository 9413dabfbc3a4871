/* simulator/server.h - what the files of the server share; nobody outside includes it.
 *
 * simulator.c: options, the listening socket, the event loop and its clock. connection.c: a connection from
 * accept to close, the request, answers that are no stream. stream.c: the body of a stream, the pace, slow
 * readers.
 */
#ifndef ROOST_SIMULATOR_SERVER_H
#define ROOST_SIMULATOR_SERVER_H

#include "base/log.h"
#include "simulator/feed.h"
#include "simulator/fields.h"
#include "simulator/http_request.h"
#include "simulator/repeats.h"
#include "simulator/simulator.h"
#include "simulator/wire.h"

#include <stdatomic.h>

enum connection_state {
    CONNECTION_READING,   /* the request is not complete */
    CONNECTION_STREAMING, /* messages go out as they come */
    CONNECTION_DRAINING,  /* nothing is added any more; what is ready is sent */
    CONNECTION_LINGERING, /* all is sent and our side is shut; the client's close is awaited */
    CONNECTION_CLOSED     /* to be freed at the end of this turn of the loop */
};

struct account {
    char *name; /* for the log: the API key and its number, never a secret */
    struct feed feed;
    struct repeats repeats;       /* without a rate: the last messages of its streams */
    struct connection *streaming; /* the newest stream of this account, or NULL */
    int64_t *attempts;            /* times of the last max_connects attempts, a ring; NULL: not counted */
    size_t attempt_next;
};

struct app;    /* simulator/api2.h */
struct faults; /* simulator/fault_run.h */

enum { STREAM_DRAIN_MS = 5000 }; /* for a client to take the end of its stream */

/* What faults do to one stream; steady times, 0: nothing. */
struct stream_faults {
    int64_t silent_until_ms; /* nothing is sent */
    int64_t quiet_until_ms;  /* no message is added; keep-alives are */
    int64_t slow_until_ms, slow_since_ms, slow_next_ms, slow_bytes;
    uint64_t slow_from;    /* bytes sent when it began to be slow */
    int64_t late_flush_ms; /* half of what waits next is sent, the rest after so long */
    uint64_t partial_left; /* messages that get one more partial error */
    struct view *held;     /* messages kept until there are hold_wanted, to go out in reverse; copies */
    size_t held_count, hold_wanted;
    uint64_t held_from, held_behind; /* where the stream stood before the first one, and behind the last */
};

struct stream {
    struct account *account;
    struct app *app;      /* of a stream of API v2; NULL: one of v1.1 */
    struct fields fields; /* with an app: what it asked to see */
    int64_t keep_alive_ms;
    int64_t began_wall_ms;
    bool recovers;            /* a job of start_time and end_time */
    struct selection *filter; /* NULL: everything matches */
    uint8_t *verdicts;        /* per message of the list: 0 not asked yet, 1 no, 2 yes */
    bool delimited, stall_warnings;
    uint64_t start;     /* position at which it began */
    uint64_t unmatched; /* messages passed in a row without a match */
    int64_t last_data_ms;
    unsigned warned; /* the percentage last warned about; 0: none */
    int64_t second;  /* for limit_rate: the second it counts in, and what it has sent in it */
    uint64_t in_second, undelivered, undelivered_told;
    int64_t limit_told_ms;
    uint64_t counted_messages, counted_bytes; /* already in the simulator's counts */
    uint64_t added;                           /* messages put on the wire, repeats not counted */
    bool cut;                                 /* half of a message is on the wire: closed when that is sent */
    struct stream_faults faults;
    const char *ended; /* why, for the log; NULL: not yet */
};

struct connection {
    struct simulator *sim;
    struct connection *next, *previous;
    enum connection_state state;
    struct transport transport;
    bool delayed;        /* a fault: the request is handled at deadline_ms */
    uint64_t number;     /* of this connection, from 1 */
    uint32_t events;     /* what epoll watches for */
    int64_t deadline_ms; /* steady; INT64_MAX: none */
    char peer[64];
    struct buffer in;
    struct http_request request;
    bool continued;    /* 100 Continue was sent */
    struct wire *wire; /* the answer */
    struct stream *stream;
};

struct simulator {
    struct simulator_options options;
    struct oauth_account *accounts_given; /* what options.accounts points to: a copy of the caller's */
    struct playlist *list;
    struct oauth_check *check;
    struct account *accounts[SIMULATOR_ACCOUNTS_MAX];
    size_t account_count;
    struct feed live; /* of a stream with a rate */
    struct repeats live_repeats;
    int64_t live_start_us; /* steady; 0: not begun */
    uint64_t last_id;
    struct buffer scratch;
    struct posts *posts; /* with API v2; else NULL */
    struct app *apps;    /* likewise */
    size_t app_count;
    struct buffer projected; /* the message in hand as a stream of API v2 gets it */
    uint64_t connections_made;
    struct pace *pace;     /* of a stream with a rate or speed; else NULL */
    struct faults *faults; /* NULL: nothing goes wrong */
    struct tls *tls;       /* NULL: plain HTTP */
    int listen_fd, epoll_fd, stop_fd;
    int port;
    char address[80];
    struct connection *connections;
    size_t connection_count;
    int64_t now_ms; /* steady, of this turn of the loop */
    bool stopping, played_out;
    uint64_t answers_given; /* of answer_status */
    atomic_uint_least64_t requests, refused, messages, bytes, slow;
};

static const struct log_context SIMULATOR_LOG = {"simulate", NULL};

static inline bool simulator_is_live(const struct simulator *s)
{
    return s->options.rate > 0 || s->options.speed > 0;
}

/* simulator.c */
void simulator_stop_listening(struct simulator *s);
int simulator_listen_again(struct simulator *s); /* -1: the port is not free */

/* connection.c */
void connection_handle(struct connection *c);                          /* the request is complete */
void connection_accept(struct simulator *s, int fd, const char *peer); /* takes fd over */
void connection_event(struct connection *c, uint32_t events);
void connection_watch(struct connection *c, uint32_t events);
void connection_drain(struct connection *c,
                      int64_t milliseconds); /* the wire is complete: send it, then close */
void connection_sent(struct connection *c);  /* in DRAINING: go on if all is sent */
void connection_close(struct connection *c);
void connection_free(struct connection *c);

/* An answer that is no stream: all its bytes, and what the log says of it. */
void connection_answer(struct connection *c, int status, struct view bytes, const char *note);
int connection_answers_by_option(
    struct simulator *s); /* the status of answer_status, if it is its turn; else 0 */

/* Answers with a stream; takes filter over. headers: further lines of its head. c->stream is NULL afterwards
 * when it failed. */
void connection_begin_stream(struct connection *c, struct account *a, struct selection *filter,
                             struct view headers);
struct account *account_named(struct simulator *s,
                              const char *name); /* made if there is none; NULL: too many */

/* stream.c */
int stream_begin(
    struct connection *c, struct account *account,
    struct selection *filter); /* the wire holds the head; takes filter over, also when it fails */
void stream_add_repeats(
    struct connection *c);              /* what a new stream of v1.1 begins with again; moves nothing on */
void stream_pull(struct connection *c); /* without a rate: fill and send while the socket takes it */
void stream_live(struct simulator *s);  /* with a rate: all that is due now, to all */
int64_t stream_live_next_ms(struct simulator *s);       /* until the next message is due; INT64_MAX: none */
void stream_send(struct connection *c);                 /* what is ready, as far as it may go now */
size_t stream_allowance(struct connection *c);          /* bytes that may be sent now */
void stream_repeat(struct connection *c, size_t count); /* the last messages once more */
void stream_hold(struct connection *c, size_t count);   /* the next messages will come in reverse */
void stream_release(struct connection *c);              /* what is held goes onto the wire */
void stream_keep_alive(struct connection *c);           /* if it is time */
void stream_end(struct connection *c, int disconnect_code, const char *why);   /* code 0: no message */
void stream_end_with(struct connection *c, const char *json, const char *why); /* json NULL: no message */
void stream_forget(struct connection *c); /* the connection closes: its place in the feed, the log line */

#endif
