#include "sinks/audit.h"

#include "base/buffer.h"
#include "base/number.h"
#include "sinks/postgres_link.h"
#include "sinks/postgres_schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { ARRAY_MAXIMUM = 256 * 1024 * 1024, NUMBER_SIZE = 24, STATEMENT_MAXIMUM = 256 * 1024 };

struct audit {
    struct postgres_link *link;
};

struct audit *audit_open(const char *conninfo, struct err *e)
{
    struct audit *a = calloc(1, sizeof *a);
    if (!a) {
        err_set(e, ERR_RETRY, "memory is out");
        return NULL;
    }
    a->link = postgres_link_new(conninfo, e);
    if (!a->link) {
        err_wrap(e, "conninfo");
        goto fail;
    }
    /* The snapshot is taken by the first query, neither by BEGIN nor by LOCK. The lock holds months in their
     * places, which no snapshot does (postgres_retention). */
    if (postgres_link_connect(a->link, NULL, e) || postgres_schema_check(a->link, e) ||
        postgres_link_run(a->link,
                          "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE roost.retention IN "
                          "ACCESS SHARE MODE; SELECT 1",
                          e)) {
        goto fail;
    }
    return a;
fail:
    audit_close(a);
    return NULL;
}

void audit_close(struct audit *a)
{
    if (a) {
        postgres_link_free(a->link);
        free(a);
    }
}

/* ---- rows through a cursor ---- */

static int64_t number_at(const PGresult *rows, int row, int column)
{
    int64_t number;
    if (PQgetisnull(rows, row, column) ||
        number_parse(view_of(PQgetvalue(rows, row, column)), INT64_MIN, INT64_MAX, &number)) {
        return -1;
    }
    return number;
}

/* Runs a query and gives its rows to `take`, some at a time. `name` is the cursor's. */
static int each_row(struct audit *a, const char *name, const char *query,
                    int (*take)(void *context, const PGresult *rows, int row, struct err *e), void *context,
                    struct err *e)
{
    struct buffer declare = BUFFER(STATEMENT_MAXIMUM);
    char fetch[64], close_it[64];
    buffer_print(&declare, "DECLARE %s NO SCROLL CURSOR FOR %s", name, query);
    snprintf(fetch, sizeof fetch, "FETCH 1000 FROM %s", name);
    snprintf(close_it, sizeof close_it, "CLOSE %s", name);
    const char *sql = buffer_string(&declare);
    int rc = sql ? postgres_link_run(a->link, sql, e) : err_set(e, ERR_RETRY, "memory is out");
    buffer_free(&declare);
    for (int count = 1; rc == 0 && count > 0;) {
        PGresult *rows;
        if (postgres_link_ask(a->link, fetch, 0, NULL, &rows, e)) {
            return -1;
        }
        count = PQntuples(rows);
        for (int i = 0; i < count && rc == 0; i++) {
            rc = take(context, rows, i, e);
        }
        PQclear(rows);
    }
    return rc ? -1 : postgres_link_run(a->link, close_it, e);
}

struct position_taker {
    void (*take)(void *user, const struct audit_position *p);
    void *user;
};

static int take_position(void *context, const PGresult *rows, int row, struct err *e)
{
    (void)e;
    const struct position_taker *t = context;
    t->take(t->user, &(struct audit_position){.consumer = PQgetvalue(rows, row, 0),
                                              .spool = PQgetvalue(rows, row, 1),
                                              .progress = number_at(rows, row, 2),
                                              .last_sequence = number_at(rows, row, 3)});
    return 0;
}

int audit_positions(struct audit *a, void (*take)(void *user, const struct audit_position *p), void *user,
                    struct err *e)
{
    static const char sql[] =
        "SELECT consumer, spool, p.sequence, b.last_sequence FROM roost.progress p FULL JOIN "
        "(SELECT consumer, spool, max(last_sequence) AS last_sequence FROM roost.batches GROUP BY 1, 2) b "
        "USING (consumer, spool) ORDER BY 1, 2";
    struct position_taker t = {take, user};
    return each_row(a, "positions", sql, take_position, &t, e);
}

struct batch_taker {
    int (*take)(void *user, const struct audit_batch *b, struct err *e);
    void *user;
};

static int take_batch(void *context, const PGresult *rows, int row, struct err *e)
{
    const struct batch_taker *t = context;
    const struct audit_batch b = {
        .id = number_at(rows, row, 0),
        .known = PQgetvalue(rows, row, 1)[0] == 't',
        .consumer = PQgetvalue(rows, row, 2),
        .spool = PQgetvalue(rows, row, 3),
        .first_sequence = number_at(rows, row, 4),
        .last_sequence = number_at(rows, row, 5),
        .received = number_at(rows, row, 6),
        .loaded = number_at(rows, row, 7),
        .duplicate = number_at(rows, row, 8),
        .filtered = number_at(rows, row, 9),
        .rejected = number_at(rows, row, 10),
        .events = number_at(rows, row, 11),
        .post_rows = number_at(rows, row, 12),
        .event_rows = number_at(rows, row, 13),
        .reject_rows = number_at(rows, row, 14),
        .filtered_told = number_at(rows, row, 15),
        .expired = number_at(rows, row, 16),
        .batch_time = number_at(rows, row, 17),
    };
    return t->take(t->user, &b, e);
}

int audit_removed(struct audit *a, struct audit_removed *removed, struct err *e)
{
    static const char sql[] = "SELECT (extract(epoch FROM posts_before) * 1000)::bigint, "
                              "(extract(epoch FROM batches_before) * 1000)::bigint, last_batch "
                              "FROM roost.retention";
    PGresult *rows;
    *removed = (struct audit_removed){.posts_before = CLOCK_NONE, .batches_before = CLOCK_NONE};
    if (postgres_link_ask(a->link, sql, 0, NULL, &rows, e)) {
        return -1;
    }
    if (PQntuples(rows) > 0) {
        *removed =
            (struct audit_removed){number_at(rows, 0, 0), number_at(rows, 0, 1), number_at(rows, 0, 2)};
    }
    PQclear(rows);
    return 0;
}

/* Adds the months that were detached and are not dropped yet: their rows are not counted as expired yet. */
static int add_leavings(struct audit *a, struct buffer *sql, struct err *e)
{
    static const char names[] = "SELECT quote_ident(relname) FROM pg_class WHERE relnamespace = "
                                "'roost'::regnamespace AND relkind = 'r' AND relname ~ "
                                "'^posts_[0-9]{4}_[0-9]{2}_expired$'";
    PGresult *rows;
    if (postgres_link_ask(a->link, names, 0, NULL, &rows, e)) {
        return -1;
    }
    for (int i = 0; i < PQntuples(rows); i++) {
        buffer_print(sql, " UNION ALL SELECT batch_id FROM roost.%s", PQgetvalue(rows, i, 0));
    }
    PQclear(rows);
    return 0;
}

int audit_batches(struct audit *a, int (*take)(void *user, const struct audit_batch *b, struct err *e),
                  void *user, struct err *e)
{
    /* A figure that is no whole number, or beyond what a double holds exactly, counts as 0 for the job too
     * (json_number). */
    static const char before[] =
        "SELECT coalesce(b.id, p.batch_id, e.batch_id, r.batch_id), b.id IS NOT NULL, b.consumer, b.spool,"
        " b.first_sequence, b.last_sequence, b.received, b.loaded, b.duplicate, b.filtered, b.rejected,"
        " b.events, coalesce(p.n, 0), coalesce(e.n, 0), coalesce(r.n, 0), coalesce(e.filtered, 0),"
        " b.expired, (extract(epoch FROM b.batch_time) * 1000)::bigint"
        " FROM roost.batches b"
        " FULL JOIN (SELECT batch_id, count(*) AS n FROM (SELECT batch_id FROM roost.posts";
    static const char after[] =
        ") kept GROUP BY 1) p ON p.batch_id = b.id"
        " FULL JOIN (SELECT batch_id, count(*) AS n, sum(CASE WHEN f > 0 AND f <= 9007199254740992"
        " AND f = trunc(f) THEN f END)::bigint AS filtered FROM (SELECT batch_id, CASE WHEN kind = 'count' "
        "AND"
        " jsonb_typeof(body->'filtered') = 'number' THEN (body->>'filtered')::numeric END AS f"
        " FROM roost.events) told GROUP BY 1) e ON e.batch_id = coalesce(b.id, p.batch_id)"
        " FULL JOIN (SELECT batch_id, count(*) AS n FROM roost.rejects GROUP BY 1) r"
        " ON r.batch_id = coalesce(b.id, p.batch_id, e.batch_id)"
        " ORDER BY b.consumer COLLATE \"C\", b.spool COLLATE \"C\", b.first_sequence, 1";
    struct batch_taker t = {take, user};
    struct buffer sql = BUFFER(STATEMENT_MAXIMUM);
    buffer_add_text(&sql, before);
    int rc = add_leavings(a, &sql, e);
    buffer_add_text(&sql, after);
    const char *text = buffer_string(&sql);
    if (rc == 0) {
        rc = text ? each_row(a, "batches", text, take_batch, &t, e) : err_set(e, ERR_RETRY, "memory is out");
    }
    buffer_free(&sql);
    return rc;
}

struct doubled_taker {
    void (*take)(void *user, const char *network, const char *id, int64_t rows);
    void *user;
};

static int take_doubled(void *context, const PGresult *rows, int row, struct err *e)
{
    (void)e;
    const struct doubled_taker *t = context;
    t->take(t->user, PQgetvalue(rows, row, 0), PQgetvalue(rows, row, 1), number_at(rows, row, 2));
    return 0;
}

int audit_doubled(struct audit *a,
                  void (*take)(void *user, const char *network, const char *id, int64_t rows), void *user,
                  struct err *e)
{
    static const char sql[] = "SELECT network, id, count(*) FROM roost.posts GROUP BY id, network "
                              "HAVING count(*) > 1 ORDER BY 1, 2";
    struct doubled_taker t = {take, user};
    return each_row(a, "doubled", sql, take_doubled, &t, e);
}

int audit_explained(struct audit *a, const char *spool, uint64_t first, uint64_t last, uint64_t *frames,
                    struct err *e)
{
    /* The lengths of the ranges' union: each counts only behind the highest end before it. */
    static const char sql[] =
        "SELECT coalesce(sum(greatest(0, high - greatest(low, coalesce(before, 0) + 1) + 1)), 0)::bigint "
        "FROM "
        "(SELECT low, high, max(high) OVER (ORDER BY low, high ROWS BETWEEN UNBOUNDED PRECEDING AND 1 "
        "PRECEDING) AS before FROM (SELECT greatest(m[1]::bigint, $1::bigint) AS low, least(m[2]::bigint, "
        "$2::bigint) AS high FROM (SELECT regexp_match(detail, 'frames? ([0-9]{1,18}) to ([0-9]{1,18})') AS "
        "m "
        "FROM roost.gaps WHERE cause IN ('spool', 'corrupt', 'spool_full') AND "
        "(detail !~ '[0-9a-f]{32}' OR position($3::text IN detail) > 0)) told WHERE m IS NOT NULL) ranges "
        "WHERE low <= high) ordered";
    char from[NUMBER_SIZE], to[NUMBER_SIZE];
    snprintf(from, sizeof from, "%" PRIu64, first);
    snprintf(to, sizeof to, "%" PRIu64, last);
    const char *values[] = {from, to, spool};
    PGresult *rows;
    if (postgres_link_ask(a->link, sql, 3, values, &rows, e)) {
        return -1;
    }
    int64_t covered = number_at(rows, 0, 0);
    PQclear(rows);
    *frames = covered > 0 ? (uint64_t)covered : 0;
    return 0;
}

/* ---- frames ---- */

/* The members of one kind of frames as arrays in PostgreSQL's text form. */
enum { INDEX, SEQUENCE, FIRST_TEXT, SECOND_TEXT, AT, ARRAY_COUNT };

struct arrays {
    struct buffer of[ARRAY_COUNT];
    size_t count;
};

static void arrays_init(struct arrays *arrays)
{
    arrays->count = 0;
    for (int i = 0; i < ARRAY_COUNT; i++) {
        arrays->of[i] = BUFFER(ARRAY_MAXIMUM);
        buffer_add_byte(&arrays->of[i], '{');
    }
}

static void arrays_free(struct arrays *arrays)
{
    for (int i = 0; i < ARRAY_COUNT; i++) {
        buffer_free(&arrays->of[i]);
    }
}

static void add_text(struct buffer *b, struct view v)
{
    if (view_absent(v)) {
        buffer_add_text(b, "NULL");
        return;
    }
    buffer_add_byte(b, '"');
    for (size_t i = 0; i < v.length; i++) {
        if (v.at[i] == '"' || v.at[i] == '\\') {
            buffer_add_byte(b, '\\');
        }
        buffer_add_byte(b, v.at[i]);
    }
    buffer_add_byte(b, '"');
}

static void arrays_add(struct arrays *arrays, size_t index, const struct audit_frame *f)
{
    for (int i = 0; arrays->count > 0 && i < ARRAY_COUNT; i++) {
        buffer_add_byte(&arrays->of[i], ',');
    }
    arrays->count++;
    buffer_print(&arrays->of[INDEX], "%zu", index);
    buffer_print(&arrays->of[SEQUENCE], "%" PRIu64, f->sequence);
    add_text(&arrays->of[FIRST_TEXT], f->what == AUDIT_POST ? f->id : f->event);
    add_text(&arrays->of[SECOND_TEXT], f->what == AUDIT_POST ? f->network : f->source);
    buffer_print(&arrays->of[AT], "%" PRId64, f->what == AUDIT_EVENT ? f->received_at : 0);
}

/* Asks with $1 the spool and $2 to $6 the arrays. */
static int arrays_ask(struct audit *a, const char *sql, const char *spool, struct arrays *arrays, int count,
                      PGresult **rows, struct err *e)
{
    const char *values[1 + ARRAY_COUNT] = {spool};
    for (int i = 0; i < ARRAY_COUNT; i++) {
        buffer_add_byte(&arrays->of[i], '}');
        values[1 + i] = buffer_string(&arrays->of[i]);
        if (!values[1 + i]) {
            return err_set(e, ERR_RETRY, "memory is out for looking up frames");
        }
    }
    return postgres_link_ask(a->link, sql, count, values, rows, e);
}

/* Looks up the frames of one kind with a query that gives index, rows, here. */
static int look_up(struct audit *a, enum audit_kind what, const char *sql, int parameters, const char *spool,
                   struct audit_frame *frames, size_t count, struct err *e)
{
    struct arrays arrays;
    int rc = 0;
    arrays_init(&arrays);
    for (size_t i = 0; i < count; i++) {
        if (frames[i].what == what && (what == AUDIT_POST || frames[i].received_at != CLOCK_NONE)) {
            arrays_add(&arrays, i, &frames[i]);
        }
    }
    if (arrays.count > 0) {
        PGresult *rows = NULL;
        rc = arrays_ask(a, sql, spool, &arrays, parameters, &rows, e);
        for (int i = 0; rc == 0 && i < PQntuples(rows); i++) {
            int64_t index = number_at(rows, i, 0);
            if (index >= 0 && (uint64_t)index < count) {
                frames[index].rows = number_at(rows, i, 1);
                frames[index].here = PQgetvalue(rows, i, 2)[0] == 't';
            }
        }
        PQclear(rows);
    }
    arrays_free(&arrays);
    return rc;
}

static const char posts_sql[] =
    "SELECT k.n, count(*), coalesce(bool_or(b.spool = $1 AND k.sequence BETWEEN b.first_sequence AND "
    "b.last_sequence), false) FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[]) "
    "AS k(n, sequence, id, network) JOIN (SELECT id, network, batch_id FROM roost.posts WHERE id = "
    "ANY($4::text[])) p ON p.id = k.id COLLATE \"C\" AND p.network = k.network COLLATE \"C\" "
    "LEFT JOIN roost.batches b ON b.id = p.batch_id GROUP BY k.n";

/* Events have no key; the batch's own counts tell whether one of several that look the same is missing. */
static const char events_sql[] =
    "SELECT k.n, count(*), true FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], "
    "$6::bigint[]) "
    "AS k(n, sequence, kind, source, at) JOIN roost.events e ON e.received_at = timestamptz 'epoch' + k.at * "
    "interval '1 millisecond' AND e.kind = k.kind AND e.source IS NOT DISTINCT FROM k.source "
    "JOIN roost.batches b ON b.id = e.batch_id AND b.spool = $1 AND k.sequence BETWEEN b.first_sequence AND "
    "b.last_sequence GROUP BY k.n";

static const char rejects_sql[] =
    "SELECT DISTINCT r.sequence FROM roost.rejects r JOIN roost.batches b ON b.id = r.batch_id WHERE b.spool "
    "= $1 AND r.sequence = ANY($3::bigint[]) AND $2::bigint[] IS NOT NULL ORDER BY 1";

static int compare_sequence(const void *key, const void *frame)
{
    uint64_t x = *(const uint64_t *)key, y = ((const struct audit_frame *)frame)->sequence;
    return (x > y) - (x < y);
}

static int look_up_rejects(struct audit *a, const char *spool, struct audit_frame *frames, size_t count,
                           struct err *e)
{
    struct arrays arrays;
    int rc = 0;
    arrays_init(&arrays);
    for (size_t i = 0; i < count; i++) {
        if (frames[i].rows == 0) {
            arrays_add(&arrays, i, &frames[i]);
        }
    }
    if (arrays.count > 0) {
        PGresult *rows = NULL;
        rc = arrays_ask(a, rejects_sql, spool, &arrays, 3, &rows, e);
        for (int i = 0; rc == 0 && i < PQntuples(rows); i++) {
            uint64_t sequence = (uint64_t)number_at(rows, i, 0);
            struct audit_frame *found = bsearch(&sequence, frames, count, sizeof *frames, compare_sequence);
            if (found) {
                found->rejected = true;
            }
        }
        PQclear(rows);
    }
    arrays_free(&arrays);
    return rc;
}

int audit_look_up(struct audit *a, const char *spool, struct audit_frame *frames, size_t count, struct err *e)
{
    for (size_t i = 0; i < count; i++) {
        frames[i].rows = 0;
        frames[i].here = frames[i].rejected = false;
    }
    if (look_up(a, AUDIT_POST, posts_sql, 5, spool, frames, count, e) ||
        look_up(a, AUDIT_EVENT, events_sql, 6, spool, frames, count, e)) {
        return -1;
    }
    return look_up_rejects(a, spool, frames, count, e);
}
