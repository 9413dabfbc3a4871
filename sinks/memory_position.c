#include "sinks/memory_position.h"

#include <stdlib.h>

struct memory_position {
    char *consumer, *spool;
    uint64_t sequence;
};

static struct memory_position *find(const struct memory_positions *m, const char *consumer, struct view spool)
{
    for (size_t i = 0; i < m->count; i++) {
        if (strcmp(m->items[i].consumer, consumer) == 0 && view_is(spool, m->items[i].spool)) {
            return &m->items[i];
        }
    }
    return NULL;
}

uint64_t memory_position_get(const struct memory_positions *m, const char *consumer, struct view spool)
{
    const struct memory_position *known = find(m, consumer, spool);
    return known ? known->sequence : 0;
}

int memory_position_set(struct memory_positions *m, const char *consumer, struct view spool,
                        uint64_t sequence, struct err *e)
{
    struct memory_position *known = find(m, consumer, spool);
    if (known) {
        struct memory_position moved = *known;
        struct memory_position *last = &m->items[m->count - 1];
        memmove(known, known + 1, (size_t)(last - known) * sizeof *known);
        *last = moved;
        last->sequence = sequence;
        return 0;
    }
    struct memory_position *grown = realloc(m->items, (m->count + 1) * sizeof *grown);
    if (!grown) {
        return err_set(e, ERR_RETRY, "memory is out");
    }
    m->items = grown;
    struct memory_position added = {view_copy(view_of(consumer)), view_copy(spool), sequence};
    if (!added.consumer || !added.spool) {
        free(added.consumer);
        free(added.spool);
        return err_set(e, ERR_RETRY, "memory is out");
    }
    m->items[m->count++] = added;
    return 0;
}

bool memory_position_entry(const struct memory_positions *m, size_t index,
                           struct memory_position_entry *entry)
{
    if (index >= m->count) {
        return false;
    }
    const struct memory_position *p = &m->items[index];
    *entry = (struct memory_position_entry){p->consumer, p->spool, p->sequence};
    return true;
}

void memory_position_free(struct memory_positions *m)
{
    for (size_t i = 0; i < m->count; i++) {
        free(m->items[i].consumer);
        free(m->items[i].spool);
    }
    free(m->items);
    *m = (struct memory_positions){0};
}
