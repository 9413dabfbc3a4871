/* tests/fuzz/post_read.c - fuzz target: any bytes as a frame's JSON. What is taken must be written and read
 * again as the same line. */
#include "bridge/post.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(64 << 20);
    struct buffer once = BUFFER(64 << 20), twice = BUFFER(64 << 20);
    struct post p, q;
    struct err e;
    if (a && post_read(view_make((const char *)data, size), a, &p, &e) == 0) {
        post_write(&once, &p);
        /* Escapes may make a line that was just short enough longer than a frame may be. */
        if (once.length <= POST_MAXIMUM_BYTES) {
            if (post_read(buffer_view(&once), a, &q, &e)) {
                abort();
            }
            post_write(&twice, &q);
            if (!view_equal(buffer_view(&once), buffer_view(&twice))) {
                abort();
            }
        }
    }
    buffer_free(&once);
    buffer_free(&twice);
    arena_free(a);
    return 0;
}
