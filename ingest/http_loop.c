#include "ingest/http_loop.h"

#include "base/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_SIZE = 16 * 1024, KEEPALIVE_SECONDS = 60 };

struct http_loop {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer; /* libcurl's */
    unsigned handles; /* on the loop and not yet closed */
    unsigned depth;   /* inside how many calls into libcurl: requests must not be taken down there */
    void (*settle)(void *user);
    void *user;
    void (*closed)(void *user);
    void *closed_user;
};

/* One file descriptor that libcurl wants watched. */
struct watch {
    uv_poll_t poll;
    struct http_loop *loop;
    curl_socket_t socket;
};

/* --- watchers and timer --- */

static void on_handle_closed(struct http_loop *l)
{
    if (--l->handles == 0) {
        void (*closed)(void *user) = l->closed;
        void *user = l->closed_user;
        free(l);
        curl_global_cleanup();
        if (closed) {
            closed(user);
        }
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_handle_closed(handle->data);
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct watch *w = handle->data;
    struct http_loop *l = w->loop;
    free(w);
    on_handle_closed(l);
}

static void act(struct http_loop *l, curl_socket_t socket, int flags)
{
    int running;
    http_loop_enter(l);
    curl_multi_socket_action(l->multi, socket, flags, &running);
    http_loop_leave(l);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    act(w->loop, w->socket, flags);
}

static void on_timer(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static struct watch *watch_new(struct http_loop *l, curl_socket_t socket)
{
    struct watch *w = calloc(1, sizeof *w);
    if (!w) {
        return NULL;
    }
    if (uv_poll_init_socket(l->loop, &w->poll, socket)) {
        free(w);
        return NULL;
    }
    w->poll.data = w;
    w->loop = l;
    w->socket = socket;
    l->handles++;
    curl_multi_assign(l->multi, socket, w);
    return w;
}

static int watch_socket(CURL *easy, curl_socket_t socket, int what, void *user, void *of_socket)
{
    (void)easy;
    struct http_loop *l = user;
    struct watch *w = of_socket;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            curl_multi_assign(l->multi, socket, NULL);
            uv_close((uv_handle_t *)&w->poll, on_watch_closed);
        }
        return 0;
    }
    w = w ? w : watch_new(l, socket);
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    if (w) {
        uv_poll_start(&w->poll, events, on_ready);
    }
    return 0; /* always: -1 would spoil the multi handle for good, while a socket not watched ends as a stall
               */
}

static int set_timer(CURLM *multi, long timeout_ms, void *user)
{
    (void)multi;
    struct http_loop *l = user;
    if (timeout_ms < 0) {
        uv_timer_stop(&l->timer);
    } else {
        /* Never 0, and from the time of now: libcurl wants to be called at once for as long as a server sends
         * without a pause, and libuv runs due timers before it does anything else, so that no sync would end
         * and no client be served. A socket with bytes ends the millisecond early. */
        uv_update_time(l->loop);
        uv_timer_start(&l->timer, on_timer, timeout_ms > 0 ? (uint64_t)timeout_ms : 1, 0);
    }
    return 0;
}

/* --- the public functions --- */

struct http_loop *http_loop_new(uv_loop_t *loop, void (*settle)(void *user), void *user, struct err *e)
{
    struct http_loop *l = calloc(1, sizeof *l);
    if (!l || curl_global_init(CURL_GLOBAL_DEFAULT)) {
        free(l);
        err_set(e, ERR_RETRY, "libcurl cannot start: memory is out");
        return NULL;
    }
    l->multi = curl_multi_init();
    if (!l->multi) {
        free(l);
        curl_global_cleanup();
        err_set(e, ERR_RETRY, "libcurl cannot start: memory is out");
        return NULL;
    }
    l->loop = loop;
    l->settle = settle;
    l->user = user;
    curl_multi_setopt(l->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(l->multi, CURLMOPT_SOCKETDATA, l);
    curl_multi_setopt(l->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(l->multi, CURLMOPT_TIMERDATA, l);
    uv_timer_init(loop, &l->timer);
    l->timer.data = l;
    l->handles = 1;
    return l;
}

void http_loop_enter(struct http_loop *l)
{
    l->depth++;
}

void http_loop_leave_quietly(struct http_loop *l)
{
    l->depth--;
}

void http_loop_leave(struct http_loop *l)
{
    if (--l->depth == 0) {
        l->settle(l->user);
    }
}

bool http_loop_inside(const struct http_loop *l)
{
    return l->depth > 0;
}

int http_loop_add(struct http_loop *l, CURL *easy, const char *url, struct err *e)
{
    CURLMcode code = curl_multi_add_handle(l->multi, easy);
    return code == CURLM_OK ? 0
                            : err_set(e, ERR_RETRY, "libcurl would not take the request to %s: %s", url,
                                      curl_multi_strerror(code));
}

void http_loop_remove(struct http_loop *l, CURL *easy)
{
    l->depth++;
    curl_multi_remove_handle(l->multi, easy);
    curl_easy_cleanup(easy);
    l->depth--;
}

bool http_loop_done(struct http_loop *l, const CURL *easy, CURLcode *code)
{
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(l->multi, &left))) {
        if (message->msg == CURLMSG_DONE && message->easy_handle == easy) {
            *code = message->data.result;
            return true;
        }
    }
    return false;
}

void http_loop_free_headers(struct curl_slist *headers)
{
    for (struct curl_slist *h = headers; h; h = h->next) {
        explicit_bzero(h->data, strlen(h->data));
    }
    curl_slist_free_all(headers);
}

/* The file of certificates that are believed, as curl's own command takes it from the environment; libcurl
 * looks for proxies there and not for this. NULL: the system's. */
static const char *certificate_file(void)
{
    static const char *const names[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = getenv(names[i]);
        if (path && path[0]) {
            return path;
        }
    }
    return NULL;
}

CURLcode http_loop_set_options(CURL *easy, int64_t connect_ms, bool accept_any_certificate)
{
    CURLcode bad = CURLE_OK;
    char agent[64]; /* libcurl copies it */
    snprintf(agent, sizeof agent, "roost/%s", version_number);
    bad |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    /* One endless answer gains nothing from HTTP/2, and its windows would come between us and TCP's when
     * pausing. */
    bad |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    bad |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    bad |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    bad |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_SECONDS);
    bad |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_SECONDS);
    bad |= curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)READ_SIZE);
    bad |= curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    /* A name being looked up must not delay a stop: libcurl leaves its resolver thread to end by itself. */
    bad |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_USERAGENT, agent);
    bad |= curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "deflate, gzip");
    if (certificate_file()) {
        bad |= curl_easy_setopt(easy, CURLOPT_CAINFO, certificate_file());
    }
    if (accept_any_certificate) {
        bad |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        bad |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    return bad;
}

void http_loop_free(struct http_loop *l, void (*closed)(void *user), void *user)
{
    l->closed = closed;
    l->closed_user = user;
    l->depth++; /* closing connections calls watch_socket */
    curl_multi_cleanup(l->multi);
    l->multi = NULL;
    uv_close((uv_handle_t *)&l->timer, on_timer_closed);
}
