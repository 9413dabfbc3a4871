/* tests/fuzz/ingest_message.c - fuzz target: any bytes as a stream's line. A post or event that comes out
 * must cross the bridge. */
#include "ingest/message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e;
    struct message m;
    struct message_reader *r = message_reader_new(&message_form_x_v1, "fuzz", true, &e);
    if (!r) {
        return 0;
    }
    message_read(r, view_make((const char *)data, size), 1700000000000, &m);
    if (m.kind == MESSAGE_POST || m.kind == MESSAGE_EVENT) {
        struct buffer b = BUFFER(64 << 20);
        struct arena *a = arena_new(64 << 20);
        struct post p;
        post_write(&b, &m.post);
        if (b.length <= POST_MAXIMUM_BYTES && a && post_read(buffer_view(&b), a, &p, &e)) {
            abort();
        }
        arena_free(a);
        buffer_free(&b);
    }
    message_reader_free(r);
    return 0;
}
