/* bridge/bridge_parts.h - what the listening end's files share; nobody else includes it.
 *
 * bridge.c opens, publishes and closes; losses.c tells what the spool lost, told.c remembers what was told;
 * peer.c is one connection, from accept to close, with its output; numbered.c is the talk with a consumer.
 * Everything is on the loop's thread.
 */
#ifndef ROOST_BRIDGE_BRIDGE_PARTS_H
#define ROOST_BRIDGE_BRIDGE_PARTS_H

#include "base/buffer.h"
#include "base/log.h"
#include "bridge/address.h"
#include "bridge/bridge.h"
#include "bridge/frame.h"
#include "bridge/spool.h"

#include <stdbool.h>

enum {
    PEER_PLAIN_MAXIMUM = 64,    /* plain clients at once */
    PEER_NUMBERED_MAXIMUM = 16, /* numbered clients at once */
    PEER_SILENCE_MS = 200,      /* design section 5: a client that is silent this long is plain */
    PEER_HELLO_MS = 5000,       /* a hello that began must end within this time */
    PEER_START_MS = 30000,   /* a welcomed consumer must say where it starts: it may ask its database first */
    PEER_FAREWELL_MS = 1000, /* the last line may take this long to be read */
    PEER_LINE_MAXIMUM = 512, /* bytes of a line from a client */
    PEER_OUTPUT_MAXIMUM = 8 << 20, /* bytes that may wait for a plain client */
    BRIDGE_LOSSES_MAXIMUM = 16,    /* that wait to be told */
    NUMBERED_PIECE = 256 * 1024    /* a numbered client's output is filled up to this, then written */
};

enum peer_state {
    PEER_UNDECIDED, /* accepted; nothing came yet */
    PEER_HELLO,     /* a hello has begun */
    PEER_PLAIN,
    PEER_WELCOMED, /* a numbered client that has not said where it starts */
    PEER_NUMBERED,
    PEER_LEAVING, /* its last line is being written; what it sends is thrown away */
    PEER_CLOSED   /* its handles are closing */
};

struct peer {
    struct bridge *bridge;
    struct peer *next;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } socket;
    uv_timer_t timer; /* the deadline of its state */
    uv_write_t write;
    uv_shutdown_t shutdown;
    unsigned open_handles;
    enum peer_state state;
    char place[ADDRESS_TEXT_SIZE]; /* for the log */
    bool same_user;                /* a Unix socket says that it is our own user */
    bool writing, shutting;
    struct buffer filling, sending; /* output that waits, and output that is being written */
    struct buffer input;            /* a line that has not ended */
    char bytes[4096];               /* what libuv reads into */
    char consumer[64];
    struct spool_cursor *cursor;
    uint64_t sent;      /* highest sequence given to this connection */
    uint64_t committed; /* highest it acknowledged here */
};

union bridge_listener {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

/* A spool that is gone, as a consumer knew it, or the bridge itself: then `consumer` is BRIDGE_ITSELF. */
#define BRIDGE_ITSELF "*" /* no consumer has that name */
struct bridge_gone {
    char consumer[64];
    char spool[SPOOL_IDENTITY_SIZE]; /* "": none is gone */
    uint64_t had;                    /* frames up to here; 0 with BRIDGE_ITSELF */
};

/* Frames that the spool lost, on their way to be a `gap` event (losses.c). */
struct bridge_loss {
    const char *cause; /* a constant */
    uint64_t first, last;
    bool counted;    /* first to last is what is lost */
    int64_t noticed; /* wall time */
    struct bridge_gone gone;
    char text[ERR_TEXT_SIZE];
};

struct bridge {
    uv_loop_t *loop;
    const struct bridge_settings *settings;
    struct bridge_events events;
    struct view marker;
    struct spool *spool;
    union bridge_listener *listener;
    uv_timer_t close_timer;
    unsigned open_handles;
    bool unix_socket;
    struct address address; /* as bound */
    struct peer *peers;
    size_t peer_count;
    struct bridge_numbers numbers;
    struct buffer post, payload, frame; /* of the post in hand: as written, escaped, for plain clients */
    struct log_repeat full_repeat, drop_repeat;
    struct bridge_loss losses[BRIDGE_LOSSES_MAXIMUM];
    size_t loss_count;
    bool telling_losses;
    bool full;
    bool client_told;
    bool closing, leaving;
    void (*done)(void *user);
    void *done_user;
};

extern const struct log_context bridge_log;

/* bridge.c */
void bridge_first_client(struct bridge *b);
void bridge_peer_gone(struct bridge *b);   /* after a peer was freed */
void bridge_check_close(struct bridge *b); /* closing: goes on when nobody has anything to take */

/* losses.c */
void bridge_note_loss(struct bridge *b, const struct spool_report *report);
/* The same for a consumer that found another spool here; `text` is the gap's detail and names gone->spool.
 * Nothing happens when it is told already. */
void bridge_note_gone(struct bridge *b, const struct bridge_gone *gone, const char *text);
void bridge_publish_losses(struct bridge *b);

/* told.c: at opening, before anything is appended; whether a gap of this consumer, or of the bridge itself,
 * about that spool waits or is written; and, just before it is appended, that it is to be the frame
 * `sequence`. A file that cannot be written is only logged: the gap may then be told again. */
void bridge_check_told(struct bridge *b);
bool bridge_told(struct bridge *b, const struct bridge_gone *gone);
void bridge_note_told(struct bridge *b, const struct bridge_gone *gone, uint64_t sequence);

/* peer.c */
void peer_accept(struct bridge *b);
void peer_add_plain(struct peer *p, struct view frame);
void peer_flush(struct peer *p);
/* Sends one last line, "error retry TEXT" or "error final TEXT", and closes; TEXT goes to the log. */
void peer_refuse(struct peer *p, bool final, const char *format, ...) __attribute__((format(printf, 3, 4)));
void peer_leave(struct peer *p, const char *line); /* sends this last line, and closes */
void peer_close(struct peer *p, const char *why);  /* at once; `why` goes to the log, NULL: nothing does */
void peer_set_deadline(struct peer *p, uint64_t ms);

/* numbered.c: a line from a client that has said hello, or is about to; and the next frames, as far as it
 * takes them. */
void numbered_line(struct peer *p, struct view line);
void numbered_pump(struct peer *p);
bool numbered_done(const struct peer *p); /* everything held is written to it */
struct view
numbered_word(struct view *rest); /* the first word of a line; *rest gets what follows its space */

#endif
