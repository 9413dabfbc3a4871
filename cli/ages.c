#include "cli/ages.h"

#include <string.h>

enum { STEP_MS = 1000 };

static void thin(struct ages *a)
{
    size_t kept = 0, half = a->count / 2;
    for (size_t i = 0; i < a->count; i++) {
        if (i >= half || i % 2 == 0) {
            a->kept[kept++] = a->kept[i];
        }
    }
    a->count = kept;
}

void ages_note(struct ages *a, int64_t now_ms, uint64_t number)
{
    if (a->count && now_ms - a->kept[a->count - 1].at_ms < STEP_MS) {
        return;
    }
    if (a->count == AGES_KEPT) {
        thin(a);
    }
    a->kept[a->count++] = (struct age){now_ms, number};
}

int64_t ages_of(const struct ages *a, int64_t now_ms, uint64_t number)
{
    size_t low = 0, high = a->count; /* the last note that is not behind `number` */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (a->kept[middle].number <= number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (!a->count) {
        return 0;
    }
    return now_ms - a->kept[low ? low - 1 : 0].at_ms;
}
