#include "base/json_scan.h"
#include "base/number.h"
#include "simulator/fresh.h"

enum { PLACES_MAX = 128 };

struct finder {
    struct view text;
    struct fresh_place places[PLACES_MAX];
    size_t count;
};

/* A string's place, without its quotes. */
static struct view inside(struct view value)
{
    return value.length >= 2 && value.at[0] == '"' ? view_make(value.at + 1, value.length - 2) : view_none();
}

static void add(struct finder *f, struct view value, enum fresh_kind kind, uint64_t id)
{
    if (value.length && f->count < PLACES_MAX) {
        f->places[f->count++] =
            (struct fresh_place){(uint32_t)(value.at - f->text.at), (uint32_t)value.length, kind, id};
    }
}

static bool add_id(struct finder *f, struct view value, uint64_t *id)
{
    struct view digits = inside(value);
    if (!digits.at || number_parse_unsigned(digits, id) < 0 || *id <= FRESH_OLDEST_ID) {
        *id = 0;
        return false;
    }
    add(f, digits, FRESH_ID, *id);
    return true;
}

/* Each string of digits in an array of strings, or under "id" in an array of objects. */
static void add_ids(struct finder *f, struct view array)
{
    uint64_t id;
    for (size_t at = 0; at < array.length; at++) {
        if (array.at[at] != '"') {
            continue;
        }
        const char *end = memchr(array.at + at + 1, '"', array.length - at - 1);
        if (!end) {
            return;
        }
        add_id(f, view_make(array.at + at, (size_t)(end - array.at) - at + 1), &id);
        at = (size_t)(end - array.at);
    }
}

/* The members of a post, in the order in which they stand. */
static uint64_t add_post(struct finder *f, struct view post)
{
    uint64_t own = 0, id;
    struct view key, value;
    struct view written = inside(json_scan_member(post, "id"));
    if (!written.at || number_parse_unsigned(written, &own) < 0 || own <= FRESH_OLDEST_ID) {
        return 0;
    }
    for (size_t at = 0; json_scan_next(post, &at, &key, &value) == 1;) {
        if (view_is(key, "id") || view_is(key, "conversation_id")) {
            add_id(f, value, &id);
        } else if (view_is(key, "created_at")) {
            add(f, inside(value), FRESH_CREATED_ISO, own);
        } else if (view_is(key, "edit_history_tweet_ids") || view_is(key, "edit_history_post_ids") ||
                   view_is(key, "referenced_tweets") || view_is(key, "referenced_posts")) {
            add_ids(f, value);
        }
    }
    return own;
}

/* Posts of an array of objects: each is found by its braces, since no member of a post lies deeper. */
static void add_posts(struct finder *f, struct view array)
{
    size_t depth = 0, from = 0;
    for (size_t at = 0; at < array.length; at++) {
        char c = array.at[at];
        if (c == '"') {
            for (at++; at < array.length && array.at[at] != '"'; at++) {
                at += array.at[at] == '\\';
            }
        } else if (c == '{' && depth++ == 0) {
            from = at;
        } else if (c == '}' && depth && --depth == 0) {
            add_post(f, view_make(array.at + from, at - from + 1));
        }
    }
}

/* The references that nobody has name tweets, too. */
static void add_errors(struct finder *f, struct view errors)
{
    static const char *const members[] = {"\"value\":", "\"resource_id\":"};
    uint64_t id;
    for (size_t i = 0; i < 2 && errors.length; i++) {
        size_t length = strlen(members[i]);
        const char *at = errors.at, *end = errors.at + errors.length;
        while ((at = memmem(at, (size_t)(end - at), members[i], length)) != NULL) {
            at += length;
            const char *quote = at < end && *at == '"' ? memchr(at + 1, '"', (size_t)(end - at) - 1) : NULL;
            if (quote) {
                add_id(f, view_make(at, (size_t)(quote - at) + 1), &id);
            }
        }
    }
}

/* fresh_write goes from front to back. */
static void sort(struct finder *f)
{
    for (size_t i = 1; i < f->count; i++) {
        struct fresh_place place = f->places[i];
        size_t j = i;
        for (; j && f->places[j - 1].offset > place.offset; j--) {
            f->places[j] = f->places[j - 1];
        }
        f->places[j] = place;
    }
}

int fresh_find_payload(struct view payload, struct arena *memory, struct fresh_places *places)
{
    struct finder f = {.text = payload};
    *places = (struct fresh_places){0};
    uint64_t own = add_post(&f, json_scan_member(payload, "data"));
    if (!own) {
        return 0;
    }
    add_posts(&f, json_scan_member(json_scan_member(payload, "includes"), "tweets"));
    add_errors(&f, json_scan_member(payload, "errors"));
    sort(&f);
    struct fresh_place *copy = arena_alloc(memory, f.count * sizeof *copy);
    if (!copy) {
        return -1;
    }
    memcpy(copy, f.places, f.count * sizeof *copy);
    *places = (struct fresh_places){copy, f.count, own};
    return 0;
}
