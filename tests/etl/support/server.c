#include "server.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

void server_reserve(struct server *s)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    s->client = -1;
    s->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(s->listening >= 0);
    cr_assert_eq(bind(s->listening, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(getsockname(s->listening, (struct sockaddr *)&address, &length), 0);
    s->port = ntohs(address.sin_port);
    snprintf(s->address, sizeof s->address, "127.0.0.1:%d", s->port);
}

void server_listen(struct server *s)
{
    cr_assert_eq(listen(s->listening, 8), 0);
}

void server_open(struct server *s)
{
    server_reserve(s);
    server_listen(s);
}

void server_accept(struct server *s)
{
    int yes = 1;
    s->client = accept(s->listening, NULL, NULL);
    cr_assert(s->client >= 0);
    setsockopt(s->client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

void server_send(struct server *s, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n > 0) {
        ssize_t sent = send(s->client, at, n, MSG_NOSIGNAL);
        cr_assert(sent > 0);
        at += sent;
        n -= (size_t)sent;
    }
}

void server_hang_up(struct server *s)
{
    if (s->client >= 0) {
        close(s->client);
    }
    s->client = -1;
}

void server_close(struct server *s)
{
    server_hang_up(s);
    close(s->listening);
}
