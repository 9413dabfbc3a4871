#include "bridge/bridge.h"

#include "bridge/bridge_parts.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 128, FULL_LOG_MS = 60000 };

const struct log_context bridge_log = {"bridge", NULL};

void bridge_first_client(struct bridge *b)
{
    if (!b->client_told) {
        b->client_told = true;
        if (b->events.first_client) {
            b->events.first_client(b->events.user);
        }
    }
}

static void on_held(void *user, uint64_t sequence)
{
    struct bridge *b = user;
    b->numbers.held = sequence;
    for (struct peer *p = b->peers; p; p = p->next) {
        numbered_pump(p);
    }
    bridge_check_close(b);
}

static void on_room(void *user)
{
    struct bridge *b = user;
    if (b->events.room) {
        b->events.room(b->events.user);
    }
}

static void on_report(void *user, const struct spool_report *report)
{
    bridge_note_loss(user, report);
    log_at(report->what == SPOOL_CUT && report->first > report->last ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR,
           &bridge_log, "%s", report->text);
}

static struct spool *open_spool(struct bridge *b, struct err *e)
{
    const struct bridge_settings *set = b->settings;
    struct spool_settings settings = {.folder = set->spool_dir,
                                      .maximum_bytes = set->spool_max,
                                      .sync_ms = set->spool_sync,
                                      .drop_oldest = set->when_full == BRIDGE_WHEN_FULL_DROP_OLDEST};
    struct spool_events events = {.held = on_held, .room = on_room, .report = on_report, .user = b};
    struct spool *s = spool_open(b->loop, &settings, &events, e);
    if (s) {
        log_info(&bridge_log, "spool %s: identity %s, frames %llu to %llu, %llu bytes", set->spool_dir,
                 spool_identity(s), (unsigned long long)spool_first(s), (unsigned long long)spool_held(s),
                 (unsigned long long)spool_bytes(s));
    }
    return s;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct bridge *b = listener->data;
    if (status) {
        log_warning(&bridge_log, "a client could not be accepted: %s", uv_strerror(status));
        return;
    }
    peer_accept(b);
}

/* A socket file that nobody listens on is a leftover of a killed process; one that answers is somebody's. */
static int clear_path(const struct address *a, const char *path, struct err *e)
{
    struct stat status;
    if (lstat(path, &status)) {
        return 0;
    }
    if (!S_ISSOCK(status.st_mode)) {
        return err_set(e, ERR_FATAL, "cannot listen on %s: it exists and is no socket", path);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int refused =
        fd < 0 || (connect(fd, (const struct sockaddr *)&a->socket, a->length) && errno == ECONNREFUSED);
    if (fd >= 0) {
        close(fd);
    }
    if (!refused) {
        return err_set(e, ERR_RETRY, "cannot listen on %s: another process does", path);
    }
    unlink(path);
    return 0;
}

/* A bound, listening socket, made without the loop: what fails here fails before anything waits to be closed.
 */
static int make_listener(struct bridge *b, struct err *e)
{
    const char *where = b->settings->listen;
    if (b->unix_socket && clear_path(&b->address, where, e)) {
        return -1;
    }
    int fd = socket(b->address.socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        bind(fd, (const struct sockaddr *)&b->address.socket, b->address.length) ||
        (b->unix_socket && chmod(where, 0666)) || /* any local user may read */
        listen(fd, BACKLOG)) {
        bool used = errno == EADDRINUSE;
        err_set(e, used ? ERR_RETRY : err_kind_of(errno), "cannot listen on %s: %s%s", where, strerror(errno),
                used ? "; is another roost listen running?" : "");
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    if (!b->unix_socket) {
        b->address.length = sizeof b->address.socket;
        getsockname(fd, (struct sockaddr *)&b->address.socket, &b->address.length);
    }
    return fd;
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static int start_listener(struct bridge *b, int fd, struct err *e)
{
    b->listener = calloc(1, sizeof *b->listener);
    if (!b->listener) {
        close(fd);
        return err_set(e, ERR_RETRY, "out of memory");
    }
    int status;
    if (b->unix_socket) {
        uv_pipe_init(b->loop, &b->listener->pipe, 0);
        status = uv_pipe_open(&b->listener->pipe, fd);
    } else {
        uv_tcp_init(b->loop, &b->listener->tcp);
        status = uv_tcp_open(&b->listener->tcp, fd);
    }
    if (status) {
        close(fd);
    } else {
        status = uv_listen(&b->listener->stream, BACKLOG, on_connection);
    }
    if (status) {
        uv_close(&b->listener->handle, free_handle);
        b->listener = NULL;
        return err_set(e, ERR_RETRY, "cannot listen on %s: %s", b->settings->listen, uv_strerror(status));
    }
    b->listener->handle.data = b;
    uv_timer_init(b->loop, &b->close_timer);
    b->close_timer.data = b;
    b->open_handles = 2;
    char text[ADDRESS_TEXT_SIZE];
    log_info(&bridge_log, "bound to %s", address_format(&b->address, text));
    log_info(&bridge_log, "listening on %s, plain = %s", text,
             (const char *const[]){"text", "json", "off"}[b->settings->plain]);
    return 0;
}

/* A client that goes away while it is written to must not end the process (libuv writes without
 * MSG_NOSIGNAL). */
static void ignore_broken_pipes(void)
{
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL) {
        signal(SIGPIPE, SIG_IGN);
    }
}

static void free_bridge(struct bridge *b)
{
    buffer_free(&b->post);
    buffer_free(&b->payload);
    buffer_free(&b->frame);
    free(b->listener);
    free(b);
}

static void nothing_left(void *user)
{
    (void)user;
}

struct bridge *bridge_open(uv_loop_t *loop, const struct bridge_settings *settings,
                           const struct bridge_events *events, struct err *e)
{
    struct bridge *b = calloc(1, sizeof *b);
    if (!b) {
        err_set(e, ERR_RETRY, "out of memory");
        return NULL;
    }
    b->loop = loop;
    b->settings = settings;
    b->events = events ? *events : (struct bridge_events){0};
    b->marker = view_of(settings->end_marker);
    b->post = BUFFER(FRAME_PAYLOAD_MAXIMUM);
    b->payload = BUFFER(FRAME_PAYLOAD_MAXIMUM);
    b->frame = BUFFER(FRAME_PLAIN_MAXIMUM);
    if (bridge_check_marker(settings->end_marker, e)) {
        err_wrap(e, "end_marker %s", settings->end_marker);
        goto failed;
    }
    if (address_parse(settings->listen, &b->address, e)) {
        err_wrap(e, "listen %s", settings->listen);
        goto failed;
    }
    b->unix_socket = b->address.socket.ss_family == AF_UNIX;
    ignore_broken_pipes();
    b->spool = open_spool(b, e);
    if (!b->spool) {
        goto failed;
    }
    int fd = make_listener(b, e);
    if (fd < 0 || start_listener(b, fd, e)) {
        goto failed;
    }
    bridge_check_told(b);
    bridge_publish_losses(b);
    return b;

failed:
    if (b->spool) {
        spool_close(b->spool, nothing_left, NULL); /* at once: it was not appended to */
    }
    free_bridge(b);
    return NULL;
}

int bridge_port(const struct bridge *b)
{
    return address_port(&b->address);
}

/* One frame for all plain clients, made when there is one. */
static void give_plain(struct bridge *b, const struct post *post)
{
    bool made = false;
    for (struct peer *p = b->peers; p; p = p->next) {
        if (p->state != PEER_PLAIN && p->state != PEER_UNDECIDED) {
            continue;
        }
        if (!made) {
            buffer_reset(&b->frame);
            if (b->settings->plain == BRIDGE_PLAIN_JSON) {
                buffer_add_view(&b->frame, buffer_view(&b->payload));
                frame_write_end(&b->frame, b->marker);
            } else {
                frame_write_text(&b->frame, post->text, b->marker);
            }
            made = true;
        }
        if (buffer_failed(&b->frame)) {
            peer_close(p, "out of memory");
            continue;
        }
        peer_add_plain(p, buffer_view(&b->frame));
    }
}

static void note_full(struct bridge *b, const struct err *e)
{
    uint64_t held;
    b->full = true;
    if (log_every(&b->full_repeat, FULL_LOG_MS, &held)) {
        log_error(&bridge_log, "%s", e->text);
    }
}

int bridge_publish(struct bridge *b, const struct post *post, struct err *e)
{
    uint64_t sequence;
    struct err why;
    bridge_publish_losses(b);
    buffer_reset(&b->post);
    buffer_reset(&b->payload);
    post_write(&b->post, post);
    if (!buffer_failed(&b->post)) {
        frame_escape_json(&b->payload, buffer_view(&b->post), b->marker);
    }
    if (buffer_failed(&b->post) || buffer_failed(&b->payload)) {
        return err_set(e, ERR_REJECT, "the post %.*s is longer than a frame may be (%d bytes)",
                       VIEW_PRINT(post->id), FRAME_PAYLOAD_MAXIMUM);
    }
    if (b->closing) {
        return err_set(e, ERR_RETRY, "the bridge is closing");
    }
    if (spool_append(b->spool, buffer_view(&b->payload), &sequence, &why)) {
        if (why.kind == ERR_RETRY) {
            note_full(b, &why);
        }
        return err_set(e, why.kind, "%s", why.text);
    }
    if (b->full) {
        b->full = false;
        b->full_repeat = (struct log_repeat){0};
        log_notice(&bridge_log, "the spool takes posts again, from frame %llu", (unsigned long long)sequence);
    }
    b->numbers.published++;
    b->numbers.bytes += b->payload.length;
    b->numbers.appended = sequence;
    if (post->kind == POST_POST) {
        give_plain(b, post);
    }
    return 0;
}

void bridge_take_last(struct bridge *b)
{
    spool_take_last(b->spool);
}

void bridge_took_last(struct bridge *b)
{
    spool_took_last(b->spool);
}

void bridge_count(const struct bridge *b, struct bridge_numbers *numbers)
{
    *numbers = b->numbers;
    numbers->appended = spool_last(b->spool);
    numbers->held = spool_held(b->spool);
    numbers->first = spool_first(b->spool);
    numbers->spool_bytes = spool_bytes(b->spool);
    numbers->full = b->full;
}

static bool is_connected(const struct bridge *b, const char *consumer)
{
    for (const struct peer *p = b->peers; p; p = p->next) {
        if ((p->state == PEER_NUMBERED || p->state == PEER_WELCOMED) && strcmp(p->consumer, consumer) == 0) {
            return true;
        }
    }
    return false;
}

void bridge_each_consumer(const struct bridge *b,
                          void (*tell)(void *user, const struct bridge_consumer *consumer), void *user)
{
    size_t count;
    const struct spool_consumer *known = spool_consumers(b->spool, &count);
    for (size_t i = 0; i < count; i++) {
        tell(user,
             &(struct bridge_consumer){known[i].name, known[i].acknowledged, is_connected(b, known[i].name)});
    }
}

const char *bridge_spool_identity(const struct bridge *b)
{
    return spool_identity(b->spool);
}

static void on_spool_closed(void *user)
{
    struct bridge *b = user;
    void (*done)(void *user) = b->done;
    void *done_user = b->done_user;
    free_bridge(b);
    done(done_user);
}

static void close_spool_at_end(struct bridge *b)
{
    if (b->leaving && !b->open_handles && !b->peers) {
        b->leaving = false; /* once */
        spool_close(b->spool, on_spool_closed, b);
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct bridge *b = handle->data;
    b->open_handles--;
    close_spool_at_end(b);
}

void bridge_peer_gone(struct bridge *b)
{
    close_spool_at_end(b);
    /* b may be gone here when the spool had nothing to wait for; nothing more is done with it. */
}

static void leave(struct bridge *b)
{
    b->leaving = true;
    uv_close((uv_handle_t *)&b->close_timer, on_handle_closed);
    for (struct peer *p = b->peers; p; p = p->next) {
        peer_close(p, "the bridge is closing");
    }
}

static void on_close_timer(uv_timer_t *timer)
{
    struct bridge *b = timer->data;
    if (!b->leaving) {
        leave(b);
    }
}

void bridge_check_close(struct bridge *b)
{
    if (!b->closing || b->leaving || spool_held(b->spool) < spool_last(b->spool)) {
        return;
    }
    for (const struct peer *p = b->peers; p; p = p->next) {
        bool plain_waits = p->state == PEER_PLAIN && (p->writing || p->filling.length);
        if (plain_waits || !numbered_done(p)) {
            return;
        }
    }
    leave(b);
}

void bridge_close(struct bridge *b, int grace_ms, void (*done)(void *user), void *user)
{
    bridge_publish_losses(b);
    b->closing = true;
    b->done = done;
    b->done_user = user;
    b->events = (struct bridge_events){0};
    log_info(&bridge_log, "closing after %llu frames", (unsigned long long)b->numbers.published);
    uv_close(&b->listener->handle, on_handle_closed);
    if (b->unix_socket) {
        unlink(b->settings->listen);
    }
    uv_update_time(b->loop);
    uv_timer_start(&b->close_timer, on_close_timer, grace_ms > 0 ? (uint64_t)grace_ms : 0, 0);
    spool_sync_now(b->spool);
    bridge_check_close(b);
}
