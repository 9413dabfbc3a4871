#include "simulator/rule_store.h"

#include "base/json.h"
#include "base/number.h"
#include "simulator/fresh.h"

#include <stdio.h>
#include <stdlib.h>

struct verdict {
    uint64_t version; /* of the rules when it was asked */
    struct view json;
};

/* One fact that a rule needs. */
struct entry {
    uint64_t fact;
    uint32_t item;
};

struct rule_store {
    struct rule_store_limits limits;
    struct rule_store_item *items;
    size_t count, capacity;
    uint64_t last_id, version, indexed, stamp;
    int64_t next_active_ms; /* when the next added rule begins to work; INT64_MAX: all do */
    struct verdict *verdicts;
    struct arena *texts; /* of the verdicts of this version */
    struct entry *entries;
    size_t entry_count, entry_capacity;
    uint32_t *always; /* rules that must be asked of every message */
    size_t always_count;
    uint32_t *found;
};

struct rule_store *rule_store_new(const struct rule_store_limits *limits, size_t messages)
{
    struct rule_store *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    r->limits = *limits;
    r->version = 1;
    r->next_active_ms = INT64_MAX;
    r->verdicts = calloc(messages ? messages : 1, sizeof *r->verdicts);
    r->texts = arena_new((size_t)1 << 30);
    if (!r->verdicts || !r->texts) {
        rule_store_free(r);
        return NULL;
    }
    return r;
}

size_t rule_store_count(const struct rule_store *rules)
{
    return rules->count;
}

const struct rule_store_item *rule_store_at(const struct rule_store *rules, size_t index)
{
    return &rules->items[index];
}

const struct rule_store_item *rule_store_with_value(const struct rule_store *rules, struct view value)
{
    for (size_t i = 0; i < rules->count; i++) {
        if (view_is(value, rules->items[i].value)) {
            return &rules->items[i];
        }
    }
    return NULL;
}

const struct rule_store_item *rule_store_with_id(const struct rule_store *rules, struct view id)
{
    uint64_t number;
    if (!id.at || number_parse_unsigned(id, &number) < 0) {
        return NULL;
    }
    for (size_t i = 0; i < rules->count; i++) {
        if (rules->items[i].id == number) {
            return &rules->items[i];
        }
    }
    return NULL;
}

static void free_item(struct rule_store_item *item)
{
    free(item->value);
    free(item->tag);
    rule_free(item->rule);
}

const struct rule_store_item *rule_store_add(struct rule_store *rules, struct rule *rule, struct view value,
                                             struct view tag, int64_t wall_ms, int64_t steady_ms)
{
    struct rule_store_item item = {.value = view_copy(value),
                                   .tag = view_copy(tag),
                                   .rule = rule,
                                   .active_ms = steady_ms + rules->limits.delay_ms};
    if (rules->count == rules->capacity) {
        size_t capacity = rules->capacity ? rules->capacity * 2 : 64;
        struct rule_store_item *grown = realloc(rules->items, capacity * sizeof *grown);
        if (!grown) {
            free_item(&item);
            return NULL;
        }
        rules->items = grown;
        rules->capacity = capacity;
    }
    if (!item.value || (tag.at && !item.tag)) {
        free_item(&item);
        return NULL;
    }
    uint64_t first = fresh_first_id(wall_ms);
    rules->last_id = rules->last_id < first ? first : rules->last_id + 1;
    item.id = rules->last_id;
    rules->items[rules->count++] = item;
    rules->version++;
    return &rules->items[rules->count - 1];
}

void rule_store_delete(struct rule_store *rules, uint64_t id)
{
    for (size_t i = 0; i < rules->count; i++) {
        if (rules->items[i].id == id) {
            free_item(&rules->items[i]);
            memmove(&rules->items[i], &rules->items[i + 1], (rules->count - i - 1) * sizeof *rules->items);
            rules->count--;
            rules->version++;
            return;
        }
    }
}

/* ---- which match ---- */

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->fact < y->fact ? -1 : x->fact > y->fact;
}

static int add_entries(struct rule_store *r, const struct rule_words *facts, uint32_t item)
{
    size_t needed = r->entry_count + facts->count;
    if (needed > r->entry_capacity) {
        size_t capacity = needed * 2;
        struct entry *grown = realloc(r->entries, capacity * sizeof *grown);
        if (!grown) {
            return -1;
        }
        r->entries = grown;
        r->entry_capacity = capacity;
    }
    for (size_t i = 0; i < facts->count; i++) {
        r->entries[r->entry_count++] = (struct entry){facts->items[i], item};
    }
    return 0;
}

/* Everything that was kept belongs to the rules as they were. -1: memory is out. */
static int make_index(struct rule_store *r, int64_t now_ms)
{
    struct rule_words cover = {0};
    int result = 0;
    free(r->always);
    free(r->found);
    r->always = calloc(r->count + 1, sizeof *r->always);
    r->found = calloc(r->count + 1, sizeof *r->found);
    r->entry_count = r->always_count = 0;
    r->next_active_ms = INT64_MAX;
    arena_reset(r->texts);
    if (!r->always || !r->found) {
        return -1;
    }
    for (uint32_t i = 0; i < r->count && result == 0; i++) {
        struct rule_store_item *item = &r->items[i];
        item->stamp = 0;
        if (item->active_ms > now_ms) {
            r->next_active_ms = item->active_ms < r->next_active_ms ? item->active_ms : r->next_active_ms;
            continue;
        }
        cover.count = 0;
        if (rule_cover(item->rule, &cover)) {
            result = add_entries(r, &cover, i);
        } else {
            r->always[r->always_count++] = i;
        }
    }
    rule_words_free(&cover);
    if (r->entry_count) {
        qsort(r->entries, r->entry_count, sizeof *r->entries, compare_entries);
    }
    r->stamp = 0;
    r->indexed = r->version;
    return result;
}

static size_t first_entry(const struct rule_store *r, uint64_t fact)
{
    size_t low = 0, high = r->entry_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r->entries[middle].fact < fact) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static size_t ask(struct rule_store *r, uint32_t index, const struct rule_facts *facts, size_t count)
{
    struct rule_store_item *item = &r->items[index];
    if (item->stamp == r->stamp) {
        return count;
    }
    item->stamp = r->stamp;
    if (rule_match(item->rule, facts)) {
        r->found[count++] = index;
    }
    return count;
}

static int compare_found(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static struct view found_json(struct rule_store *r, size_t count)
{
    if (!count) {
        return view_none();
    }
    struct buffer json = BUFFER(16 << 20);
    qsort(r->found, count, sizeof *r->found, compare_found);
    for (size_t i = 0; i < count; i++) {
        const struct rule_store_item *item = &r->items[r->found[i]];
        buffer_print(&json, "%s{\"id\":\"%llu\"", i ? "," : "[", (unsigned long long)item->id);
        /* A rule without a tag has an empty one here: tweepy 4 read it unasked, and worked for years. */
        buffer_add_text(&json, ",\"tag\":");
        json_add_string(&json, view_of(item->tag ? item->tag : ""));
        buffer_add_byte(&json, '}');
    }
    buffer_add_byte(&json, ']');
    struct view kept = arena_view(r->texts, buffer_view(&json));
    buffer_free(&json);
    return kept;
}

struct view rule_store_match(struct rule_store *r, size_t index, const struct rule_facts *facts,
                             int64_t steady_ms)
{
    if (steady_ms >= r->next_active_ms) {
        r->version++;
    }
    struct verdict *v = &r->verdicts[index];
    if (v->version == r->version) {
        return v->json;
    }
    if (r->indexed != r->version && make_index(r, steady_ms) < 0) {
        return view_none();
    }
    size_t count = 0;
    r->stamp++;
    for (size_t i = 0; i < facts->count; i++) {
        for (size_t at = first_entry(r, facts->set[i]);
             at < r->entry_count && r->entries[at].fact == facts->set[i]; at++) {
            count = ask(r, r->entries[at].item, facts, count);
        }
    }
    for (size_t i = 0; i < r->always_count; i++) {
        count = ask(r, r->always[i], facts, count);
    }
    *v = (struct verdict){r->version, found_json(r, count)};
    return v->json;
}

void rule_store_free(struct rule_store *rules)
{
    if (!rules) {
        return;
    }
    for (size_t i = 0; i < rules->count; i++) {
        free_item(&rules->items[i]);
    }
    free(rules->items);
    free(rules->verdicts);
    free(rules->entries);
    free(rules->always);
    free(rules->found);
    arena_free(rules->texts);
    free(rules);
}
