/* tests/ingest/support/server.h - an HTTP server that does what a script says, on the test's own loop and a
 * free port.
 *
 * Each connection gets the next script of the list, the last one again and again. A script runs when the
 * request is there whole; at its end the connection is closed.
 */
#ifndef ROOST_TESTS_INGEST_SUPPORT_SERVER_H
#define ROOST_TESTS_INGEST_SUPPORT_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum server_do {
    SERVER_END,   /* close */
    SERVER_SAY,   /* send text as it is */
    SERVER_CHUNK, /* send text as one HTTP chunk */
    SERVER_GZIP,  /* send text gzipped (stored blocks, which is as good as a sync flush) as one HTTP chunk */
    SERVER_FLOOD, /* send text as one HTTP chunk `number` times */
    SERVER_WAIT,  /* number milliseconds */
    SERVER_RESET, /* close with a TCP reset */
    SERVER_HOLD   /* nothing more, until the client goes or server_release */
};

struct server_step {
    enum server_do what;
    const char *text;
    int number;
};

struct server_request {
    int64_t at_ms; /* steady time */
    char *head, *body;
};

enum { SERVER_MOST_SCRIPTS = 32, SERVER_MOST_REQUESTS = 64 };

struct server;

#define STREAM_HEAD "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
#define GZIP_HEAD                                                                                            \
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"                        \
    "Transfer-Encoding: chunked\r\n\r\n"
#define LAST_CHUNK "0\r\n\r\n"

struct server *server_new(uv_loop_t *loop);
int server_port(const struct server *s);

/* Appends a script (ended by SERVER_END), which must outlive the server. */
void server_add(struct server *s, const struct server_step *script);

/* Requests so far, oldest first. */
size_t server_request_count(const struct server *s);
const struct server_request *server_request(const struct server *s, size_t index);

/* Connections open now. */
size_t server_open(const struct server *s);

/* Connections that hold go on with their scripts. */
void server_release(struct server *s);

/* Closes everything; the loop must turn once more, then server_free. */
void server_close(struct server *s);
void server_free(struct server *s);

#endif
