/* bridge/client.h - the consumer's end of the bridge: a numbered client (bridge/PROTOCOL.md).
 *
 * Blocking calls with a time-out, for one thread per client. bridge_client_interrupt() alone may be called
 * from any other thread or from a signal handler: it makes the call in progress, and all later ones, return
 * at once.
 */
#ifndef ROOST_BRIDGE_CLIENT_H
#define ROOST_BRIDGE_CLIENT_H

#include "base/err.h"
#include "base/view.h"

#include <stdint.h>

struct bridge_client;

enum { BRIDGE_SPOOL_ID_SIZE = 33 /* 32 hexadecimal digits and NUL */ };

struct bridge_client_settings {
    const char
        *address; /* "127.0.0.1:5555", "[::1]:5555", "localhost:5555" or a Unix socket's absolute path */
    const char *consumer; /* name in roost.progress: 1 to 63 of a-z A-Z 0-9 _ - . */
    const char *token;    /* NULL: none (a Unix socket proves the user) */
};

/* What the bridge says about its spool in answer to the hello. */
struct bridge_welcome {
    char spool[BRIDGE_SPOOL_ID_SIZE];
    uint64_t first; /* the oldest sequence kept; = held + 1 when nothing is kept */
    uint64_t held;  /* the newest sequence that is durable; 0: none yet */
};

struct bridge_frame {
    uint64_t sequence;
    struct view payload; /* the post's JSON, valid until the next bridge_client_read */
};

/* A client that is not connected yet. NULL only when memory or descriptors are out. */
struct bridge_client *bridge_client_new(const struct bridge_client_settings *settings, struct err *e);

/* Connects and says who it is; *welcome gets the answer. ERR_RETRY: nobody listens, or the name is in use
 * (try again after a back-off); ERR_FATAL: refused for good (no or wrong token, bad name, other version). */
int bridge_client_connect(struct bridge_client *c, int timeout_ms, struct bridge_welcome *welcome,
                          struct err *e);

/* Instead of connect: asks the bridge to forget the consumer that the client is named after, so that nothing
 * is kept for it any more. 0: it is forgotten, on disk too. ERR_RETRY: nobody listens, or that consumer is
 * connected; ERR_FATAL: refused for good (no such consumer, no or wrong token). Not connected afterwards. */
int bridge_client_forget(struct bridge_client *c, int timeout_ms, struct err *e);

/* After connect, once: asks for the frames from `from` on (1 for all that is kept). A `from` below
 * welcome.first is moved up by the bridge; one beyond held + 1 is refused (ERR_RETRY: connect again, the
 * spool has a new identity). */
int bridge_client_start(struct bridge_client *c, uint64_t from, struct err *e);

/* The same, and tells the bridge that the spool `gone` (an identity), which was here before and is no more,
 * was read up to frame `had` (from 1): it writes a gap event. */
int bridge_client_start_after(struct bridge_client *c, uint64_t from, const char *gone, uint64_t had,
                              struct err *e);

/* The next frame. 1: *frame is filled; 0: none came within timeout_ms, or interrupted; -1: the connection is
 * lost (ERR_RETRY) or a frame is broken (ERR_RETRY with its position: connect again and ask from the last
 * good one). */
int bridge_client_read(struct bridge_client *c, int timeout_ms, struct bridge_frame *frame, struct err *e);

/* True when bridge_client_read would give a frame without waiting for the network. */
int bridge_client_ready(const struct bridge_client *c);

/* Everything up to `sequence` is committed. Never beyond what this connection has read. May be called from
 * another thread than the reader's. */
int bridge_client_acknowledge(struct bridge_client *c, uint64_t sequence, struct err *e);

void bridge_client_interrupt(struct bridge_client *c);

/* Ends the connection; connect may be called again. */
void bridge_client_disconnect(struct bridge_client *c);

void bridge_client_free(struct bridge_client *c); /* NULL does nothing */

#endif
