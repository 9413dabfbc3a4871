/* cli/listen_status.h - what `roost listen` tells of itself: the JSON of its status socket and the manager's
 * status line (docs/status.md has the names). On the loop's thread.
 */
#ifndef ROOST_CLI_LISTEN_STATUS_H
#define ROOST_CLI_LISTEN_STATUS_H

#include "bridge/bridge.h"
#include "cli/service.h"
#include "ingest/source.h"

struct listen_status;

/* What is looked at when somebody asks; all of it may change meanwhile. */
struct listen_view {
    struct source *const *sources; /* NULL members are passed over */
    size_t count;
    const struct bridge *bridge; /* NULL: not open */
    const struct bridge_settings *settings;
    bool started; /* the sources were */
};

/* Looks after the service on the loop: a timer, and the status socket. `look` fills the view. NULL: memory is
 * out. */
struct listen_status *listen_status_open(uv_loop_t *loop, const struct config *config,
                                         void (*look)(void *user, struct listen_view *view), void *user);

struct service *listen_status_service(struct listen_status *t);

/* A post of this source was published. */
void listen_status_post(struct listen_status *t, const char *source, const struct bridge *bridge);

/* What it asks for from now on. */
void listen_status_version(struct listen_status *t, const char *source, const char *name);

/* Takes timer and socket off the loop; listen_status_free when the loop has ended. */
void listen_status_close(struct listen_status *t);
void listen_status_free(struct listen_status *t);

#endif
