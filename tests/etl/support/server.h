/* tests/etl/support/server.h - a TCP server for one client at a time, on a port of 127.0.0.1 that the system
 * chooses. */
#ifndef ROOST_TESTS_ETL_SERVER_H
#define ROOST_TESTS_ETL_SERVER_H

#include <stddef.h>

struct server {
    int listening, client; /* -1: none */
    int port;
    char address[32];
};

void server_open(struct server *s);
void server_accept(struct server *s);
void server_send(struct server *s, const void *bytes, size_t n);
void server_hang_up(struct server *s); /* the client's connection */
void server_close(struct server *s);

/* A port that nobody listens on, held by a socket that is bound only. */
void server_reserve(struct server *s);
void server_listen(struct server *s); /* after server_reserve */

#endif
