/* tests/threads/sink_stop.c - stop() from another thread ends a blocked call of every sink, without a data
 * race.
 *
 * The console's reader has stopped reading; PostgreSQL's is a Unix socket on which nobody accepts. Run under
 * TSan.
 */
#include "sinks/console.h"
#include "sinks/postgres.h"

#include "base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct call {
    struct sink *sink;
    const struct load *load;
    struct err e;
    int rc;
};

static void *write_console(void *user)
{
    struct call *c = user;
    c->rc = sink_console.write(c->sink, c->load, &c->e);
    return NULL;
}

static void *ask_position(void *user)
{
    struct call *c = user;
    uint64_t sequence;
    c->rc = sink_postgres.position(c->sink, "etl", VIEW("a"), &sequence, &c->e);
    return NULL;
}

static int check(const char *what, const struct call *c, int64_t told)
{
    int64_t took = clock_steady_ms() - told;
    if (c->rc == -1 && c->e.kind == ERR_RETRY && took < 5000) {
        fprintf(stderr, "%s: stopped after %lld ms\n", what, (long long)took);
        return 0;
    }
    fprintf(stderr, "%s: rc %d, %s, after %lld ms\n", what, c->rc, c->rc ? c->e.text : "", (long long)took);
    return 1;
}

/* Until nothing more can be written to it. */
static void fill(int fd)
{
    char bytes[4096] = "";
    while (write(fd, bytes, sizeof bytes) > 0) {
    }
}

static int stop_console(void)
{
    int pipe_ends[2];
    struct post post;
    struct load_row row = {.sequence = 1, .post = &post};
    struct load_part part = {.spool = VIEW("a"),
                             .first_sequence = 1,
                             .last_sequence = 1,
                             .received = 1,
                             .posts = &row,
                             .post_count = 1};
    struct load load = {.consumer = "etl", .parts = &part, .part_count = 1};
    pthread_t thread;
    post_init(&post);
    post.text = VIEW("hello");
    if (pipe(pipe_ends)) {
        return 1;
    }
    fcntl(pipe_ends[1], F_SETFL, O_NONBLOCK);
    fill(pipe_ends[1]);
    dup2(pipe_ends[1], STDOUT_FILENO);
    struct call c = {.load = &load};
    c.sink = sink_console.open(NULL, "screen", &c.e);
    pthread_create(&thread, NULL, write_console, &c);
    int64_t told = clock_steady_ms();
    sink_console.stop(c.sink);
    pthread_join(thread, NULL);
    sink_console.close(c.sink);
    close(pipe_ends[0]);
    return check("console", &c, told);
}

static int stop_postgres(void)
{
    char folder[] = "/tmp/roost-stop-XXXXXX", conninfo[100];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pthread_t thread;
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!mkdtemp(folder)) {
        return 1;
    }
    snprintf(address.sun_path, sizeof address.sun_path, "%s/.s.PGSQL.5432", folder);
    snprintf(conninfo, sizeof conninfo, "host=%s port=5432 user=u dbname=d", folder);
    struct postgres_settings settings = {.conninfo = conninfo};
    struct call c = {0};
    int rc = 1;
    if (bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 5) == 0) {
        c.sink = sink_postgres.open(&settings, "main", &c.e);
        pthread_create(&thread, NULL, ask_position, &c);
        int client = accept(listener, NULL, NULL); /* it is connected now, and waits for an answer */
        int64_t told = clock_steady_ms();
        sink_postgres.stop(c.sink);
        pthread_join(thread, NULL);
        rc = check("postgres", &c, told);
        close(client);
        sink_postgres.close(c.sink);
    }
    close(listener);
    unlink(address.sun_path);
    rmdir(folder);
    return rc;
}

int main(void)
{
    return stop_postgres() | stop_console();
}
