#include "bridge/client.h"

#include "base/clock.h"
#include "base/number.h"
#include "base/watchdog.h"
#include "base/wipe.h"
#include "bridge/address.h"
#include "bridge/frame.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    PIECE = 128 * 1024, /* bytes asked of the socket at once */
    LINE_MAXIMUM = 1024,
    INPUT_MAXIMUM = FRAME_HEAD_MAXIMUM + FRAME_PAYLOAD_MAXIMUM + FRAME_MARKER_MAXIMUM + 2 + 2 * PIECE,
    SEND_TIMEOUT_MS = 10000
};

struct bridge_client {
    char *address, *consumer, *token;
    int wake; /* eventfd: readable for ever once interrupted */
    atomic_bool interrupted;
    int fd;                     /* -1: not connected; changed by the reader's thread, under `sending` */
    pthread_mutex_t sending;    /* one writer at a time; no end of the connection under a writer */
    _Atomic uint64_t delivered; /* highest sequence given to the caller on this connection */
    char marker[FRAME_MARKER_MAXIMUM + 1];
    struct buffer input;
    size_t taken; /* bytes at the front of input that the caller is done with */
    bool started;
};

static char *copy_text(const char *text)
{
    return text ? strdup(text) : NULL;
}

struct bridge_client *bridge_client_new(const struct bridge_client_settings *settings, struct err *e)
{
    struct bridge_client *c = calloc(1, sizeof *c);
    if (!c) {
        err_set(e, ERR_RETRY, "out of memory");
        return NULL;
    }
    c->fd = -1;
    c->input = BUFFER(INPUT_MAXIMUM);
    pthread_mutex_init(&c->sending, NULL);
    c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->address = copy_text(settings->address);
    c->consumer = copy_text(settings->consumer);
    c->token = copy_text(settings->token);
    if (c->wake < 0 || !c->address || !c->consumer || (settings->token && !c->token)) {
        err_set(e, ERR_RETRY, "cannot make a client of the bridge: %s", strerror(errno));
        bridge_client_free(c);
        return NULL;
    }
    return c;
}

void bridge_client_free(struct bridge_client *c)
{
    if (!c) {
        return;
    }
    bridge_client_disconnect(c);
    if (c->wake >= 0) {
        close(c->wake);
    }
    pthread_mutex_destroy(&c->sending);
    buffer_free(&c->input);
    free(c->address);
    free(c->consumer);
    wipe_string(c->token);
    free(c);
}

void bridge_client_interrupt(struct bridge_client *c)
{
    int saved_errno = errno;
    atomic_store(&c->interrupted, true);
    uint64_t one = 1;
    ssize_t written = write(c->wake, &one, sizeof one);
    (void)written; /* full means that it is readable already */
    errno = saved_errno;
}

void bridge_client_disconnect(struct bridge_client *c)
{
    if (c->fd >= 0) {
        shutdown(c->fd, SHUT_RDWR); /* a writer that waits for room is woken and gives the lock back */
    }
    pthread_mutex_lock(&c->sending);
    if (c->fd >= 0) {
        close(c->fd);
    }
    c->fd = -1;
    pthread_mutex_unlock(&c->sending);
    atomic_store(&c->delivered, 0);
    c->started = false;
    c->taken = 0;
    buffer_reset(&c->input);
}

/* Waits for the socket. 1: ready; 0: the deadline passed or interrupted; -1: poll failed. */
static int wait_for(struct bridge_client *c, int fd, short events, int64_t deadline_ms)
{
    const int slice = watchdog_slice_ms();
    for (;;) {
        int64_t left = deadline_ms - clock_real_ms();
        struct pollfd fds[2] = {{.fd = fd, .events = events}, {.fd = c->wake, .events = POLLIN}};
        int n = poll(fds, 2, left < 0 ? 0 : left > slice ? slice : (int)left);
        if ((n < 0 && errno == EINTR) || (n == 0 && left > slice)) {
            watchdog_progress();
            continue;
        }
        if (n < 0) {
            return -1;
        }
        if (atomic_load(&c->interrupted) || n == 0) {
            return 0;
        }
        return 1;
    }
}

static int lost(const struct bridge_client *c, struct err *e, const char *why)
{
    return err_set(e, ERR_RETRY, "the connection to the bridge %s is lost: %s", c->address, why);
}

/* Sends a line whole; the caller holds `sending` or is alone. */
static int send_line(struct bridge_client *c, struct view line, int64_t deadline_ms, struct err *e)
{
    while (line.length) {
        ssize_t n = send(c->fd, line.at, line.length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            line = view_from(line, (size_t)n);
            continue;
        }
        if (errno == EINTR) {
            continue;
        }
        if (errno != EAGAIN && errno != EWOULDBLOCK) {
            return lost(c, e, strerror(errno));
        }
        int ready = wait_for(c, c->fd, POLLOUT, deadline_ms);
        if (ready <= 0) {
            return lost(c, e, ready ? strerror(errno) : "it takes nothing, or this end was interrupted");
        }
    }
    return 0;
}

/* Reads what is there into the input, waiting until the deadline. 1: something came; 0: nothing did; -1: the
 * end. */
static int receive(struct bridge_client *c, int64_t deadline_ms, struct err *e)
{
    int ready = wait_for(c, c->fd, POLLIN, deadline_ms);
    if (ready <= 0) {
        return ready ? lost(c, e, strerror(errno)) : 0;
    }
    if (c->taken) {
        buffer_drop(&c->input, c->taken);
        c->taken = 0;
    }
    char *into = buffer_reserve(&c->input, PIECE);
    if (!into) {
        return err_set(e, ERR_RETRY, "out of memory for a frame of the bridge");
    }
    ssize_t n = recv(c->fd, into, PIECE, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return 1;
    }
    if (n <= 0) {
        return lost(c, e, n ? strerror(errno) : "it closed the connection");
    }
    c->input.length += (size_t)n;
    return 1;
}

static struct view unread(const struct bridge_client *c)
{
    return view_from(buffer_view(&c->input), c->taken);
}

/* The bridge's last line: "error retry TEXT" or "error final TEXT". */
static int refused(const struct bridge_client *c, struct view line, struct err *e)
{
    bool final = view_starts(line, VIEW("error final "));
    size_t head = final || view_starts(line, VIEW("error retry ")) ? strlen("error retry ") : 0;
    struct view text = view_from(line, head);
    return err_set(e, final ? ERR_FATAL : ERR_RETRY, "the bridge %s refused consumer %s: %.*s", c->address,
                   c->consumer, VIEW_PRINT(text));
}

static int open_socket(struct bridge_client *c, int64_t deadline_ms, struct err *e)
{
    struct address a;
    if (address_parse(c->address, &a, e)) {
        return err_wrap(e, "bridge %s", c->address);
    }
    int fd = socket(a.socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return err_set(e, ERR_RETRY, "cannot make a socket: %s", strerror(errno));
    }
    pthread_mutex_lock(&c->sending);
    c->fd = fd;
    pthread_mutex_unlock(&c->sending);
    int status = connect(fd, (const struct sockaddr *)&a.socket, a.length) ? errno : 0;
    if (status == EINPROGRESS) {
        int ready = wait_for(c, fd, POLLOUT, deadline_ms);
        socklen_t size = sizeof status;
        if (ready <= 0) {
            status = ETIMEDOUT;
        } else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &status, &size)) {
            status = errno;
        }
    }
    if (status) {
        return err_set(e, ERR_RETRY, "cannot connect to the bridge %s: %s%s", c->address, strerror(status),
                       status == ECONNREFUSED || status == ENOENT ? " (is roost listen running?)" : "");
    }
    if (a.socket.ss_family != AF_UNIX) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    return 0;
}

static int say_hello(struct bridge_client *c, const char *wish, int64_t deadline_ms, struct err *e)
{
    struct buffer hello = BUFFER(LINE_MAXIMUM);
    buffer_print(&hello, "roost 1 %s=%s%s%s\n", wish, c->consumer, c->token ? " token=" : "",
                 c->token ? c->token : "");
    int result = buffer_failed(&hello) ? err_set(e, ERR_FATAL, "the consumer's name or token is too long")
                                       : send_line(c, buffer_view(&hello), deadline_ms, e);
    wipe_buffer(&hello);
    return result;
}

/* Cuts "KEY=VALUE" off *rest; the value, absent when the key is another. */
static struct view cut_field(struct view *rest, struct view key)
{
    if (!view_starts(*rest, key)) {
        return view_none();
    }
    struct view value = view_from(*rest, key.length);
    const char *space = value.length ? memchr(value.at, ' ', value.length) : NULL;
    size_t length = space ? (size_t)(space - value.at) : value.length;
    *rest = view_from(value, length + (space ? 1 : 0));
    value.length = length;
    return value;
}

static int read_welcome(struct bridge_client *c, struct view line, struct bridge_welcome *welcome,
                        struct err *e)
{
    struct view rest = line;
    if (view_starts(line, VIEW("error "))) {
        return refused(c, line, e);
    }
    struct view spool = cut_field(&rest, VIEW("ok spool="));
    struct view first = cut_field(&rest, VIEW("first="));
    struct view held = cut_field(&rest, VIEW("held="));
    struct view marker = cut_field(&rest, VIEW("marker="));
    if (spool.length != BRIDGE_SPOOL_ID_SIZE - 1 || number_parse_unsigned(first, &welcome->first) ||
        number_parse_unsigned(held, &welcome->held) || !marker.length ||
        marker.length > FRAME_MARKER_MAXIMUM) {
        return err_set(
            e, ERR_RETRY,
            "what listens on %s gave no welcome to a consumer; it may be no bridge, or it was busy and took "
            "this one for a plain client",
            c->address);
    }
    memcpy(welcome->spool, spool.at, spool.length);
    welcome->spool[spool.length] = '\0';
    memcpy(c->marker, marker.at, marker.length);
    c->marker[marker.length] = '\0';
    return 0;
}

/* The line that answers the hello, valid until the next receive. */
static int await_answer(struct bridge_client *c, int64_t deadline_ms, struct view *line, struct err *e)
{
    for (;;) {
        struct view came = unread(c);
        const char *end = came.length ? memchr(came.at, '\n', came.length) : NULL;
        if (end || came.length > LINE_MAXIMUM) {
            *line = view_make(came.at, end ? (size_t)(end - came.at) : came.length);
            c->taken += end ? line->length + 1 : 0;
            return 0;
        }
        int got = receive(c, deadline_ms, e);
        if (got <= 0) {
            return got ? -1 : err_set(e, ERR_RETRY, "the bridge %s does not answer", c->address);
        }
    }
}

/* Connects, says hello with this wish ("consumer" or "forget"), gets the answer. */
static int ask(struct bridge_client *c, const char *wish, int timeout_ms, struct view *answer, struct err *e)
{
    bridge_client_disconnect(c);
    if (!frame_consumer_name(view_of(c->consumer))) {
        return err_set(e, ERR_FATAL, "consumer %s: a consumer's name has 1 to 63 of a-z A-Z 0-9 _ - .",
                       c->consumer);
    }
    int64_t deadline_ms = clock_real_ms() + timeout_ms;
    return open_socket(c, deadline_ms, e) || say_hello(c, wish, deadline_ms, e) ||
                   await_answer(c, deadline_ms, answer, e)
               ? -1
               : 0;
}

int bridge_client_connect(struct bridge_client *c, int timeout_ms, struct bridge_welcome *welcome,
                          struct err *e)
{
    struct view answer = view_none();
    if (ask(c, "consumer", timeout_ms, &answer, e) || read_welcome(c, answer, welcome, e)) {
        bridge_client_disconnect(c);
        return -1;
    }
    return 0;
}

int bridge_client_forget(struct bridge_client *c, int timeout_ms, struct err *e)
{
    struct view answer = view_none();
    int result = ask(c, "forget", timeout_ms, &answer, e);
    if (result == 0 && !view_is(answer, "ok forgotten")) {
        result =
            view_starts(answer, VIEW("error "))
                ? refused(c, answer, e)
                : err_set(e, ERR_RETRY, "what listens on %s gave no answer that a bridge gives", c->address);
    }
    bridge_client_disconnect(c);
    return result;
}

static int send_start(struct bridge_client *c, struct view line, struct err *e)
{
    if (c->fd < 0 || c->started) {
        return err_set(e, ERR_RETRY, "bridge_client_start comes once after bridge_client_connect");
    }
    if (send_line(c, line, clock_real_ms() + SEND_TIMEOUT_MS, e)) {
        return -1;
    }
    c->started = true;
    return 0;
}

int bridge_client_start(struct bridge_client *c, uint64_t from, struct err *e)
{
    char line[40];
    int n = snprintf(line, sizeof line, "start %llu\n", (unsigned long long)(from ? from : 1));
    return send_start(c, view_make(line, (size_t)n), e);
}

int bridge_client_start_after(struct bridge_client *c, uint64_t from, const char *gone, uint64_t had,
                              struct err *e)
{
    char line[80 + BRIDGE_SPOOL_ID_SIZE];
    int n = snprintf(line, sizeof line, "start %llu after=%.*s:%llu\n", (unsigned long long)(from ? from : 1),
                     BRIDGE_SPOOL_ID_SIZE - 1, gone, (unsigned long long)had);
    return send_start(c, view_make(line, (size_t)n), e);
}

/* A whole frame in the input: 1; 0: not yet; -1: broken, or the bridge's last line. *whole gets its bytes. */
static int find_frame(const struct bridge_client *c, struct frame_head *head, struct view *payload,
                      size_t *whole, struct err *e)
{
    struct view came = unread(c);
    struct view error = VIEW("error ");
    size_t n = came.length < error.length ? came.length : error.length;
    if (n && memcmp(came.at, error.at, n) == 0) {
        const char *end = memchr(came.at, '\n', came.length);
        if (!end && came.length < LINE_MAXIMUM) {
            return 0;
        }
        return refused(c, view_make(came.at, end ? (size_t)(end - came.at) : LINE_MAXIMUM), e);
    }
    return frame_parse(came, view_of(c->marker), head, payload, whole, e);
}

int bridge_client_read(struct bridge_client *c, int timeout_ms, struct bridge_frame *frame, struct err *e)
{
    int64_t deadline_ms = clock_real_ms() + timeout_ms;
    uint64_t before = atomic_load(&c->delivered);
    if (c->fd < 0) {
        return err_set(e, ERR_RETRY, "not connected to the bridge %s", c->address);
    }
    for (;;) {
        struct frame_head head = {0};
        struct view payload = view_none();
        size_t whole = 0;
        if (atomic_load(&c->interrupted)) {
            return 0;
        }
        int found = find_frame(c, &head, &payload, &whole, e);
        if (found > 0 && head.sequence <= before) {
            found = err_set(e, ERR_RETRY, "frame %llu came after it", (unsigned long long)head.sequence);
        }
        if (found < 0) {
            return err_wrap(e, "bridge %s, after frame %llu", c->address, (unsigned long long)before);
        }
        if (found > 0) {
            c->taken += whole;
            *frame = (struct bridge_frame){head.sequence, payload};
            atomic_store(&c->delivered, head.sequence);
            return 1;
        }
        int got = receive(c, deadline_ms, e);
        if (got <= 0) {
            return got;
        }
    }
}

int bridge_client_ready(const struct bridge_client *c)
{
    struct frame_head head;
    struct view payload;
    size_t whole;
    return c->fd >= 0 && find_frame(c, &head, &payload, &whole, NULL) > 0;
}

int bridge_client_acknowledge(struct bridge_client *c, uint64_t sequence, struct err *e)
{
    char line[40];
    int n = snprintf(line, sizeof line, "ack %llu\n", (unsigned long long)sequence);
    pthread_mutex_lock(&c->sending);
    int result = 0;
    if (c->fd < 0) {
        result = err_set(e, ERR_RETRY, "not connected to the bridge %s", c->address);
    } else if (sequence > atomic_load(&c->delivered)) {
        result = err_set(e, ERR_RETRY, "frame %llu was not read on this connection to the bridge %s",
                         (unsigned long long)sequence, c->address);
    } else {
        result = send_line(c, view_make(line, (size_t)n), clock_real_ms() + SEND_TIMEOUT_MS, e);
    }
    pthread_mutex_unlock(&c->sending);
    return result;
}
