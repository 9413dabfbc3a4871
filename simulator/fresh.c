#include "simulator/fresh.h"

#include "base/clock.h"
#include "base/number.h"

#include <time.h>

enum { PLACES_MAX = 64, DEPTH_MAX = 64 };

/* What kind of object we are in: only these hold ids and times of tweets. */
enum inside { INSIDE_OTHER, INSIDE_TWEET, INSIDE_NOTICE, INSIDE_STATUS };

struct level {
    enum inside inside;
    size_t first; /* the first place found in this object */
    uint64_t id;
};

struct finder {
    struct view text;
    struct fresh_place places[PLACES_MAX];
    size_t count;
    struct level levels[DEPTH_MAX];
    size_t depth;
};

/* The string that begins at text.at[*at] == '"', without its quotes; *at moves behind it. */
static struct view read_string(struct view text, size_t *at)
{
    size_t from = ++*at;
    while (*at < text.length && text.at[*at] != '"') {
        *at += text.at[*at] == '\\' ? 2 : 1;
    }
    size_t end = *at < text.length ? *at : text.length;
    *at = end + 1;
    return view_make(text.at + from, end - from);
}

static enum inside child_of(enum inside parent, size_t depth, struct view key)
{
    if (depth == 0) {
        return INSIDE_TWEET;
    }
    if (parent == INSIDE_TWEET && (view_is(key, "retweeted_status") || view_is(key, "quoted_status"))) {
        return INSIDE_TWEET;
    }
    if (depth == 1 && (view_is(key, "delete") || view_is(key, "limit"))) {
        return INSIDE_NOTICE;
    }
    if (depth == 1 && (view_is(key, "status_withheld") || view_is(key, "scrub_geo"))) {
        return INSIDE_STATUS;
    }
    return parent == INSIDE_NOTICE && view_is(key, "status") ? INSIDE_STATUS : INSIDE_OTHER;
}

static void add_place(struct finder *f, struct view value, enum fresh_kind kind, uint64_t id)
{
    if (f->count < PLACES_MAX) {
        f->places[f->count++] =
            (struct fresh_place){(uint32_t)(value.at - f->text.at), (uint32_t)value.length, kind, id};
    }
}

static bool names_a_tweet(enum inside inside, struct view key)
{
    static const char *const of_tweet[] = {"in_reply_to_status_id", "in_reply_to_status_id_str",
                                           "quoted_status_id", "quoted_status_id_str"};
    if (view_is(key, "id") || view_is(key, "id_str")) {
        return true;
    }
    if (inside == INSIDE_STATUS) {
        return view_is(key, "up_to_status_id") || view_is(key, "up_to_status_id_str");
    }
    for (size_t i = 0; i < sizeof of_tweet / sizeof *of_tweet; i++) {
        if (view_is(key, of_tweet[i])) {
            return true;
        }
    }
    return false;
}

static void note_value(struct finder *f, struct view key, struct view value)
{
    struct level *level = &f->levels[f->depth - 1];
    if (level->inside == INSIDE_OTHER) {
        return;
    }
    uint64_t id;
    if (level->inside != INSIDE_NOTICE && names_a_tweet(level->inside, key)) {
        if (number_parse_unsigned(value, &id) == 0 && id > FRESH_OLDEST_ID) {
            add_place(f, value, FRESH_ID, id);
            if (view_is(key, "id") || view_is(key, "id_str")) {
                level->id = id;
            }
        }
    } else if (level->inside == INSIDE_TWEET && view_is(key, "created_at")) {
        add_place(f, value, FRESH_CREATED_AT, 0);
    } else if (view_is(key, "timestamp_ms")) {
        add_place(f, value, FRESH_TIMESTAMP, 0);
    }
}

/* The object is over: its times belong to its id, which may have come after them. */
static void leave(struct finder *f)
{
    const struct level *level = &f->levels[--f->depth];
    for (size_t i = level->first; i < f->count; i++) {
        if (f->places[i].kind == FRESH_CREATED_AT && !f->places[i].id) {
            f->places[i].id = level->id;
        }
    }
}

static struct view read_scalar(struct view text, size_t *at)
{
    size_t from = *at;
    while (*at < text.length && !strchr(",]}", text.at[*at])) {
        ++*at;
    }
    return view_trim(view_make(text.at + from, *at - from));
}

/* Walks the JSON once. False when it is none, or too deep. */
static bool walk(struct finder *f, uint64_t *own_id)
{
    struct view key = VIEW("");
    bool has_key = false;
    for (size_t at = 0; at < f->text.length;) {
        char c = f->text.at[at];
        if (c == '{' || c == '[') {
            if (f->depth == DEPTH_MAX) {
                return false;
            }
            enum inside parent = f->depth ? f->levels[f->depth - 1].inside : INSIDE_OTHER;
            enum inside inside = c == '{' ? child_of(parent, f->depth, key) : INSIDE_OTHER;
            f->levels[f->depth++] = (struct level){inside, f->count, 0};
            has_key = false;
            at++;
        } else if (c == '}' || c == ']') {
            if (!f->depth) {
                return false;
            }
            if (f->depth == 1) {
                *own_id = f->levels[0].id;
            }
            leave(f);
            has_key = false;
            at++;
        } else if (c == ',' || c == ':' || c == ' ' || c == '\t' || c == '\n') {
            has_key = has_key && c != ',';
            at++;
        } else if (!f->depth) {
            return false;
        } else {
            struct view value = c == '"' ? read_string(f->text, &at) : read_scalar(f->text, &at);
            if (has_key) {
                note_value(f, key, value);
                has_key = false;
            } else {
                key = value;
                has_key = true;
            }
        }
    }
    return f->depth == 0;
}

int fresh_find(struct view message, struct arena *memory, struct fresh_places *places)
{
    struct finder f = {.text = message};
    *places = (struct fresh_places){0};
    if (!walk(&f, &places->own_id)) {
        places->own_id = 0;
        return 0;
    }
    struct fresh_place *copy = arena_alloc(memory, f.count * sizeof *copy);
    if (!copy) {
        return -1;
    }
    memcpy(copy, f.places, f.count * sizeof *copy);
    places->items = copy;
    places->count = f.count;
    return 0;
}

void fresh_add_created_at(struct buffer *into, int64_t wall_ms)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm t;
    gmtime_r(&seconds, &t);
    buffer_print(into, "%.3s %.3s %02d %02d:%02d:%02d +0000 %04d", days + 3 * t.tm_wday,
                 months + 3 * t.tm_mon, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, t.tm_year + 1900);
}

void fresh_write(struct view message, const struct fresh_places *places, uint64_t own_id, int64_t now_ms,
                 fresh_id_of *id_of, void *context, struct buffer *into)
{
    size_t done = 0;
    for (size_t i = 0; i < places->count; i++) {
        const struct fresh_place *p = &places->items[i];
        buffer_append(into, message.at + done, p->offset - done);
        done = (size_t)p->offset + p->length;
        bool own = !p->id || p->id == places->own_id;
        uint64_t id = own ? own_id : id_of(context, p->id);
        switch (p->kind) {
        case FRESH_ID:
            buffer_add_number(into, (int64_t)id);
            break;
        case FRESH_CREATED_AT:
            fresh_add_created_at(into, own ? now_ms : fresh_time_of(id));
            break;
        case FRESH_TIMESTAMP:
            buffer_add_number(into, now_ms);
            break;
        case FRESH_CREATED_ISO:
            buffer_add_text(into, clock_format(own ? now_ms : fresh_time_of(id), (char[CLOCK_TEXT_SIZE]){0}));
            break;
        }
    }
    buffer_append(into, message.at + done, message.length - done);
}
