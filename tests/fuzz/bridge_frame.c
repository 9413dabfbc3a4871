/* Fuzz target: bytes as they come from a bridge, and texts as they go into a frame. */
#include "bridge/frame.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_frames(struct view bytes)
{
    struct frame_head head;
    struct view payload;
    size_t taken;
    struct err e;
    while (frame_parse(bytes, VIEW("__end"), &head, &payload, &taken, &e) == 1) {
        if (taken > bytes.length || payload.length != head.length ||
            frame_checksum(head.sequence, payload) != head.checksum) {
            abort();
        }
        bytes = view_from(bytes, taken);
    }
}

/* After ASCII lowercasing the marker is in the frame once, at its end. */
static void write_frame(struct view text)
{
    struct buffer b = BUFFER(FRAME_PLAIN_MAXIMUM);
    frame_write_text(&b, text, VIEW("__end"));
    size_t found = 0;
    for (size_t i = 0; i < b.length; i++) {
        if (b.data[i] >= 'A' && b.data[i] <= 'Z') {
            b.data[i] = (char)(b.data[i] + 32);
        }
    }
    for (size_t i = 0; i + 5 <= b.length; i++) {
        found += memcmp(b.data + i, "__end", 5) == 0;
    }
    if (found != 1 || b.length < text.length + 7 || memchr(b.data, '\n', b.length) != b.data + b.length - 1) {
        abort();
    }
    buffer_reset(&b);
    frame_escape_json(&b, text, VIEW("__end"));
    buffer_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of exactly this size: AddressSanitizer sees the first byte read beyond it. */
    char *copy = malloc(size ? size : 1);
    if (copy) {
        memcpy(copy, data, size);
        read_frames(view_make(copy, size));
        write_frame(view_make(copy, size));
    }
    free(copy);
    return 0;
}
