/* simulator/wire.h - the body of a stream on its way out: compressed, cut into HTTP chunks, sent as the
 * socket takes it.
 *
 * A message is added whole; what it becomes on the wire (gzip with a sync flush after each message, chunks
 * whose borders have nothing to do with messages) is decided here, and so is which message was the last to be
 * handed to the kernel completely: after a broken connection the stream goes on behind that one.
 */
#ifndef ROOST_SIMULATOR_WIRE_H
#define ROOST_SIMULATOR_WIRE_H

#include "base/view.h"
#include "simulator/transport.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire_coding {
    WIRE_PLAIN,
    WIRE_GZIP,
    WIRE_DEFLATE
}; /* deflate is zlib's format (RFC 1950), as HTTP means it */

enum wire_chunks {
    WIRE_BLOCKS,   /* one chunk for all that was added before a flush */
    WIRE_MESSAGES, /* one chunk per message */
    WIRE_FIXED,    /* chunks of chunk_size bytes; only the last before a flush may be smaller */
    WIRE_RANDOM    /* chunks of 1 to 4096 bytes, repeatable by the seed */
};

struct wire_options {
    enum wire_coding coding;
    enum wire_chunks chunks;
    size_t chunk_size; /* for WIRE_FIXED, 1 or more */
    uint64_t seed;     /* for WIRE_RANDOM */
    bool chunked;      /* false: no chunks at all (HTTP/1.0, which ends with the connection) */
};

struct wire;

/* NULL when memory is out. The caller frees it. */
struct wire *wire_new(const struct wire_options *options);

/* Bytes that go out as they are, outside of the body (the head of the answer). Before anything else is added.
 */
void wire_add_head(struct wire *w, struct view bytes);

/* One message with its line end; prefix comes before it and belongs to it (a length line). `position` is
 * where the stream stands once it is sent. */
void wire_add_message(struct wire *w, struct view prefix, struct view message, uint64_t position);

/* Bytes of the body that are no position of the stream: keep-alives, warnings, disconnect messages. */
void wire_add_notice(struct wire *w, struct view bytes);

/* Bytes added since the last flush. */
size_t wire_unflushed(const struct wire *w);

/* Turns all that was added into chunks, ready to be sent. */
void wire_flush(struct wire *w);

/* Flushes, ends the compression and adds the last chunk. Nothing may be added afterwards. */
void wire_end(struct wire *w);

/* Ends the body in order, but what is compressed in it breaks off (a body that is not compressed just ends).
 */
void wire_end_truncated(struct wire *w);

/* Adds bytes that belong to no compressed data, as if some had been changed on the way; then flushes. */
void wire_corrupt(struct wire *w);

/* Sends what the socket takes, at most `most` bytes. 0, or -1: the connection is broken. */
int wire_send(struct wire *w, const struct transport *transport, size_t most);

/* Bytes ready but not taken by the socket yet. */
size_t wire_waiting(const struct wire *w);

/* The position of the last message that was handed to the kernel with the whole chunk it is in (some clients
 * read nothing of a part of one); `none` before the first. */
uint64_t wire_position(const struct wire *w, uint64_t none);

/* Messages whose last byte the kernel has (so a client may have read them), and bytes sent. */
uint64_t wire_messages_sent(const struct wire *w);
uint64_t wire_bytes_sent(const struct wire *w);

/* Memory ran out at some point: what was added is incomplete, the connection must be closed. */
bool wire_failed(const struct wire *w);

/* NULL does nothing. */
void wire_free(struct wire *w);

#endif
