/* etl/stream_socket.c - lines of text from a TCP or Unix socket (DStream semantics, section 8, "Socket
 * text"). */
#include "base/buffer.h"
#include "base/log.h"
#include "base/utf8.h"
#include "bridge/address.h"
#include "etl/stream_graph.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { LINE_MAXIMUM = 8 * 1024 * 1024, READ_SIZE = 64 * 1024, POLL_MS = 100, CONNECT_SECONDS = 5 };

static const struct log_context log_socket = {"etl", "socket"};

struct socket_source {
    struct stream_socket_settings settings;
    struct buffer line, clean; /* the line being read; with bad bytes replaced */
    bool after_cr;
    bool said; /* that it is away */
};

/* ---- connecting ---- */

int stream_socket_connect(const char *address, struct err *e)
{
    struct address a;
    if (address_parse(address, &a, e) != 0) {
        return err_wrap(e, "the address %s", address);
    }
    int fd = socket(a.socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return err_set(e, ERR_RETRY, "cannot make a socket: %s", strerror(errno));
    }
    /* On Linux this bounds connect(2) too, which else waits minutes for a host that does not answer. */
    const struct timeval most = {.tv_sec = CONNECT_SECONDS};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
    if (connect(fd, (const struct sockaddr *)&a.socket, a.length) != 0) {
        err_set(e, ERR_RETRY, "cannot connect to %s: %s", address, strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

/* ---- lines ---- */

/* Stores the line that is being read, with U+FFFD for what is no UTF-8. */
static int line_end(struct socket_source *s, struct stream_receiver *r, struct err *e)
{
    struct view line = buffer_view(&s->line);
    if (!utf8_valid(line)) {
        buffer_reset(&s->clean);
        for (size_t at = 0; at < line.length;) {
            char bytes[4];
            uint32_t point = utf8_next(line, &at);
            buffer_append(&s->clean, bytes, utf8_put(point == UTF8_BAD ? 0xFFFD : point, bytes));
        }
        line = buffer_view(&s->clean);
    }
    int result = stream_receiver_store(r, line, view_none(), view_none(), 0, e);
    buffer_reset(&s->line);
    return result;
}

/* Takes bytes apart at LF, CR and CR LF. */
static int take_bytes(struct socket_source *s, struct stream_receiver *r, struct view bytes, struct err *e)
{
    for (size_t i = 0; i < bytes.length; i++) {
        char c = bytes.at[i];
        if (c == '\n' && s->after_cr) {
            s->after_cr = false;
            continue;
        }
        s->after_cr = c == '\r';
        if (c != '\n' && c != '\r') {
            buffer_add_byte(&s->line, c);
        }
        if ((c == '\n' || c == '\r' || s->line.length >= LINE_MAXIMUM) && line_end(s, r, e) != 0) {
            return -1;
        }
    }
    return buffer_failed(&s->line) ? err_set(e, ERR_RETRY, "out of memory for a line") : 0;
}

/* Reads until the peer closes, an error, or stopping. 0: closed; -1 with *e. */
static int read_lines(struct socket_source *s, struct stream_receiver *r, int fd, struct err *e)
{
    int result = 1;
    char *bytes = malloc(READ_SIZE);
    if (!bytes) {
        return err_set(e, ERR_RETRY, "out of memory for reading a socket");
    }
    while (result > 0 && !stream_receiver_stopping(r)) {
        struct pollfd poll_for = {.fd = fd, .events = POLLIN};
        if (poll(&poll_for, 1, POLL_MS) <= 0) {
            continue;
        }
        ssize_t n = read(fd, bytes, READ_SIZE);
        if (n > 0) {
            result = take_bytes(s, r, view_make(bytes, (size_t)n), e) == 0 ? 1 : -1;
        } else if (n == 0) {
            result = s->line.length > 0 && line_end(s, r, e) != 0 ? -1 : 0;
        } else if (errno != EINTR && errno != EAGAIN) {
            result =
                err_set(e, ERR_RETRY, "reading from %s failed: %s", s->settings.address, strerror(errno));
        }
    }
    free(bytes);
    return result < 0 ? -1 : 0;
}

static void say_away(struct socket_source *s, const struct err *why)
{
    if (!s->said) {
        log_warning(&log_socket, "%s; connecting again until it is there", why->text);
        s->said = true;
    }
}

static void socket_free(void *user)
{
    struct socket_source *s = user;
    buffer_free(&s->line);
    buffer_free(&s->clean);
    free(s);
}

static void socket_run(struct stream_receiver *r, void *user)
{
    struct socket_source *s = user;
    int64_t wait_ms = s->settings.restart_first_ms;
    while (!stream_receiver_stopping(r)) {
        struct err why;
        int fd = stream_socket_connect(s->settings.address, &why);
        if (fd >= 0) {
            if (s->said) {
                log_notice(&log_socket, "connected to %s", s->settings.address);
                s->said = false;
            }
            wait_ms = s->settings.restart_first_ms;
            err_set(&why, ERR_RETRY, "%s closed the connection", s->settings.address);
            s->after_cr = false;
            buffer_reset(&s->line);
            read_lines(s, r, fd, &why);
            close(fd);
        }
        if (stream_receiver_stopping(r)) {
            break;
        }
        say_away(s, &why);
        stream_receiver_sleep(r, wait_ms);
        wait_ms = wait_ms * 2 < s->settings.restart_most_ms ? wait_ms * 2 : s->settings.restart_most_ms;
    }
}

/* ---- the source: a receiver whose state belongs to it ---- */

struct dstream *stream_socket_text(struct stream_context *c, const struct stream_socket_settings *settings,
                                   struct err *e)
{
    struct err form;
    struct address parsed;
    if (address_parse(settings->address, &parsed, &form) != 0) {
        stream_fail(c, STREAM_ILLEGAL_ARGUMENT, e, "the address %s: %s", settings->address, form.text);
        return NULL;
    }
    struct socket_source *s = calloc(1, sizeof *s);
    if (!s) {
        stream_fail(c, STREAM_ENGINE_ERROR, e, "out of memory for a socket source");
        return NULL;
    }
    s->settings = *settings;
    s->line = BUFFER(LINE_MAXIMUM);
    s->clean = BUFFER((size_t)3 * LINE_MAXIMUM);
    const struct stream_receiver_settings receiver = {
        .name = "etl socket", .run = socket_run, .user = s, .free = socket_free};
    const struct block_limits limits = {.interval_ms = 200,
                                        .waiting_records = 100000,
                                        .waiting_bytes = 64 * 1024 * 1024,
                                        .block_records = 4096,
                                        .block_bytes = 1024 * 1024};
    struct dstream *stream = stream_receive(c, &receiver, 1, &limits, e);
    if (!stream) {
        socket_free(s);
    }
    return stream;
}
