#include "client.h"

#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <zlib.h>

static void *run(void *argument)
{
    struct err e;
    struct simulator *s = argument;
    return simulator_run(s, &e) == 0 ? s : NULL;
}

void server_start(struct server *s, const struct simulator_options *options)
{
    struct err e = {.text = ""};
    s->simulator = simulator_open(options, &e);
    cr_assert(s->simulator, "%s", e.text);
    cr_assert_eq(pthread_create(&s->thread, NULL, run, s->simulator), 0);
}

void server_wait(struct server *s)
{
    void *result = NULL;
    pthread_join(s->thread, &result);
    cr_assert(result);
    simulator_close(s->simulator);
}

void server_stop(struct server *s)
{
    simulator_stop(s->simulator);
    server_wait(s);
}

void client_open(struct client *c, int port, const char *request)
{
    *c = (struct client){.bytes = BUFFER(256 << 20)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(c->fd, 0);
    cr_assert_eq(connect(c->fd, (struct sockaddr *)&to, sizeof to), 0);
    size_t length = strlen(request);
    cr_assert_eq(send(c->fd, request, length, MSG_NOSIGNAL), (ssize_t)length);
}

void client_ask(struct client *c, int port, const char *path, const char *body, const char *headers)
{
    struct buffer request = BUFFER(4 << 20);
    buffer_print(&request, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s", body ? "POST" : "GET", path, port,
                 headers);
    if (body) {
        buffer_print(&request, "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n",
                     strlen(body));
    }
    buffer_print(&request, "\r\n%s", body ? body : "");
    client_open(c, port, buffer_string(&request));
    buffer_free(&request);
}

static size_t head_length(const struct client *c)
{
    const char *end = c->bytes.length ? memmem(c->bytes.data, c->bytes.length, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - c->bytes.data) + 4 : 0;
}

int client_status(const struct client *c)
{
    return c->bytes.length > 12 ? (int)strtol(c->bytes.data + 9, NULL, 10) : 0;
}

const char *client_header(struct client *c, const char *name, char value[200])
{
    size_t n = strlen(name), end = head_length(c);
    const char *text = buffer_string(&c->bytes);
    for (const char *line = text; line && line < text + end; line = strstr(line, "\r\n") + 2) {
        if (strncasecmp(line, name, n) == 0 && line[n] == ':') {
            snprintf(value, 200, "%.*s", (int)strcspn(line + n + 2, "\r"), line + n + 2);
            return value;
        }
    }
    return NULL;
}

static void unchunk(const struct client *c, struct buffer *body, size_t *sizes, size_t max, size_t *count,
                    bool *ended)
{
    size_t at = head_length(c);
    *count = 0;
    *ended = false;
    while (at < c->bytes.length) {
        char *after;
        const char *line_end = memmem(c->bytes.data + at, c->bytes.length - at, "\r\n", 2);
        if (!line_end) {
            return;
        }
        size_t size = strtoul(c->bytes.data + at, &after, 16);
        cr_assert_eq(after, line_end, "a chunk size is followed by something else");
        at = (size_t)(line_end - c->bytes.data) + 2;
        if (!size) {
            *ended = true;
            return;
        }
        size_t there = c->bytes.length - at < size ? c->bytes.length - at : size;
        buffer_append(body, c->bytes.data + at, there);
        if (sizes && *count < max) {
            sizes[*count] = size;
        }
        ++*count;
        at += size + 2;
    }
}

static void decompress(struct buffer *body, int bits)
{
    struct buffer plain = BUFFER(256 << 20);
    z_stream z = {.next_in = (Bytef *)body->data, .avail_in = (uInt)body->length};
    cr_assert_eq(inflateInit2(&z, bits), Z_OK);
    int result = Z_OK;
    do {
        z.next_out = (Bytef *)buffer_reserve(&plain, 1 << 16);
        z.avail_out = 1 << 16;
        result = inflate(&z, Z_SYNC_FLUSH);
        cr_assert(result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR, "inflate: %d", result);
        plain.length += (1 << 16) - z.avail_out;
    } while (z.avail_out == 0);
    inflateEnd(&z);
    buffer_free(body);
    *body = plain;
}

void client_body(const struct client *c, struct buffer *body, size_t *sizes, size_t max, size_t *count,
                 bool *ended)
{
    char value[200];
    struct client *head = (struct client *)c;
    *count = 0;
    *ended = false;
    if (client_header(head, "Transfer-Encoding", value)) {
        unchunk(c, body, sizes, max, count, ended);
    } else if (head_length(c)) {
        buffer_append(body, c->bytes.data + head_length(c), c->bytes.length - head_length(c));
    }
    const char *coding = client_header(head, "Content-Encoding", value);
    if (coding && body->length) {
        decompress(body, strcmp(coding, "gzip") == 0 ? 15 + 16 : 15);
    }
}

size_t count_of(const struct buffer *b, const char *text)
{
    size_t count = 0, n = strlen(text);
    for (const char *at = b->data;
         b->length && (at = memmem(at, b->length - (size_t)(at - b->data), text, n)); at += n) {
        count++;
    }
    return count;
}

static bool has(const struct client *c, const char *text, size_t times)
{
    struct buffer body = BUFFER(256 << 20);
    size_t count;
    bool ended;
    client_body(c, &body, NULL, 0, &count, &ended);
    bool found = count_of(&body, text) >= times;
    buffer_free(&body);
    return found;
}

void client_read_until(struct client *c, const char *text, size_t times)
{
    while (!c->closed && !(text && has(c, text, times))) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        cr_assert_eq(poll(&p, 1, 20000), 1, "nothing came for 20 s");
        char *at = buffer_reserve(&c->bytes, 1 << 16);
        cr_assert(at);
        ssize_t n = recv(c->fd, at, 1 << 16, 0);
        c->closed = n <= 0;
        c->reset = n < 0;
        c->bytes.length += n > 0 ? (size_t)n : 0;
    }
}

void client_close(struct client *c)
{
    close(c->fd);
    buffer_free(&c->bytes);
}

char *temporary_file(const char *lines)
{
    char *path = strdup("/tmp/roost-simulator-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, lines, strlen(lines)), (ssize_t)strlen(lines));
    close(fd);
    return path;
}

void add_tweet(struct buffer *into, unsigned id, const char *language, const char *text)
{
    buffer_print(
        into,
        "{\"created_at\":\"Wed Oct 10 20:19:24 +0000 2018\",\"id\":10501186211989%05u,\"id_str\":"
        "\"10501186211989%05u\",\"text\":\"%s\",\"user\":{\"id_str\":\"7\"},\"entities\":{},\"lang\":\"%s\","
        "\"timestamp_ms\":\"1539202764211\"}\n",
        id, id, text, language);
}
