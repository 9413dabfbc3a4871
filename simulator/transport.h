/* simulator/transport.h - a connection's bytes: straight over the socket, or inside TLS. */
#ifndef ROOST_SIMULATOR_TRANSPORT_H
#define ROOST_SIMULATOR_TRANSPORT_H

#include "simulator/tls.h"

#include <sys/socket.h>

struct transport {
    int fd;                  /* does not block */
    struct tls_session *tls; /* NULL: none */
};

/* As recv(2) and send(2); what tls_receive and tls_send say of errors holds for both. */
static inline ssize_t transport_receive(const struct transport *t, void *into, size_t n)
{
    return t->tls ? tls_receive(t->tls, into, n) : recv(t->fd, into, n, 0);
}

static inline ssize_t transport_send(const struct transport *t, const void *bytes, size_t n)
{
    return t->tls ? tls_send(t->tls, bytes, n) : send(t->fd, bytes, n, MSG_NOSIGNAL);
}

#endif
