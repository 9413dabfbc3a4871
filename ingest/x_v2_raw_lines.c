#include "ingest/x_v2_raw_lines.h"

#include "base/arena.h"

#include <stdlib.h>

enum { MEMORY_MOST = 512 * 1024 * 1024 };

struct entry {
    struct view name; /* a tag, or an id */
    const size_t *lines;
    size_t count;
};

struct x_v2_raw_lines {
    struct arena *arena;
    struct entry *entries; /* by name */
    size_t count;
};

struct x_v2_raw_lines *x_v2_raw_lines_new(void)
{
    struct x_v2_raw_lines *known = calloc(1, sizeof *known);
    if (known) {
        known->arena = arena_new(MEMORY_MOST);
    }
    if (known && !known->arena) {
        free(known);
        return NULL;
    }
    return known;
}

void x_v2_raw_lines_free(struct x_v2_raw_lines *known)
{
    if (known) {
        arena_free(known->arena);
        free(known);
    }
}

static int compare_names(struct view a, struct view b)
{
    size_t least = a.length < b.length ? a.length : b.length;
    int order = least ? memcmp(a.at, b.at, least) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

static int compare_entries(const void *a, const void *b)
{
    return compare_names(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static int compare_to_entry(const void *name, const void *entry)
{
    return compare_names(*(const struct view *)name, ((const struct entry *)entry)->name);
}

static void add(struct x_v2_raw_lines *known, const struct rule *rule, struct view name)
{
    size_t *lines = arena_zeroed(known->arena, rule->line_count, sizeof *lines);
    struct view copy = arena_view(known->arena, name);
    for (size_t i = 0; lines && i < rule->line_count; i++) {
        lines[i] = rule->lines[i];
    }
    if (lines && copy.length) {
        known->entries[known->count++] = (struct entry){copy, lines, rule->line_count};
    }
}

static void add_pairs(struct x_v2_raw_lines *known, const struct x_v2_rules_state *state,
                      const struct rules_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct rule *rule = &state->rules->items[pairs[i].wanted];
        const struct rules_held *held = &state->held[pairs[i].held];
        if (rule->raw) {
            add(known, rule, held->tag.length ? held->tag : held->id);
        }
    }
}

/* Several raw rules under one tag of another program: their lines together. */
static void join_equal_names(struct x_v2_raw_lines *known)
{
    size_t kept = 0;
    for (size_t i = 0; i < known->count; i++) {
        struct entry *last = kept ? &known->entries[kept - 1] : NULL;
        const struct entry *next = &known->entries[i];
        if (!last || compare_entries(last, next)) {
            known->entries[kept++] = *next;
            continue;
        }
        size_t *lines = arena_zeroed(known->arena, last->count + next->count, sizeof *lines);
        if (lines) {
            memcpy(lines, last->lines, last->count * sizeof *lines);
            memcpy(lines + last->count, next->lines, next->count * sizeof *lines);
            last->lines = lines;
            last->count += next->count;
        }
    }
    known->count = kept;
}

void x_v2_raw_lines_learn(struct x_v2_raw_lines *known, const struct rules *rules,
                          const struct x_v2_rules_state *state)
{
    size_t most = rules->count + (state ? state->change.keep_count + state->change.foreign_count : 0);
    arena_reset(known->arena);
    known->count = 0;
    known->entries = arena_zeroed(known->arena, most + 1, sizeof *known->entries);
    for (size_t i = 0; known->entries && i < rules->count; i++) {
        if (rules->items[i].raw) {
            add(known, &rules->items[i], rules->items[i].tag);
        }
    }
    if (known->entries && state) {
        add_pairs(known, state, state->change.keep, state->change.keep_count);
        add_pairs(known, state, state->change.foreign, state->change.foreign_count);
    }
    if (known->entries && known->count) {
        qsort(known->entries, known->count, sizeof *known->entries, compare_entries);
        join_equal_names(known);
    }
}

size_t x_v2_raw_lines_find(const struct x_v2_raw_lines *known, struct view rule, const size_t **lines)
{
    const struct entry *found =
        known->count ? bsearch(&rule, known->entries, known->count, sizeof *known->entries, compare_to_entry)
                     : NULL;
    *lines = found ? found->lines : NULL;
    return found ? found->count : 0;
}
