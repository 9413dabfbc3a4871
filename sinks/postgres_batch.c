#include "sinks/postgres_batch.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/number.h"
#include "sinks/postgres_gaps.h"
#include "sinks/postgres_keywords.h"
#include "sinks/postgres_rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MEMORY_MOST = 1024 * 1024 * 1024, NUMBER_SIZE = 24 };

/* What is left of a part behind its position, and what became of it. */
struct share {
    const struct load_part *part;
    const char *spool; /* as a string */
    uint64_t position;
    uint64_t first_sequence;
    int64_t batch_id;
    size_t first_post, first_event, first_reject; /* earlier ones are skipped */
    uint64_t filtered, duplicate, rejected;
};

struct batch {
    struct postgres_copy *copy;
    const struct load *load;
    struct arena *arena;
    struct share *shares; /* only parts with something left */
    size_t share_count;
    struct postgres_rows posts, events;
};

static const char *number_text(struct batch *b, uint64_t number)
{
    char *text = arena_alloc(b->arena, NUMBER_SIZE);
    if (text) {
        snprintf(text, NUMBER_SIZE, "%" PRIu64, number);
    }
    return text;
}

static const char *time_text(struct batch *b, int64_t wall_ms)
{
    char *text = arena_alloc(b->arena, CLOCK_TEXT_SIZE);
    return text ? clock_format(wall_ms, text) : NULL;
}

static int memory_is_out(struct err *e)
{
    return err_set(e, ERR_RETRY, "memory is out for the rows of a batch");
}

/* How many posts the listener's own filter left out, as a count event reports it. */
static uint64_t filtered_of(const struct post *event)
{
    if (event->kind != POST_COUNT || view_absent(event->body)) {
        return 0;
    }
    cJSON *body = cJSON_ParseWithLength(event->body.at, event->body.length);
    int64_t filtered = json_number(body, "filtered", 0);
    cJSON_Delete(body);
    return filtered > 0 ? (uint64_t)filtered : 0;
}

static size_t posts_left(const struct share *s)
{
    return s->part->post_count - s->first_post;
}

static size_t events_left(const struct share *s)
{
    return s->part->event_count - s->first_event;
}

static size_t rejects_left(const struct share *s)
{
    return s->part->reject_count - s->first_reject;
}

/* Leaves out what the position covers. What was counted as filtered without being in a list stays counted. */
static int share_cut(struct share *s, const struct load_part *part, uint64_t position, struct err *e)
{
    uint64_t sum = part->post_count + part->event_count + part->reject_count + part->filtered;
    if (part->received != sum || part->first_sequence > part->last_sequence ||
        part->last_sequence > INT64_MAX) {
        return err_set(e, ERR_FATAL,
                       "frames %" PRIu64 " to %" PRIu64 " of spool %.*s: %" PRIu64 " received, %" PRIu64
                       " accounted for: this batch was not counted right, which is a fault of roost",
                       part->first_sequence, part->last_sequence, VIEW_PRINT(part->spool), part->received,
                       sum);
    }
    *s = (struct share){.part = part, .position = position, .filtered = part->filtered};
    s->first_sequence = position >= part->first_sequence ? position + 1 : part->first_sequence;
    while (posts_left(s) && part->posts[s->first_post].sequence <= position) {
        s->first_post++;
    }
    while (events_left(s) && part->events[s->first_event].sequence <= position) {
        uint64_t filtered = filtered_of(part->events[s->first_event].post);
        s->filtered -= filtered < s->filtered ? filtered : s->filtered;
        s->first_event++;
    }
    while (rejects_left(s) && part->rejects[s->first_reject].sequence <= position) {
        s->first_reject++;
    }
    return 0;
}

static int batch_cut(struct batch *b, const uint64_t *positions, struct err *e)
{
    b->shares = arena_zeroed(b->arena, b->load->part_count, sizeof *b->shares);
    if (!b->shares) {
        return memory_is_out(e);
    }
    for (size_t i = 0; i < b->load->part_count; i++) {
        const struct load_part *part = &b->load->parts[i];
        struct share *s = &b->shares[b->share_count];
        if (share_cut(s, part, positions[i], e)) {
            return -1;
        }
        s->spool = arena_view(b->arena, part->spool).at;
        b->share_count += part->last_sequence > positions[i];
    }
    return arena_failed(b->arena) ? memory_is_out(e) : 0;
}

static void rows_add(struct postgres_rows *rows, const struct load_row *from, size_t n, size_t part,
                     int64_t batch_id)
{
    for (size_t i = 0; i < n; i++) {
        rows->items[rows->count++] =
            (struct postgres_row){.row = &from[i], .part = part, .batch_id = batch_id};
    }
}

static int batch_gather(struct batch *b, struct err *e)
{
    size_t posts = 0, events = 0;
    for (size_t i = 0; i < b->share_count; i++) {
        posts += posts_left(&b->shares[i]);
        events += events_left(&b->shares[i]);
    }
    b->posts.items = arena_zeroed(b->arena, posts, sizeof *b->posts.items);
    b->posts.loaded = arena_zeroed(b->arena, b->share_count, sizeof *b->posts.loaded);
    b->events.items = arena_zeroed(b->arena, events, sizeof *b->events.items);
    b->events.loaded = arena_zeroed(b->arena, b->share_count, sizeof *b->events.loaded);
    if (arena_failed(b->arena)) {
        return memory_is_out(e);
    }
    for (size_t i = 0; i < b->share_count; i++) {
        const struct share *s = &b->shares[i];
        rows_add(&b->posts, s->part->posts + s->first_post, posts_left(s), i, s->batch_id);
        rows_add(&b->events, s->part->events + s->first_event, events_left(s), i, s->batch_id);
    }
    b->posts.part_count = b->events.part_count = b->share_count;
    return 0;
}

static int move_progress(struct batch *b, const struct share *s, struct err *e)
{
    static const char first[] = "INSERT INTO roost.progress (consumer, spool, sequence) VALUES ($1, $2, $3)"
                                " ON CONFLICT (consumer, spool) DO UPDATE SET sequence = excluded.sequence "
                                "WHERE progress.sequence = $4";
    static const char later[] =
        "UPDATE roost.progress SET sequence = $3 WHERE consumer = $1 AND spool = $2 AND sequence = $4";
    const char *values[] = {b->load->consumer, s->spool, number_text(b, s->part->last_sequence),
                            number_text(b, s->position)};
    PGresult *result;
    if (arena_failed(b->arena)) {
        return memory_is_out(e);
    }
    if (postgres_link_ask(b->copy->link, s->position ? later : first, 4, values, &result, e)) {
        return -1;
    }
    bool moved = strcmp(PQcmdTuples(result), "1") == 0;
    PQclear(result);
    if (!moved) {
        return err_set(e, ERR_RETRY,
                       "roost.progress of consumer \"%s\" is not at %" PRIu64
                       " any more: another consumer of this name is at work",
                       b->load->consumer, s->position);
    }
    return 0;
}

static int take_ids(struct batch *b, struct err *e)
{
    const char *values[] = {number_text(b, b->share_count)};
    PGresult *result;
    if (arena_failed(b->arena)) {
        return memory_is_out(e);
    }
    if (postgres_link_ask(b->copy->link,
                          "SELECT nextval('roost.batches_id_seq') FROM generate_series(1, $1::integer)", 1,
                          values, &result, e)) {
        return -1;
    }
    int rc = 0;
    for (size_t i = 0; i < b->share_count && rc == 0; i++) {
        if ((size_t)PQntuples(result) != b->share_count ||
            number_parse(view_of(PQgetvalue(result, (int)i, 0)), 0, INT64_MAX, &b->shares[i].batch_id)) {
            rc = err_set(e, ERR_RETRY, "PostgreSQL: no ids for the batch");
        }
    }
    PQclear(result);
    return rc;
}

static void count_outcome(struct batch *b)
{
    for (size_t i = 0; i < b->share_count; i++) {
        b->shares[i].rejected = rejects_left(&b->shares[i]);
        b->shares[i].duplicate = posts_left(&b->shares[i]) - b->posts.loaded[i];
    }
    for (size_t i = 0; i < b->posts.count; i++) {
        if (b->posts.items[i].why) {
            b->shares[b->posts.items[i].part].rejected++;
            b->shares[b->posts.items[i].part].duplicate--;
        }
    }
    for (size_t i = 0; i < b->events.count; i++) {
        b->shares[b->events.items[i].part].rejected += b->events.items[i].why != NULL;
    }
}

static void tell_outcome(const struct batch *b)
{
    struct load_outcome *o = b->load->outcome;
    if (!o) {
        return;
    }
    *o = (struct load_outcome){.known = true};
    for (size_t i = 0; i < b->share_count; i++) {
        o->loaded += b->posts.loaded[i];
        o->duplicates += b->shares[i].duplicate;
        o->rejected += b->shares[i].rejected;
    }
}

static void count_refused(const struct postgres_rows *rows, struct postgres_refused *refused)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (rows->items[i].why && refused->count++ == 0) {
            snprintf(refused->first, sizeof refused->first, "%s", rows->items[i].why);
        }
    }
}

static int reject_refused(struct batch *b, const struct postgres_rows *rows, struct err *e)
{
    for (size_t i = 0; i < rows->count; i++) {
        const struct postgres_row *r = &rows->items[i];
        if (r->why &&
            postgres_copy_reject(b->copy, r->batch_id, r->row->sequence, view_of(r->why), r->row->frame, e)) {
            return -1;
        }
    }
    return 0;
}

static int write_rejects(struct batch *b, struct err *e)
{
    uint64_t rejected = 0, copied;
    for (size_t i = 0; i < b->share_count; i++) {
        rejected += b->shares[i].rejected;
    }
    if (rejected == 0) {
        return 0;
    }
    if (postgres_copy_start(b->copy, postgres_copy_rejects_sql, e)) {
        return -1;
    }
    for (size_t i = 0; i < b->share_count; i++) {
        const struct share *s = &b->shares[i];
        for (size_t k = s->first_reject; k < s->part->reject_count; k++) {
            const struct load_reject *r = &s->part->rejects[k];
            if (postgres_copy_reject(b->copy, s->batch_id, r->sequence, view_of(r->why), r->frame, e)) {
                return -1;
            }
        }
    }
    if (reject_refused(b, &b->posts, e) || reject_refused(b, &b->events, e)) {
        return -1;
    }
    return postgres_copy_end(b->copy, &copied, e);
}

static int write_batch_row(struct batch *b, size_t index, struct err *e)
{
    static const char sql[] =
        "INSERT INTO roost.batches (id, consumer, spool, first_sequence, last_sequence, received, loaded, "
        "duplicate,"
        " filtered, rejected, events, batch_time, started_at, finished_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, clock_timestamp())";
    const struct share *s = &b->shares[index];
    uint64_t received = posts_left(s) + events_left(s) + rejects_left(s) + s->filtered;
    const char *values[] = {
        number_text(b, (uint64_t)s->batch_id),
        b->load->consumer,
        s->spool,
        number_text(b, s->first_sequence),
        number_text(b, s->part->last_sequence),
        number_text(b, received),
        number_text(b, b->posts.loaded[index]),
        number_text(b, s->duplicate),
        number_text(b, s->filtered),
        number_text(b, s->rejected),
        number_text(b, b->events.loaded[index]),
        time_text(b, b->load->batch_time),
        time_text(b, b->load->started_at),
    };
    if (arena_failed(b->arena)) {
        return memory_is_out(e);
    }
    return postgres_link_ask(b->copy->link, sql, sizeof values / sizeof values[0], values, NULL, e);
}

static int write_told(struct batch *b, const struct postgres_row *r, struct err *e)
{
    const struct post *event = r->row->post;
    switch (event->kind) {
    case POST_GAP:
        return postgres_gaps_write(b->copy->link, b->load->consumer, b->shares[r->part].spool, event, e);
    case POST_KEYWORDS:
        return postgres_keywords_write(b->copy->link, event, e);
    default:
        return 0;
    }
}

/* The tables that events fill. */
static int write_all_told(struct batch *b, struct err *e)
{
    for (size_t i = 0; i < b->events.count; i++) {
        const struct postgres_row *r = &b->events.items[i];
        if (!r->why && !view_absent(r->row->post->body) && write_told(b, r, e)) {
            return -1;
        }
    }
    return 0;
}

/* COMMIT of a transaction that failed unseen is no error to PostgreSQL: it answers ROLLBACK. */
static int commit(struct postgres_link *link, struct err *e)
{
    PGresult *result;
    if (postgres_link_ask(link, "COMMIT", 0, NULL, &result, e)) {
        return -1;
    }
    bool done = strcmp(PQcmdStatus(result), "COMMIT") == 0;
    PQclear(result);
    return done ? 0
                : err_set(e, ERR_RETRY, "PostgreSQL: the transaction was rolled back instead of committed");
}

static int batch_run(struct batch *b, bool *collides, struct err *e)
{
    struct postgres_link *link = b->copy->link;
    if (postgres_link_run(link, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", e)) {
        return -1;
    }
    for (size_t i = 0; i < b->share_count; i++) {
        if (move_progress(b, &b->shares[i], e)) {
            return -1;
        }
    }
    if (take_ids(b, e) || batch_gather(b, e) ||
        postgres_rows_load_posts(b->copy, &b->posts, b->arena, collides, e) ||
        postgres_rows_load_events(b->copy, &b->events, b->arena, e)) {
        return -1;
    }
    count_outcome(b);
    tell_outcome(b);
    if (write_rejects(b, e)) {
        return -1;
    }
    for (size_t i = 0; i < b->share_count; i++) {
        if (write_batch_row(b, i, e)) {
            return -1;
        }
    }
    /* Last, since how much of a gap is news is reckoned with this batch too. */
    return write_all_told(b, e) ? -1 : commit(link, e);
}

int postgres_batch_write(struct postgres_copy *c, const struct load *load, const uint64_t *positions,
                         bool *collides, struct postgres_refused *refused, struct err *e)
{
    struct batch b = {.copy = c, .load = load, .arena = arena_new(MEMORY_MOST)};
    *refused = (struct postgres_refused){0};
    if (!b.arena) {
        return memory_is_out(e);
    }
    int rc = batch_cut(&b, positions, e);
    if (rc == 0 && b.share_count > 0) {
        rc = batch_run(&b, collides, e);
        count_refused(&b.posts, refused);
        count_refused(&b.events, refused);
    }
    if (rc && e->kind == ERR_REJECT) {
        e->kind = ERR_FATAL; /* the bookkeeping itself was refused, which no other batch would be spared */
    }
    arena_free(b.arena);
    return rc;
}
