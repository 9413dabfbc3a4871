#include "sinks/postgres_rows.h"

#include "base/number.h"
#include "sinks/postgres_error.h"
#include "sinks/postgres_keys.h"

#include <stdlib.h>

enum { SQL_MOST = 16 * 1024 };

/* With the defaults, since LIKE takes NOT NULL over too, also of the columns that COPY leaves out. */
static const char staging_sql[] = "CREATE TEMPORARY TABLE IF NOT EXISTS roost_staging"
                                  " (LIKE roost.posts INCLUDING DEFAULTS) ON COMMIT DELETE ROWS";

struct loader {
    struct postgres_copy *copy;
    struct postgres_rows *rows;
    struct arena *arena;
    const char *copy_sql, *insert_sql;
    /* Puts rows first to first + n - 1 into the table, or fails and leaves the clearing up to the savepoint.
     */
    int (*attempt)(struct loader *l, size_t first, size_t n, struct err *e);
};

static int under_savepoint(struct loader *l, size_t first, size_t n, struct err *e)
{
    struct postgres_link *link = l->copy->link;
    if (postgres_link_run(link, "SAVEPOINT roost_rows", e)) {
        return -1;
    }
    if (l->attempt(l, first, n, e) == 0) {
        return postgres_link_run(link, "RELEASE SAVEPOINT roost_rows", e);
    }
    struct err undoing;
    if (postgres_link_is_open(link) &&
        postgres_link_run(link, "ROLLBACK TO SAVEPOINT roost_rows; RELEASE SAVEPOINT roost_rows", &undoing)) {
        *e = undoing;
    }
    return -1;
}

/* Loads a range; rows that are refused get their reason. -1 only for what is nobody's values' fault. */
static int load_range(struct loader *l, size_t first, size_t n, struct err *e)
{
    if (n == 0 || under_savepoint(l, first, n, e) == 0) {
        return 0;
    }
    if (e->kind != ERR_REJECT || !postgres_link_is_open(l->copy->link)) {
        return -1;
    }
    if (n > 1) {
        return load_range(l, first, n / 2, e) || load_range(l, first + n / 2, n - n / 2, e) ? -1 : 0;
    }
    struct view why = arena_view(l->arena, view_of(e->text));
    if (view_absent(why)) {
        return err_set(e, ERR_RETRY, "memory is out while noting why rows were refused");
    }
    l->rows->items[first].why = why.at;
    return 0;
}

static int copy_posts(struct loader *l, size_t first, size_t n, bool twins_too, struct err *e)
{
    uint64_t copied;
    if (postgres_copy_start(l->copy, l->copy_sql, e)) {
        return -1;
    }
    for (size_t i = first; i < first + n; i++) {
        const struct postgres_row *r = &l->rows->items[i];
        if ((twins_too || !r->twin) && postgres_copy_post(l->copy, r->row->post, r->batch_id, e)) {
            return -1;
        }
    }
    return postgres_copy_end(l->copy, &copied, e);
}

static int attempt_straight(struct loader *l, size_t first, size_t n, struct err *e)
{
    if (copy_posts(l, first, n, false, e)) {
        return -1;
    }
    for (size_t i = first; i < first + n; i++) {
        l->rows->loaded[l->rows->items[i].part] += !l->rows->items[i].twin;
    }
    return 0;
}

static int count_inserted(struct loader *l, const PGresult *result, struct err *e)
{
    for (int i = 0; i < PQntuples(result); i++) {
        int64_t batch_id, count;
        if (number_parse(view_of(PQgetvalue(result, i, 0)), 0, INT64_MAX, &batch_id) ||
            number_parse(view_of(PQgetvalue(result, i, 1)), 0, INT64_MAX, &count)) {
            return err_set(e, ERR_RETRY, "PostgreSQL: the count of inserted rows is no number");
        }
        /* A row of the batch tells its part; there are few parts, and a range has rows of all that were
         * inserted. */
        for (size_t k = 0; k < l->rows->count; k++) {
            if (l->rows->items[k].batch_id == batch_id) {
                l->rows->loaded[l->rows->items[k].part] += (uint64_t)count;
                break;
            }
        }
    }
    return 0;
}

static int attempt_staged(struct loader *l, size_t first, size_t n, struct err *e)
{
    PGresult *result;
    if (copy_posts(l, first, n, true, e) ||
        postgres_link_ask(l->copy->link, l->insert_sql, 0, NULL, &result, e)) {
        return -1;
    }
    int rc = postgres_link_run(l->copy->link, "TRUNCATE pg_temp.roost_staging", e);
    if (rc == 0) {
        rc = count_inserted(l, result, e);
    }
    PQclear(result);
    return rc;
}

static int mark_twins(struct postgres_rows *rows, struct err *e)
{
    struct postgres_keys *keys = postgres_keys_new(rows->count);
    if (!keys) {
        return err_set(e, ERR_RETRY, "memory is out");
    }
    for (size_t i = 0; i < rows->count; i++) {
        rows->items[i].twin = postgres_keys_seen(keys, rows->items[i].row->post);
    }
    postgres_keys_free(keys);
    return 0;
}

static int load_straight(struct postgres_copy *c, struct postgres_rows *rows, struct err *e)
{
    struct buffer sql = BUFFER(SQL_MOST);
    postgres_copy_posts_sql(&sql, "roost.posts");
    struct loader l = {.copy = c, .rows = rows, .copy_sql = buffer_string(&sql), .attempt = attempt_straight};
    int rc = l.copy_sql ? under_savepoint(&l, 0, rows->count, e) : err_set(e, ERR_RETRY, "memory is out");
    buffer_free(&sql);
    return rc;
}

static int load_staged(struct postgres_copy *c, struct postgres_rows *rows, struct arena *a, struct err *e)
{
    struct buffer copy = BUFFER(SQL_MOST), insert = BUFFER(SQL_MOST);
    postgres_copy_posts_sql(&copy, "pg_temp.roost_staging");
    buffer_add_text(&insert, "WITH inserted AS (INSERT INTO roost.posts (");
    postgres_copy_posts_columns(&insert);
    buffer_add_text(&insert, ") SELECT ");
    postgres_copy_posts_columns(&insert);
    buffer_add_text(&insert, " FROM pg_temp.roost_staging ON CONFLICT DO NOTHING RETURNING batch_id)"
                             " SELECT batch_id, count(*) FROM inserted GROUP BY batch_id");
    struct loader l = {.copy = c,
                       .rows = rows,
                       .arena = a,
                       .copy_sql = buffer_string(&copy),
                       .insert_sql = buffer_string(&insert),
                       .attempt = attempt_staged};
    int rc = l.copy_sql && l.insert_sql ? postgres_link_run(c->link, staging_sql, e)
                                        : err_set(e, ERR_RETRY, "memory is out");
    if (rc == 0) {
        rc = load_range(&l, 0, rows->count, e);
    }
    buffer_free(&insert);
    buffer_free(&copy);
    return rc;
}

int postgres_rows_load_posts(struct postgres_copy *c, struct postgres_rows *rows, struct arena *a,
                             bool *collides, struct err *e)
{
    if (rows->count == 0) {
        return 0;
    }
    if (!*collides) {
        if (mark_twins(rows, e)) {
            return -1;
        }
        if (load_straight(c, rows, e) == 0) {
            return 0;
        }
        if (e->kind != ERR_REJECT || !postgres_link_is_open(c->link)) {
            return -1;
        }
    }
    if (load_staged(c, rows, a, e)) {
        return -1;
    }
    uint64_t loaded = 0;
    for (size_t i = 0; i < rows->part_count; i++) {
        loaded += rows->loaded[i];
    }
    /* Repeats come in runs (a reconnection, a backfill): the next load begins here, until one had none. */
    *collides = loaded < rows->count;
    return 0;
}

static int attempt_events(struct loader *l, size_t first, size_t n, struct err *e)
{
    uint64_t copied;
    if (postgres_copy_start(l->copy, postgres_copy_events_sql, e)) {
        return -1;
    }
    for (size_t i = first; i < first + n; i++) {
        const struct postgres_row *r = &l->rows->items[i];
        if (postgres_copy_event(l->copy, r->row->post, r->batch_id, e)) {
            return -1;
        }
    }
    if (postgres_copy_end(l->copy, &copied, e)) {
        return -1;
    }
    for (size_t i = first; i < first + n; i++) {
        l->rows->loaded[l->rows->items[i].part]++;
    }
    return 0;
}

int postgres_rows_load_events(struct postgres_copy *c, struct postgres_rows *rows, struct arena *a,
                              struct err *e)
{
    struct loader l = {.copy = c, .rows = rows, .arena = a, .attempt = attempt_events};
    return load_range(&l, 0, rows->count, e);
}
