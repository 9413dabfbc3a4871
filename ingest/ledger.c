#include "ingest/ledger.h"

#include "base/clock.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_STEPS = 100000 }; /* of a ladder; the longest has 64 */

struct ledger_moment ledger_now(const char *boot)
{
    struct ledger_moment m = {.wall = clock_wall_ms(), .steady = clock_steady_ms()};
    snprintf(m.boot, sizeof m.boot, "%s", boot);
    return m;
}

int64_t ledger_wall(const struct ledger_moment *m, const struct ledger_moment *now)
{
    return strcmp(m->boot, now->boot) == 0 ? now->wall - (now->steady - m->steady) : m->wall;
}

/* The causes in which no listener was there. */
static bool is_absence(const char *cause)
{
    return strcmp(cause, "stopped") == 0 || strcmp(cause, "killed") == 0 || strcmp(cause, "reload") == 0;
}

/* Whether `cause` is more of what the leg is: another failure, or another start that ended as the one before.
 */
static bool goes_on(const struct ledger_leg *leg, const char *cause)
{
    return is_absence(cause) ? strcmp(leg->cause, cause) == 0 : !is_absence(leg->cause);
}

bool ledger_lost(struct ledger_entry *entry, const struct ledger_moment *from, const char *cause,
                 const char *detail)
{
    if (!entry->begun || entry->leg_count == LEDGER_LEGS) {
        return false;
    }
    if (entry->leg_count && goes_on(&entry->legs[entry->leg_count - 1], cause)) {
        return false;
    }
    struct ledger_leg *leg = &entry->legs[entry->leg_count++];
    *leg = (struct ledger_leg){.from = *from};
    snprintf(leg->cause, sizeof leg->cause, "%s", cause);
    snprintf(leg->detail, sizeof leg->detail, "%.*s", LEDGER_DETAIL_SIZE - 1, detail);
    return true;
}

/* The latest moment in which the last life was there: its sign of life, or what it noted after that. */
static struct ledger_moment last_seen(const struct ledger_entry *entry)
{
    const struct ledger_moment *leg = entry->leg_count ? &entry->legs[entry->leg_count - 1].from : NULL;
    bool later = leg && strcmp(leg->boot, entry->alive.boot) == 0 && leg->steady > entry->alive.steady;
    return later ? *leg : entry->alive;
}

bool ledger_resume(struct ledger_entry *entry, const struct ledger_moment *now)
{
    bool heard = entry->begun && entry->running && entry->leg_count == 0;
    if (entry->running) {
        struct ledger_moment from = last_seen(entry);
        ledger_lost(entry, &from, "killed", "roost listen ended without a stop");
    }
    entry->running = true;
    if (!heard) {
        entry->alive = *now;
    }
    return heard;
}

int64_t ledger_wait_left(const struct ledger_ladder *ladder, const struct ledger_moment *now)
{
    int64_t gone = now->wall - ledger_wall(&ladder->from, now);
    int64_t left =
        ladder->wait - (gone > 0 ? gone : 0); /* no longer than it was, where a clock was set back */
    return ladder->kept && left > 0 ? left : 0;
}

void ledger_heard(struct ledger_entry *entry, int64_t from, int64_t to)
{
    if (from < to) {
        bool earlier = entry->heard.due && entry->heard.from < from;
        entry->heard = (struct ledger_heard){true, earlier ? entry->heard.from : from, to};
    }
}

void ledger_stop(struct ledger_entry *entry, const struct ledger_moment *now, const char *cause,
                 const char *detail)
{
    ledger_lost(entry, now, cause, detail);
    entry->running = false;
    entry->alive = *now;
}

/* The legs as rows that touch, the last one ending at wall time `to`. A clock that was set back between two
 * boots would turn a leg around; it then has no length. */
static size_t make_rows(const struct ledger_entry *entry, size_t count, int64_t to,
                        const struct ledger_moment *now, struct ledger_row *rows)
{
    for (size_t i = count; i-- > 0;) {
        const struct ledger_leg *leg = &entry->legs[i];
        int64_t from = ledger_wall(&leg->from, now);
        rows[i] = (struct ledger_row){.from = from < to ? from : to, .to = to, .undelivered = -1};
        memcpy(rows[i].cause, leg->cause, sizeof rows[i].cause);
        memcpy(rows[i].detail, leg->detail, sizeof rows[i].detail);
        to = rows[i].from;
    }
    return count;
}

size_t ledger_streams(struct ledger_entry *entry, const struct ledger_moment *now,
                      struct ledger_row rows[LEDGER_LEGS])
{
    size_t count = make_rows(entry, entry->leg_count, now->wall, now, rows);
    entry->leg_count = 0;
    entry->begun = entry->running = true;
    entry->alive = entry->counted = *now;
    return count;
}

size_t ledger_end(struct ledger_entry *entry, const struct ledger_moment *now,
                  struct ledger_row rows[LEDGER_LEGS])
{
    size_t count = entry->leg_count;
    int64_t to = ledger_wall(&entry->alive, now);
    if (count && is_absence(entry->legs[count - 1].cause)) {
        to = ledger_wall(&entry->legs[--count].from, now);
    }
    count = make_rows(entry, count, to, now, rows);
    *entry = (struct ledger_entry){0};
    return count;
}

/* --- as text --- */

static void write_moment(struct buffer *into, const char *key, const struct ledger_moment *m)
{
    buffer_print(into, "\"%s\":{\"wall\":%lld,\"steady\":%lld,\"boot\":", key, (long long)m->wall,
                 (long long)m->steady);
    json_add_string(into, view_of(m->boot));
    buffer_add_byte(into, '}');
}

static void write_untold(struct buffer *into, const struct ledger_entry *entry)
{
    if (entry->heard.due) {
        buffer_print(into, ",\"heard\":{\"from\":%lld,\"to\":%lld}", (long long)entry->heard.from,
                     (long long)entry->heard.to);
    }
    for (size_t i = 0; i < entry->row_count; i++) {
        const struct ledger_row *row = &entry->rows[i];
        buffer_print(into,
                     "%s{\"from\":%lld,\"to\":%lld,\"undelivered\":%lld,\"cause\":", i ? "," : ",\"rows\":[",
                     (long long)row->from, (long long)row->to, (long long)row->undelivered);
        json_add_string(into, view_of(row->cause));
        buffer_add_text(into, ",\"detail\":");
        json_add_string(into, view_of(row->detail));
        buffer_add_text(into, i + 1 < entry->row_count ? "}" : "}]");
    }
}

static void write_ladder(struct buffer *into, const struct ledger_ladder *ladder)
{
    if (!ladder->kept) {
        return;
    }
    buffer_add_text(into, ",\"ladder\":{\"steps\":[");
    for (int i = 0; i < BACKOFF_LADDERS; i++) {
        buffer_print(into, "%s%u", i ? "," : "", ladder->climbed.steps[i]);
    }
    buffer_print(into, "],\"at_once_spent\":%s,\"wait\":%lld,",
                 ladder->climbed.at_once_spent ? "true" : "false", (long long)ladder->wait);
    write_moment(into, "from", &ladder->from);
    buffer_add_text(into, ",\"keys\":");
    json_add_string(into, view_of(ladder->keys));
    buffer_add_byte(into, '}');
}

void ledger_write(struct buffer *into, const char *name, const struct ledger_entry *entry)
{
    buffer_add_text(into, "{\"name\":");
    json_add_string(into, view_of(name));
    buffer_print(into, ",\"begun\":%s,\"running\":%s,", entry->begun ? "true" : "false",
                 entry->running ? "true" : "false");
    write_moment(into, "alive", &entry->alive);
    buffer_add_byte(into, ',');
    write_moment(into, "counted", &entry->counted);
    buffer_add_text(into, ",\"legs\":[");
    for (size_t i = 0; i < entry->leg_count; i++) {
        const struct ledger_leg *leg = &entry->legs[i];
        buffer_add_text(into, i ? ",{" : "{");
        write_moment(into, "from", &leg->from);
        buffer_add_text(into, ",\"cause\":");
        json_add_string(into, view_of(leg->cause));
        buffer_add_text(into, ",\"detail\":");
        json_add_string(into, view_of(leg->detail));
        buffer_add_byte(into, '}');
    }
    buffer_add_byte(into, ']');
    write_untold(into, entry);
    write_ladder(into, &entry->ladder);
    buffer_add_byte(into, '}');
}

/* A text member into a fixed string; false: it is none, or too long. */
static bool read_text(const cJSON *object, const char *key, char *into, size_t size)
{
    struct view text = json_text(object, key);
    if (view_absent(text) || text.length >= size) {
        return false;
    }
    memcpy(into, text.at, text.length);
    into[text.length] = '\0';
    return true;
}

static bool read_moment(const cJSON *object, const char *key, struct ledger_moment *m)
{
    const cJSON *moment = json_member(object, key);
    m->wall = json_number(moment, "wall", CLOCK_NONE);
    m->steady = json_number(moment, "steady", CLOCK_NONE);
    return m->wall != CLOCK_NONE && m->steady != CLOCK_NONE &&
           read_text(moment, "boot", m->boot, sizeof m->boot);
}

/* What earlier versions did not write is absent. */
static bool read_untold(const cJSON *tree, struct ledger_entry *entry)
{
    const cJSON *heard = json_member(tree, "heard"), *rows = json_member(tree, "rows"), *row;
    if (heard) {
        ledger_heard(entry, json_number(heard, "from", 0), json_number(heard, "to", 0));
    }
    cJSON_ArrayForEach(row, rows)
    {
        struct ledger_row *into = &entry->rows[entry->row_count];
        if (entry->row_count == LEDGER_ROWS || !read_text(row, "cause", into->cause, sizeof into->cause) ||
            !read_text(row, "detail", into->detail, sizeof into->detail)) {
            return false;
        }
        into->from = json_number(row, "from", CLOCK_NONE);
        into->to = json_number(row, "to", CLOCK_NONE);
        into->undelivered = json_number(row, "undelivered", -1);
        if (into->from == CLOCK_NONE || into->to < into->from || into->undelivered < -1) {
            return false;
        }
        entry->row_count++;
    }
    return true;
}

/* What earlier versions did not write is absent. */
static bool read_ladder(const cJSON *tree, struct ledger_ladder *into)
{
    const cJSON *ladder = json_member(tree, "ladder"), *steps = json_member(ladder, "steps"), *step;
    int spent = json_flag(ladder, "at_once_spent"), i = 0;
    if (!ladder) {
        return true;
    }
    cJSON_ArrayForEach(step, steps)
    {
        if (i == BACKOFF_LADDERS || !cJSON_IsNumber(step) || step->valuedouble < 0 ||
            step->valuedouble > MOST_STEPS) {
            return false;
        }
        into->climbed.steps[i++] = (unsigned)step->valuedouble;
    }
    into->climbed.at_once_spent = spent == 1;
    into->wait = json_number(ladder, "wait", -1);
    into->kept = true;
    return i == BACKOFF_LADDERS && spent >= 0 && into->wait >= 0 &&
           into->wait <= BACKOFF_LONGEST_REQUEST_MS && read_moment(ladder, "from", &into->from) &&
           read_text(ladder, "keys", into->keys, sizeof into->keys);
}

static bool read_entry(const cJSON *tree, struct ledger_entry *entry)
{
    const cJSON *legs = json_member(tree, "legs"), *leg;
    int begun = json_flag(tree, "begun"), running = json_flag(tree, "running");
    if (begun < 0 || running < 0 || !read_moment(tree, "alive", &entry->alive) ||
        !read_moment(tree, "counted", &entry->counted) || !cJSON_IsArray(legs)) {
        return false;
    }
    entry->begun = begun;
    entry->running = running;
    cJSON_ArrayForEach(leg, legs)
    {
        if (entry->leg_count == LEDGER_LEGS) {
            return false;
        }
        struct ledger_leg *into = &entry->legs[entry->leg_count++];
        if (!read_moment(leg, "from", &into->from) ||
            !read_text(leg, "cause", into->cause, sizeof into->cause) ||
            !read_text(leg, "detail", into->detail, sizeof into->detail)) {
            return false;
        }
    }
    return read_untold(tree, entry) && read_ladder(tree, &entry->ladder);
}

int ledger_read(struct view json, char **name, struct ledger_entry *entry, struct err *e)
{
    cJSON *tree = cJSON_ParseWithLength(json.at, json.length);
    *entry = (struct ledger_entry){0};
    *name = view_copy(json_text(tree, "name"));
    bool good = *name && read_entry(tree, entry);
    cJSON_Delete(tree);
    if (good) {
        return 0;
    }
    free(*name);
    *name = NULL;
    *entry = (struct ledger_entry){0};
    return err_set(e, ERR_REJECT, "it is no entry of a source's ledger");
}
