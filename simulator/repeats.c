#include "simulator/repeats.h"

#include "simulator/playlist.h"

#include <stdlib.h>

int repeats_init(struct repeats *r, size_t capacity)
{
    *r = (struct repeats){.capacity = capacity};
    r->slots = capacity ? calloc(capacity, sizeof *r->slots) : NULL;
    if (capacity && !r->slots) {
        r->capacity = 0;
        return -1;
    }
    for (size_t i = 0; i < capacity; i++) {
        r->slots[i].copy = BUFFER((size_t)PLAYLIST_MESSAGE_MAX * 2);
    }
    return 0;
}

void repeats_add(struct repeats *r, size_t index, uint64_t position, struct view bytes, bool copy)
{
    if (!r->capacity) {
        return;
    }
    struct repeat *slot = &r->slots[(r->first + r->count) % r->capacity];
    if (r->count == r->capacity) {
        r->first = (r->first + 1) % r->capacity;
        r->count--;
    }
    if (copy) {
        buffer_reset(&slot->copy);
        buffer_add_view(&slot->copy, bytes);
        if (buffer_failed(&slot->copy)) {
            return;
        }
        bytes = buffer_view(&slot->copy);
    }
    slot->index = index;
    slot->position = position;
    slot->bytes = bytes;
    r->count++;
}

void repeats_drop_behind(struct repeats *r, uint64_t position)
{
    while (r->count && repeats_at(r, r->count - 1)->position > position) {
        r->count--;
    }
}

const struct repeat *repeats_at(const struct repeats *r, size_t i)
{
    return &r->slots[(r->first + i) % r->capacity];
}

void repeats_free(struct repeats *r)
{
    for (size_t i = 0; i < r->capacity; i++) {
        buffer_free(&r->slots[i].copy);
    }
    free(r->slots);
    *r = (struct repeats){0};
}
