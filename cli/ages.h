/* cli/ages.h - when a frame was published, roughly: for the lag of consumers in seconds.
 *
 * Keeps a few hundred pairs (time, number), one a second at most; when they are full, every second one of the
 * older half goes, so that a lag of days is known to some minutes and a short one to a second. Times are
 * clock_steady_ms. All-zero is one that knows nothing.
 */
#ifndef ROOST_CLI_AGES_H
#define ROOST_CLI_AGES_H

#include <stddef.h>
#include <stdint.h>

enum { AGES_KEPT = 256 };

struct ages {
    size_t count;
    struct age {
        int64_t at_ms;
        uint64_t number;
    } kept[AGES_KEPT];
};

/* The number was given out now; numbers only rise. */
void ages_note(struct ages *a, int64_t now_ms, uint64_t number);

/* How long ago `number` was given out; of numbers before the first note: since that, at least. 0: it was not
 * given out yet. */
int64_t ages_of(const struct ages *a, int64_t now_ms, uint64_t number);

#endif
