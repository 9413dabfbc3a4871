/* One connection to the bridge: what kind of client it is, its output, its end.
 *
 * The problem: clients of three kinds come to one socket and any of them may be slow, silent, broken or
 * hostile. Each is a small state machine with one deadline timer; input is bounded by a line, output by
 * PEER_OUTPUT_MAXIMUM (plain) or by what numbered.c reads ahead. Output is two buffers: one is being written
 * while the other fills.
 */
#include "bridge/bridge_parts.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KEEPALIVE_S = 15, KEPT_CAPACITY = 1 << 20 /* a buffer that a burst made larger is given back */ };

static void on_handle_closed(uv_handle_t *handle)
{
    struct peer *p = handle->data;
    if (--p->open_handles) {
        return;
    }
    struct bridge *b = p->bridge;
    for (struct peer **at = &b->peers; *at; at = &(*at)->next) {
        if (*at == p) {
            *at = p->next;
            break;
        }
    }
    b->peer_count--;
    buffer_free(&p->filling);
    buffer_free(&p->sending);
    buffer_free(&p->input);
    free(p);
    bridge_peer_gone(b);
}

static void leave_counts(struct peer *p)
{
    struct bridge_numbers *n = &p->bridge->numbers;
    n->plain_clients -= p->state == PEER_PLAIN;
    n->numbered_clients -= p->state == PEER_WELCOMED || p->state == PEER_NUMBERED;
    spool_close_cursor(p->cursor);
    p->cursor = NULL;
}

void peer_close(struct peer *p, const char *why)
{
    if (p->state == PEER_CLOSED) {
        return;
    }
    if (why) {
        log_info(&bridge_log, "client %s%s%s closed: %s", p->place, p->consumer[0] ? " consumer " : "",
                 p->consumer, why);
    }
    leave_counts(p);
    p->state = PEER_CLOSED;
    uv_close(&p->socket.handle, on_handle_closed);
    uv_close((uv_handle_t *)&p->timer, on_handle_closed);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    struct peer *p = request->data;
    if (status && p->state == PEER_LEAVING) {
        peer_close(p, NULL);
    }
}

static void on_written(uv_write_t *request, int status)
{
    struct peer *p = request->data;
    p->writing = false;
    if (p->sending.capacity > KEPT_CAPACITY) {
        buffer_free(&p->sending);
    }
    buffer_reset(&p->sending);
    if (p->state == PEER_CLOSED) {
        return;
    }
    if (status) {
        peer_close(p, p->state == PEER_LEAVING ? NULL : uv_strerror(status));
        return;
    }
    if (p->state == PEER_NUMBERED) {
        numbered_pump(p);
    }
    peer_flush(p);
    bridge_check_close(p->bridge);
}

void peer_flush(struct peer *p)
{
    if (p->writing || p->state == PEER_CLOSED || p->state == PEER_UNDECIDED || p->shutting) {
        return;
    }
    if (!p->filling.length) {
        if (p->state == PEER_LEAVING) {
            p->shutting = true;
            p->shutdown.data = p;
            if (uv_shutdown(&p->shutdown, &p->socket.stream, on_shutdown)) {
                peer_close(p, NULL);
            }
        }
        return;
    }
    struct buffer empty = p->sending;
    p->sending = p->filling;
    p->filling = empty;
    uv_buf_t bytes = uv_buf_init(p->sending.data, (unsigned)p->sending.length);
    p->write.data = p;
    p->writing = true;
    int status = uv_write(&p->write, &p->socket.stream, &bytes, 1, on_written);
    if (status) {
        p->writing = false;
        peer_close(p, uv_strerror(status));
    }
}

void peer_leave(struct peer *p, const char *line)
{
    leave_counts(p);
    p->state = PEER_LEAVING;
    /* What waits for a plain client is given up, but a frame that has begun may not be mixed with the line.
     */
    buffer_reset(&p->filling);
    buffer_print(&p->filling, "%s\n", line);
    peer_set_deadline(p, PEER_FAREWELL_MS);
    peer_flush(p);
}

void peer_refuse(struct peer *p, bool final, const char *format, ...)
{
    if (p->state == PEER_LEAVING || p->state == PEER_CLOSED) {
        return;
    }
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    log_info(&bridge_log, "client %s%s%s closed: %s", p->place, p->consumer[0] ? " consumer " : "",
             p->consumer, text);
    char line[sizeof text + 20];
    snprintf(line, sizeof line, "error %s %s", final ? "final" : "retry", text);
    peer_leave(p, line);
}

void peer_add_plain(struct peer *p, struct view frame)
{
    bool wanted = p->state == PEER_PLAIN ||
                  (p->state == PEER_UNDECIDED && p->bridge->settings->plain != BRIDGE_PLAIN_OFF);
    if (!wanted) {
        return;
    }
    if (p->filling.length + p->sending.length + frame.length <= PEER_OUTPUT_MAXIMUM ||
        (!p->filling.length && !p->sending.length)) {
        buffer_add_view(&p->filling, frame);
        if (!buffer_failed(&p->filling)) {
            peer_flush(p);
            return;
        }
    }
    p->bridge->numbers.plain_dropped++;
    peer_close(p, "too slow: 8 MiB waited for it");
}

static void become_plain(struct peer *p)
{
    struct bridge *b = p->bridge;
    if (b->settings->plain == BRIDGE_PLAIN_OFF) {
        peer_refuse(p, true, "this bridge has no plain clients (plain = off), and no hello came within %d ms",
                    PEER_SILENCE_MS);
        return;
    }
    if (b->numbers.plain_clients >= PEER_PLAIN_MAXIMUM) {
        peer_refuse(p, false, "%d plain clients are connected, which is the limit", PEER_PLAIN_MAXIMUM);
        return;
    }
    p->state = PEER_PLAIN;
    b->numbers.plain_clients++;
    log_info(&bridge_log, "client %s is plain", p->place);
    bridge_first_client(b);
    peer_flush(p);
}

static void on_deadline(uv_timer_t *timer)
{
    struct peer *p = timer->data;
    switch (p->state) {
    case PEER_UNDECIDED: {
        /* A loop that was busy may find the timer due before it has looked at the socket. */
        uv_os_fd_t fd;
        char byte;
        if (uv_fileno(&p->socket.handle, &fd) == 0 && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0) {
            peer_set_deadline(p, PEER_HELLO_MS);
            return;
        }
        become_plain(p);
        return;
    }
    case PEER_HELLO:
        peer_refuse(p, true, "the hello did not end within %d ms", PEER_HELLO_MS);
        return;
    case PEER_WELCOMED:
        peer_refuse(p, false, "no start came within %d ms", PEER_START_MS);
        return;
    case PEER_LEAVING:
        peer_close(p, NULL);
        return;
    default:
        return;
    }
}

void peer_set_deadline(struct peer *p, uint64_t ms)
{
    if (!ms) {
        uv_timer_stop(&p->timer);
        return;
    }
    uv_update_time(p->bridge->loop);
    uv_timer_start(&p->timer, on_deadline, ms, 0);
}

/* The first bytes of a client: a hello, or the end. True: go on. */
static bool check_hello(struct peer *p)
{
    struct view hello = VIEW("roost ");
    struct view came = buffer_view(&p->input);
    size_t n = came.length < hello.length ? came.length : hello.length;
    if (memcmp(came.at, hello.at, n) != 0) {
        peer_refuse(p, true,
                    "a plain client sends nothing, a consumer begins with \"roost 1 consumer=NAME\"; this "
                    "was neither");
        return false;
    }
    if (p->state == PEER_UNDECIDED) {
        p->state = PEER_HELLO;
        buffer_reset(&p->filling); /* posts that would have been a plain client's */
        peer_set_deadline(p, PEER_HELLO_MS);
    }
    return true;
}

/* Takes all whole lines out of the input. */
static void take_lines(struct peer *p)
{
    size_t taken = 0;
    while (p->state == PEER_HELLO || p->state == PEER_WELCOMED || p->state == PEER_NUMBERED) {
        struct view rest = view_from(buffer_view(&p->input), taken);
        const char *end = rest.length ? memchr(rest.at, '\n', rest.length) : NULL;
        if (!end) {
            if (rest.length >= PEER_LINE_MAXIMUM) {
                peer_refuse(p, true, "a line is longer than %d bytes", PEER_LINE_MAXIMUM);
            }
            break;
        }
        size_t length = (size_t)(end - rest.at);
        taken += length + 1;
        if (length >= PEER_LINE_MAXIMUM) {
            peer_refuse(p, true, "a line is longer than %d bytes", PEER_LINE_MAXIMUM);
            break;
        }
        numbered_line(p, view_make(rest.at, length));
    }
    buffer_drop(&p->input, taken);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
    struct peer *p = stream->data;
    if (n == 0 || p->state == PEER_CLOSED) {
        return;
    }
    if (n < 0) {
        peer_close(p, p->state == PEER_LEAVING ? NULL : n == UV_EOF ? "it hung up" : uv_strerror((int)n));
        return;
    }
    if (p->state == PEER_LEAVING) {
        return;
    }
    if (p->state == PEER_PLAIN) {
        peer_refuse(p, true, "a plain client sends nothing, and a consumer's hello comes within %d ms",
                    PEER_SILENCE_MS);
        return;
    }
    buffer_append(&p->input, bytes->base, (size_t)n);
    if (buffer_failed(&p->input)) {
        peer_close(p, "out of memory");
        return;
    }
    if ((p->state == PEER_UNDECIDED || p->state == PEER_HELLO) && !check_hello(p)) {
        return;
    }
    take_lines(p);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *bytes)
{
    (void)suggested;
    struct peer *p = handle->data;
    *bytes = uv_buf_init(p->bytes, sizeof p->bytes);
}

/* Where it comes from, and whether it is our own user. */
static void identify(struct peer *p)
{
    struct address from = {.length = sizeof from.socket};
    uv_os_fd_t fd = -1;
    uv_fileno(&p->socket.handle, &fd);
    if (!p->bridge->unix_socket) {
        int length = sizeof from.socket;
        uv_tcp_getpeername(&p->socket.tcp, (struct sockaddr *)&from.socket, &length);
        address_format(&from, p->place);
        uv_tcp_nodelay(&p->socket.tcp, 1);
        uv_tcp_keepalive(&p->socket.tcp, 1, KEEPALIVE_S);
        return;
    }
    struct ucred user;
    socklen_t size = sizeof user;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &user, &size) == 0) {
        p->same_user = user.uid == geteuid();
        snprintf(p->place, sizeof p->place, "unix (process %d, user %u)", (int)user.pid, (unsigned)user.uid);
    } else {
        snprintf(p->place, sizeof p->place, "unix");
    }
}

static struct peer *make_peer(struct bridge *b)
{
    struct peer *p = calloc(1, sizeof *p);
    if (!p) {
        return NULL;
    }
    p->bridge = b;
    p->filling = BUFFER(PEER_OUTPUT_MAXIMUM + FRAME_PLAIN_MAXIMUM);
    p->sending = BUFFER(PEER_OUTPUT_MAXIMUM + FRAME_PLAIN_MAXIMUM);
    p->input = BUFFER(2 * PEER_LINE_MAXIMUM + sizeof p->bytes);
    int status =
        b->unix_socket ? uv_pipe_init(b->loop, &p->socket.pipe, 0) : uv_tcp_init(b->loop, &p->socket.tcp);
    if (status) {
        free(p);
        return NULL;
    }
    uv_timer_init(b->loop, &p->timer);
    p->socket.handle.data = p->timer.data = p;
    p->open_handles = 2;
    p->next = b->peers;
    b->peers = p;
    b->peer_count++;
    return p;
}

void peer_accept(struct bridge *b)
{
    struct peer *p = make_peer(b);
    if (!p) {
        log_warning(&bridge_log, "a client could not be accepted: out of memory");
        return;
    }
    int status = uv_accept(&b->listener->stream, &p->socket.stream);
    if (status == 0) {
        identify(p);
        log_info(&bridge_log, "client %s connected", p->place);
        status = uv_read_start(&p->socket.stream, on_alloc, on_read);
    }
    if (status) {
        peer_close(p, uv_strerror(status));
        return;
    }
    if (b->peer_count > PEER_PLAIN_MAXIMUM + PEER_NUMBERED_MAXIMUM) {
        peer_refuse(p, false, "%d clients are connected, which is the limit",
                    PEER_PLAIN_MAXIMUM + PEER_NUMBERED_MAXIMUM);
        return;
    }
    peer_set_deadline(p, PEER_SILENCE_MS);
}
