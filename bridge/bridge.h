/* bridge/bridge.h - the listening end: takes posts, keeps them in the spool, hands them to clients.
 *
 * Everything runs on one libuv loop, the caller's; every function is called on that loop's thread. Disk syncs
 * happen on a worker behind it, never on the loop. Order of things for one post: bridge_publish appends its
 * frame to the spool and gives it to plain clients at once; numbered clients get it when the spool holds it
 * (synced).
 */
#ifndef ROOST_BRIDGE_BRIDGE_H
#define ROOST_BRIDGE_BRIDGE_H

#include "bridge/post.h"
#include "bridge/settings.h"

#include <stdbool.h>
#include <uv.h>

struct bridge;

struct bridge_events { /* NULL members are not called; `user` is handed back; called on the loop's thread */
    void (*first_client)(void *user); /* the first client of any kind is there (start = on_client) */
    void (*room)(void *user);         /* after a refused bridge_publish: the spool takes posts again */
    void *user;
};

/* Opens the spool (locks it, recovers it) and listens. The log says bound, listening, and each client's
 * address and port. Settings must outlive the bridge. NULL: ERR_FATAL for a folder or address that cannot
 * work, ERR_RETRY for a port in use. */
struct bridge *bridge_open(uv_loop_t *loop, const struct bridge_settings *settings,
                           const struct bridge_events *events, struct err *e);

/* The TCP port that is bound (of use with port 0); 0 for a Unix socket. */
int bridge_port(const struct bridge *b);

/* Takes a post or an event. ERR_RETRY: the spool is full or the disk is; the post was not taken, the caller
 * keeps it, stops reading its network and waits for `room`. ERR_REJECT: the post is longer than a frame may
 * be. */
int bridge_publish(struct bridge *b, const struct post *post, struct err *e);

/* The caller stops: what it has received and publishes from here on may go over spool_max and into what is
 * kept free on the disk for it (spool.h, spool_take_last). Then bridge_took_last: nothing more comes but
 * bridge_close, and the rest of what was kept is free for the small files beside the spool. */
void bridge_take_last(struct bridge *b);
void bridge_took_last(struct bridge *b);

struct bridge_numbers {
    uint64_t published, bytes;      /* frames and their bytes since the start */
    uint64_t appended, held, first; /* sequences: newest in the spool, newest synced, oldest kept */
    size_t plain_clients, numbered_clients;
    uint64_t plain_dropped; /* slow plain clients that were closed */
    uint64_t spool_bytes;   /* on disk */
    bool full;              /* the latest post was refused */
};
void bridge_count(const struct bridge *b, struct bridge_numbers *numbers);

/* A consumer that the spool knows: what it has committed, whether it has a connection now. */
struct bridge_consumer {
    const char *name;
    uint64_t position;
    bool connected;
};

/* Calls tell for each of them, in the order in which they became known. */
void bridge_each_consumer(const struct bridge *b,
                          void (*tell)(void *user, const struct bridge_consumer *consumer), void *user);
const char *bridge_spool_identity(const struct bridge *b);

/* Stops listening, syncs what was published, lets numbered clients take what is held for at most `grace_ms`,
 * closes all clients, then calls done(user) on the loop; the bridge is freed just before. */
void bridge_close(struct bridge *b, int grace_ms, void (*done)(void *user), void *user);

#endif
