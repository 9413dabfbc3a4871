#include "tests/ingest/support/server.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/number.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_CONNECTIONS = 64, MOST_BYTES = 64 * 1024 * 1024 };

struct connection {
    uv_tcp_t tcp;
    uv_timer_t timer;
    struct server *server;
    const struct server_step *step;
    struct buffer in;
    uint32_t crc, gzipped; /* of what was gzipped so far */
    int handles;
    bool begun, gzip_begun, holding, closing;
};

struct server {
    uv_loop_t *loop;
    uv_tcp_t listener;
    const struct server_step *scripts[SERVER_MOST_SCRIPTS];
    size_t script_count, next_script;
    struct server_request requests[SERVER_MOST_REQUESTS];
    size_t request_count;
    struct connection *connections[MOST_CONNECTIONS];
    size_t open;
};

struct sending {
    uv_write_t write;
    struct buffer bytes;
};

static void run_script(struct connection *c);

static void on_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    if (--c->handles) {
        return;
    }
    struct server *s = c->server;
    for (size_t i = 0; i < MOST_CONNECTIONS; i++) {
        if (s->connections[i] == c) {
            s->connections[i] = NULL;
        }
    }
    s->open--;
    buffer_free(&c->in);
    free(c);
}

static void close_connection(struct connection *c, bool reset)
{
    if (c->closing) {
        return;
    }
    c->closing = true;
    if (!reset || uv_tcp_close_reset(&c->tcp, on_closed)) {
        uv_close((uv_handle_t *)&c->tcp, on_closed);
    }
    uv_close((uv_handle_t *)&c->timer, on_closed);
}

static void on_sent(uv_write_t *write, int status)
{
    struct sending *sending = write->data;
    struct connection *c = (struct connection *)write->handle->data;
    buffer_free(&sending->bytes);
    free(sending);
    if (status == 0 && !c->closing) {
        run_script(c);
    }
}

static void send_bytes(struct connection *c, struct buffer bytes)
{
    struct sending *sending = calloc(1, sizeof *sending);
    sending->bytes = bytes;
    sending->write.data = sending;
    uv_buf_t part = uv_buf_init(bytes.data, (unsigned)bytes.length);
    if (uv_write(&sending->write, (uv_stream_t *)&c->tcp, &part, 1, on_sent)) {
        buffer_free(&sending->bytes);
        free(sending);
    }
}

static void add_chunk(struct buffer *b, struct view bytes)
{
    buffer_print(b, "%zx\r\n", bytes.length);
    buffer_add_view(b, bytes);
    buffer_add_text(b, "\r\n");
}

/* The CRC-32 of gzip (RFC 1952, section 8), bit by bit. */
static uint32_t crc_32(uint32_t crc, struct view bytes)
{
    crc = ~crc;
    for (size_t i = 0; i < bytes.length; i++) {
        crc ^= (unsigned char)bytes.at[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
        }
    }
    return ~crc;
}

static void add_little_endian(struct buffer *b, uint32_t number, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        buffer_add_byte(b, (char)(number >> 8 * i));
    }
}

/* A chunk with a stored block of deflate; an empty text ends the gzip stream. */
static void add_gzip(struct connection *c, struct buffer *b, struct view text)
{
    struct buffer block = BUFFER(MOST_BYTES);
    if (!c->gzip_begun) {
        buffer_append(&block, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
        c->gzip_begun = true;
    }
    buffer_add_byte(&block, text.length ? 0 : 1);
    add_little_endian(&block, (uint32_t)text.length, 2);
    add_little_endian(&block, ~(uint32_t)text.length, 2);
    buffer_add_view(&block, text);
    c->crc = crc_32(c->crc, text);
    c->gzipped += (uint32_t)text.length;
    if (!text.length) {
        add_little_endian(&block, c->crc, 4);
        add_little_endian(&block, c->gzipped, 4);
    }
    add_chunk(b, buffer_view(&block));
    buffer_free(&block);
}

static void on_waited(uv_timer_t *timer)
{
    run_script(timer->data);
}

static void run_script(struct connection *c)
{
    const struct server_step *step = c->step;
    struct buffer b = BUFFER(MOST_BYTES);
    if (step->what != SERVER_END) {
        c->step++;
    }
    switch (step->what) {
    case SERVER_SAY:
        buffer_add_text(&b, step->text);
        break;
    case SERVER_CHUNK:
        add_chunk(&b, view_of(step->text));
        break;
    case SERVER_GZIP:
        add_gzip(c, &b, view_of(step->text));
        break;
    case SERVER_FLOOD:
        for (int i = 0; i < step->number; i++) {
            add_chunk(&b, view_of(step->text));
        }
        break;
    case SERVER_WAIT:
        uv_timer_start(&c->timer, on_waited, (uint64_t)step->number, 0);
        return;
    case SERVER_HOLD:
        c->holding = true;
        return;
    case SERVER_RESET:
    case SERVER_END:
        close_connection(c, step->what == SERVER_RESET);
        return;
    }
    send_bytes(c, b);
}

/* Remembers the request and begins the script, once head and body are there. */
static void look_for_request(struct connection *c)
{
    struct server *s = c->server;
    const char *text = buffer_string(&c->in);
    const char *end = strstr(text, "\r\n\r\n");
    if (c->begun || !end || s->request_count == SERVER_MOST_REQUESTS) {
        return;
    }
    size_t head = (size_t)(end - text) + 4;
    const char *field = strcasestr(text, "\r\nContent-Length: ");
    int64_t length = 0;
    if (field && field < end) {
        field += strlen("\r\nContent-Length: ");
        number_parse(view_make(field, strcspn(field, "\r")), 0, 1 << 20, &length);
    }
    if (c->in.length - head < (size_t)length) {
        return;
    }
    s->requests[s->request_count++] =
        (struct server_request){clock_steady_ms(), view_copy(view_make(text, head)),
                                view_copy(view_make(text + head, (size_t)length))};
    c->begun = true;
    c->step = s->scripts[s->next_script];
    s->next_script += s->next_script + 1 < s->script_count;
    run_script(c);
}

static void lend_memory(uv_handle_t *handle, size_t wanted, uv_buf_t *memory)
{
    struct connection *c = handle->data;
    char *at = buffer_reserve(&c->in, wanted);
    *memory = uv_buf_init(at, at ? (unsigned)wanted : 0);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *memory)
{
    (void)memory;
    struct connection *c = stream->data;
    if (n < 0) {
        close_connection(c, false);
    } else {
        c->in.length += (size_t)n;
        look_for_request(c);
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct server *s = listener->data;
    struct connection *c = calloc(1, sizeof *c);
    c->server = s;
    c->in = BUFFER(MOST_BYTES);
    c->handles = 2;
    uv_tcp_init(s->loop, &c->tcp);
    uv_timer_init(s->loop, &c->timer);
    c->tcp.data = c;
    c->timer.data = c;
    s->open++;
    for (size_t i = 0; i < MOST_CONNECTIONS; i++) {
        if (!s->connections[i]) {
            s->connections[i] = c;
            break;
        }
    }
    if (status || uv_accept(listener, (uv_stream_t *)&c->tcp)) {
        close_connection(c, false);
        return;
    }
    uv_read_start((uv_stream_t *)&c->tcp, lend_memory, on_read);
}

struct server *server_new(uv_loop_t *loop)
{
    struct server *s = calloc(1, sizeof *s);
    struct sockaddr_in address;
    s->loop = loop;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(loop, &s->listener);
    s->listener.data = s;
    if (uv_tcp_bind(&s->listener, (const struct sockaddr *)&address, 0) ||
        uv_listen((uv_stream_t *)&s->listener, 16, on_connection)) {
        abort();
    }
    return s;
}

int server_port(const struct server *s)
{
    struct sockaddr_in address;
    int size = sizeof address;
    uv_tcp_getsockname(&s->listener, (struct sockaddr *)&address, &size);
    return ntohs(address.sin_port);
}

void server_add(struct server *s, const struct server_step *script)
{
    s->scripts[s->script_count++] = script;
}

size_t server_request_count(const struct server *s)
{
    return s->request_count;
}

const struct server_request *server_request(const struct server *s, size_t index)
{
    return &s->requests[index];
}

size_t server_open(const struct server *s)
{
    return s->open;
}

void server_release(struct server *s)
{
    for (size_t i = 0; i < MOST_CONNECTIONS; i++) {
        struct connection *c = s->connections[i];
        if (c && c->holding && !c->closing) {
            c->holding = false;
            run_script(c);
        }
    }
}

void server_close(struct server *s)
{
    uv_close((uv_handle_t *)&s->listener, NULL);
    for (size_t i = 0; i < MOST_CONNECTIONS; i++) {
        if (s->connections[i]) {
            close_connection(s->connections[i], false);
        }
    }
}

void server_free(struct server *s)
{
    for (size_t i = 0; i < s->request_count; i++) {
        free(s->requests[i].head);
        free(s->requests[i].body);
    }
    free(s);
}
