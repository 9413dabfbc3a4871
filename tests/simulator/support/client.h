/* tests/simulator/support/client.h - a simulator in a thread, and a plain HTTP client that sees every byte.
 */
#ifndef ROOST_TESTS_SIMULATOR_CLIENT_H
#define ROOST_TESTS_SIMULATOR_CLIENT_H

#include "base/buffer.h"
#include "simulator/simulator.h"

#include <pthread.h>

struct server {
    struct simulator *simulator;
    pthread_t thread;
};

/* Opens and runs one on a free port; the test fails if it cannot. */
void server_start(struct server *s, const struct simulator_options *options);
void server_stop(struct server *s);

/* Waits until the simulator's thread ends by itself. */
void server_wait(struct server *s);

struct client {
    int fd;
    struct buffer bytes; /* all that came, head included */
    bool closed;         /* the server ended the connection */
    bool reset;          /* ... and not in order */
};

/* Connects and sends these bytes. */
void client_open(struct client *c, int port, const char *request);

/* GET PATH, or POST PATH with a form body (not NULL), with further header lines ("A: b\r\n", or ""). */
void client_ask(struct client *c, int port, const char *path, const char *body, const char *headers);

/* Reads until the body, without chunks and decompressed, holds `text` `times` times, or the server closes
 * (text NULL: until then). The test fails after 20 s. */
void client_read_until(struct client *c, const char *text, size_t times);

int client_status(const struct client *c);
const char *client_header(struct client *c, const char *name, char value[200]); /* NULL: not sent */

/* The decoded body so far; appended to *body. Chunk sizes go to sizes (at most max, NULL: not wanted); *count
 * gets their number. *ended: the last chunk of size 0 came. */
void client_body(const struct client *c, struct buffer *body, size_t *sizes, size_t max, size_t *count,
                 bool *ended);

void client_close(struct client *c);

/* How often text occurs. */
size_t count_of(const struct buffer *b, const char *text);

/* Writes lines into a new temporary file; the path must be unlinked and freed. */
char *temporary_file(const char *lines);

/* A tweet as one line: id, language, text (no escapes needed). */
void add_tweet(struct buffer *into, unsigned id, const char *language, const char *text);

#endif
