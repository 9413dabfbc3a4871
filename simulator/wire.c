#include "simulator/wire.h"

#include "base/buffer.h"
#include "base/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define ZLIB_CONST
#include <zlib.h>

enum { RANDOM_CHUNK = 4096, BLOCK_HEAD = 10, KEEP_BELOW = 64 << 10 };

/* Where a message ends: in `body` while it is not flushed, then in all that goes through `out`. */
struct mark {
    uint64_t last; /* its last byte: from there on a client may have read it */
    uint64_t end;  /* the chunk that has that byte: from there on every client has it */
    uint64_t position;
};

struct wire {
    struct wire_options options;
    struct random random;
    z_stream zip;
    struct buffer body; /* not yet in chunks */
    struct buffer out;  /* as it goes over the wire; its first `sent` bytes are gone */
    size_t sent;
    uint64_t out_start; /* bytes that went through `out` before its first one */
    struct mark *marks;
    size_t mark_first, mark_count, mark_capacity, mark_unflushed; /* unflushed ones are the last */
    size_t mark_counted; /* of the first ones: in `messages` already */
    uint64_t position, messages;
    bool any_position, failed;
};

struct wire *wire_new(const struct wire_options *options)
{
    struct wire *w = calloc(1, sizeof *w);
    if (!w) {
        return NULL;
    }
    w->options = *options;
    w->random.state = options->seed;
    w->body = w->out = BUFFER((size_t)1 << 30);
    /* The fastest level: the simulator must not be what a benchmark of its client measures. */
    int bits = options->coding == WIRE_GZIP ? 15 + 16 : 15;
    if (options->coding != WIRE_PLAIN &&
        deflateInit2(&w->zip, Z_BEST_SPEED, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(w);
        return NULL;
    }
    return w;
}

void wire_add_head(struct wire *w, struct view bytes)
{
    buffer_add_view(&w->out, bytes);
}

static void compress_into(struct wire *w, struct view bytes, int flush)
{
    w->zip.next_in = (const Bytef *)bytes.at;
    w->zip.avail_in = (uInt)bytes.length;
    do {
        size_t room = 16 << 10;
        char *at = buffer_reserve(&w->body, room);
        if (!at) {
            return;
        }
        w->zip.next_out = (Bytef *)at;
        w->zip.avail_out = (uInt)room;
        deflate(&w->zip, flush);
        w->body.length += room - w->zip.avail_out;
    } while (w->zip.avail_out == 0);
}

static void add_body(struct wire *w, struct view bytes, bool message_ends)
{
    if (w->options.coding == WIRE_PLAIN) {
        buffer_add_view(&w->body, bytes);
    } else if (bytes.length || message_ends) {
        compress_into(w, bytes, message_ends ? Z_SYNC_FLUSH : Z_NO_FLUSH);
    }
}

static void add_mark(struct wire *w, uint64_t position)
{
    if (w->mark_first + w->mark_count == w->mark_capacity) {
        if (w->mark_first > w->mark_capacity / 2) {
            memmove(w->marks, w->marks + w->mark_first, w->mark_count * sizeof *w->marks);
            w->mark_first = 0;
        } else {
            size_t capacity = w->mark_capacity ? w->mark_capacity * 2 : 256;
            struct mark *grown = realloc(w->marks, capacity * sizeof *grown);
            if (!grown) {
                w->failed = true;
                return;
            }
            w->marks = grown;
            w->mark_capacity = capacity;
        }
    }
    w->marks[w->mark_first + w->mark_count++] = (struct mark){w->body.length, 0, position};
    w->mark_unflushed++;
}

void wire_add_message(struct wire *w, struct view prefix, struct view message, uint64_t position)
{
    add_body(w, prefix, false);
    add_body(w, message, false);
    add_body(w, VIEW("\r\n"), true);
    add_mark(w, position);
    if (w->options.chunks == WIRE_MESSAGES) {
        wire_flush(w);
    }
}

void wire_add_notice(struct wire *w, struct view bytes)
{
    add_body(w, bytes, true);
    if (w->options.chunks == WIRE_MESSAGES) {
        wire_flush(w);
    }
}

size_t wire_unflushed(const struct wire *w)
{
    return w->body.length;
}

static size_t chunk_size(struct wire *w)
{
    switch (w->options.chunks) {
    case WIRE_FIXED:
        return w->options.chunk_size;
    case WIRE_RANDOM:
        /* Small ones often: a border inside an escape or between CR and LF should not be rare. */
        return 1 + random_below(&w->random, random_below(&w->random, 2) ? 8 : RANDOM_CHUNK);
    case WIRE_BLOCKS:
    case WIRE_MESSAGES:
        break;
    }
    return SIZE_MAX;
}

/* Ends of messages inside the body piece [from, to), which as a chunk now begins at `at`. */
static void move_marks(struct wire *w, size_t from, size_t to, uint64_t at)
{
    while (w->mark_unflushed) {
        struct mark *m = &w->marks[w->mark_first + w->mark_count - w->mark_unflushed];
        if (m->last > to) {
            return;
        }
        m->last = at + (m->last - from);
        m->end = w->out_start + w->out.length;
        w->mark_unflushed--;
    }
}

void wire_flush(struct wire *w)
{
    for (size_t from = 0; from < w->body.length;) {
        size_t left = w->body.length - from, size = w->options.chunked ? chunk_size(w) : left;
        size = size < left ? size : left;
        if (w->options.chunked) {
            buffer_print(&w->out, "%zx\r\n", size);
        }
        uint64_t at = w->out_start + w->out.length;
        buffer_append(&w->out, w->body.data + from, size);
        if (w->options.chunked) {
            buffer_append(&w->out, "\r\n", 2);
        }
        move_marks(w, from, from + size, at);
        from += size;
    }
    w->body.length = 0;
}

void wire_end(struct wire *w)
{
    if (w->options.coding != WIRE_PLAIN) {
        compress_into(w, view_none(), Z_FINISH);
    }
    wire_flush(w);
    if (w->options.chunked) {
        buffer_append(&w->out, "0\r\n\r\n", 5);
    }
}

void wire_end_truncated(struct wire *w)
{
    if (w->options.coding != WIRE_PLAIN) {
        /* The end of a sync flush is missing: the last block is not complete. */
        w->body.length -= w->body.length < 4 ? w->body.length : 4;
    }
    wire_flush(w);
    if (w->options.chunked) {
        buffer_append(&w->out, "0\r\n\r\n", 5);
    }
}

void wire_corrupt(struct wire *w)
{
    char bytes[64];
    memset(bytes, 0xFF, sizeof bytes);
    buffer_append(&w->body, bytes, sizeof bytes);
    wire_flush(w);
}

/* Messages whose last byte the kernel has are counted; the position moves on when it has their chunk. */
static void pass_marks(struct wire *w)
{
    uint64_t taken = w->out_start + w->sent;
    size_t flushed = w->mark_count - w->mark_unflushed;
    while (w->mark_counted < flushed && w->marks[w->mark_first + w->mark_counted].last <= taken) {
        w->mark_counted++;
        w->messages++;
    }
    while (w->mark_counted && w->marks[w->mark_first].end <= taken) {
        w->position = w->marks[w->mark_first].position;
        w->any_position = true;
        w->mark_first++;
        w->mark_count--;
        w->mark_counted--;
    }
    if (!w->mark_count) {
        w->mark_first = 0;
    }
}

int wire_send(struct wire *w, const struct transport *transport, size_t most)
{
    int result = 0;
    size_t left = most < w->out.length - w->sent ? most : w->out.length - w->sent;
    while (left) {
        ssize_t n = transport_send(transport, w->out.data + w->sent, left);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            result = errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
            break;
        }
        w->sent += (size_t)n;
        left -= (size_t)n < left ? (size_t)n : left;
    }
    pass_marks(w);
    /* Moving the rest to the front is worth it only when it is little, or much less than what is gone. */
    size_t rest = w->out.length - w->sent;
    if (rest < KEEP_BELOW || rest < w->sent / 2) {
        w->out_start += w->sent;
        buffer_drop(&w->out, w->sent);
        w->sent = 0;
    }
    return result;
}

size_t wire_waiting(const struct wire *w)
{
    return w->out.length - w->sent;
}

uint64_t wire_position(const struct wire *w, uint64_t none)
{
    return w->any_position ? w->position : none;
}

uint64_t wire_messages_sent(const struct wire *w)
{
    return w->messages;
}

uint64_t wire_bytes_sent(const struct wire *w)
{
    return w->out_start + w->sent;
}

bool wire_failed(const struct wire *w)
{
    return w->failed || buffer_failed(&w->body) || buffer_failed(&w->out);
}

void wire_free(struct wire *w)
{
    if (!w) {
        return;
    }
    if (w->options.coding != WIRE_PLAIN) {
        deflateEnd(&w->zip);
    }
    buffer_free(&w->body);
    buffer_free(&w->out);
    free(w->marks);
    free(w);
}
