/* base/status_socket.h - a Unix socket that gives each client one answer and closes.
 *
 * The service makes its answer when somebody asks; it fits into what the socket takes at once, so nobody is
 * waited for and nothing about a client is remembered (base/DESIGN.md, "The status socket"). What a client
 * sends is not read. One thread at a time.
 */
#ifndef ROOST_BASE_STATUS_SOCKET_H
#define ROOST_BASE_STATUS_SOCKET_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/view.h"

enum {
    STATUS_SOCKET_MAXIMUM = 160 * 1024, /* bytes of an answer */
    STATUS_SOCKET_CLIENTS = 16          /* answered in one call */
};

struct status_socket;

/* A socket that is not there yet. `path` is copied. NULL: memory is out. */
struct status_socket *status_socket_new(const char *path);

/* Makes the socket, if it is not there: also when its file was removed since. Any local user may connect. A
 * file that is left of a killed process is replaced. 1: it is new, and so is its descriptor; 0: nothing has
 * changed; -1 with ERR_RETRY: not now (another process answers on it, the folder cannot be written). */
int status_socket_keep(struct status_socket *s, struct err *e);

/* What to poll for reading; -1: it is not there. */
int status_socket_descriptor(const struct status_socket *s);

const char *status_socket_path(const struct status_socket *s);

/* Answers whoever waits, up to STATUS_SOCKET_CLIENTS; write(user, answer) makes the answer, once for all of
 * them. An answer that failed its maximum is replaced by {"error":"..."}. Never waits. */
void status_socket_answer(struct status_socket *s, void (*write)(void *user, struct buffer *answer),
                          void *user);

/* Removes the file if it is ours. NULL does nothing. */
void status_socket_free(struct status_socket *s);

/* The other side: connects and appends the whole answer. -1: ERR_FATAL: nobody has this socket (no file, or a
 * killed process's); ERR_RETRY: no whole answer within timeout_ms of real time, or no right to ask. */
int status_socket_ask(const char *path, int64_t timeout_ms, struct buffer *answer, struct err *e);

#endif
