/* A stream's body, cut into two chunk sizes: both must give the same messages, within the limit, using all
 * input. */
#include "base/checksum.h"
#include "ingest/lines.h"

#include <stdlib.h>

enum { LIMIT = 100 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A checksum over everything that came out. */
static uint32_t read_in_steps(struct view input, size_t step)
{
    struct ingest_lines *l = ingest_lines_new(LIMIT);
    uint32_t sum = 0;
    while (l && input.length) {
        struct view chunk = view_make(input.at, step < input.length ? step : input.length);
        input = view_from(input, chunk.length);
        struct ingest_lines_item item;
        enum ingest_lines_kind kind;
        while ((kind = ingest_lines_next(l, &chunk, &item)) != LINES_MORE) {
            if (item.message.length > LIMIT + 2) {
                abort();
            }
            sum = checksum_crc32c(sum, &kind, sizeof kind);
            sum = checksum_crc32c(sum, item.message.at, item.message.length);
            sum = checksum_crc32c(sum, &item.length, sizeof item.length);
        }
        if (chunk.length) {
            abort();
        }
    }
    uint64_t lost = l ? ingest_lines_end(l) : 0;
    ingest_lines_free(l);
    return checksum_crc32c(sum, &lost, sizeof lost);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view input = view_make((const char *)data, size);
    if (read_in_steps(input, size + 1) != read_in_steps(input, 1)) {
        abort();
    }
    return 0;
}
