#include "sinks/postgres.h"

#include "base/log.h"
#include "base/number.h"
#include "sinks/migrate.h"
#include "sinks/postgres_batch.h"
#include "sinks/postgres_keeper.h"
#include "sinks/postgres_lock.h"
#include "sinks/postgres_partitions.h"
#include "sinks/postgres_retention.h"
#include "sinks/postgres_schema.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES_MOST = 256, REFUSED_SAY_MS = 60 * 1000 };

/* Where a consumer stands in a spool, as far as this sink knows without asking. */
struct place {
    char *consumer, *spool;
    uint64_t sequence;
};

struct sink {
    struct log_context log;
    const struct postgres_settings *settings;
    struct postgres_link *link;
    _Atomic(struct postgres_keeper *) keeper; /* NULL: nothing was written yet */
    char *locked;                             /* the consumer whose lock this connection has; NULL: none */
    struct postgres_copy copy;
    struct postgres_partitions partitions;
    bool months_made; /* on this connection: looked at */
    bool collides;    /* the next load begins with the staging table */
    struct place places[PLACES_MOST];
    size_t place_count;
    struct log_repeat repeat;
    uint64_t refused; /* rows not yet told about on the log */
};

/* --- configuration --- */

static int check_conninfo(const char *value, struct err *why)
{
    return postgres_link_check(value, NULL, why);
}

static const struct config_key keys[] = {
    {.name = "conninfo",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct postgres_settings, conninfo),
     .required = true,
     .hidden = true, /* gives it the twin conninfo_file, too */
     .restart = true,
     .check = check_conninfo,
     .help = "Which database, as libpq takes it: dbname=roost, host=... user=..., or postgresql://..."},
    {.name = "keep",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct postgres_settings, keep),
     .min = POSTGRES_KEEP_LEAST_MS,
     .max = POSTGRES_KEEP_MOST_MS,
     .restart = true,
     .help = "How long posts stay: whole months that ended longer ago are removed; absent: for ever."},
};

/* With a password in it the conninfo is a secret, which a configuration that everybody can read must not
 * hold. */
static void check_section(struct config *c, const struct config_section *section, void *settings)
{
    const struct postgres_settings *s = settings;
    bool secret;
    if (s->conninfo && postgres_link_check(s->conninfo, &secret, NULL) == 0 && secret) {
        config_secret(c, section, "conninfo");
    }
}

const struct config_type_table postgres_config = {
    .name = "postgres",
    .keys = keys,
    .key_count = sizeof keys / sizeof keys[0],
    .settings_size = sizeof(struct postgres_settings),
    .check = check_section,
};

int postgres_migrate(const void *settings, const char *name, struct err *e)
{
    const struct postgres_settings *s = settings;
    struct log_context log = {"migrate", name};
    return migrate_run(s->conninfo, &log, e);
}

/* --- the sink --- */

static void forget_places(struct sink *s)
{
    for (size_t i = 0; i < s->place_count; i++) {
        free(s->places[i].consumer);
        free(s->places[i].spool);
    }
    s->place_count = 0;
}

static void postgres_close(struct sink *s)
{
    if (!s) {
        return;
    }
    forget_places(s);
    postgres_keeper_free(s->keeper);
    if (s->locked) {
        postgres_lock_drop(s->link);
        free(s->locked);
    }
    postgres_link_free(s->link);
    buffer_free(&s->copy.rows);
    free(s);
}

static struct sink *postgres_open(const void *settings, const char *name, struct err *e)
{
    const struct postgres_settings *given = settings;
    struct sink *s = calloc(1, sizeof *s);
    if (!s) {
        err_set(e, ERR_FATAL, "[sink %s]: memory is out", name);
        return NULL;
    }
    s->log = (struct log_context){"sink", name};
    s->settings = given;
    s->copy.rows = BUFFER(POSTGRES_COPY_MOST);
    s->link = postgres_link_new(given->conninfo, e);
    if (!s->link) {
        err_wrap(e, "[sink %s] conninfo", name);
        postgres_close(s);
        return NULL;
    }
    s->copy.link = s->link;
    return s;
}

static int ready(struct sink *s, struct err *e)
{
    bool fresh;
    if (postgres_link_connect(s->link, &fresh, e)) {
        return -1;
    }
    if (fresh) {
        free(s->locked);
        s->locked = NULL;
        s->months_made = false;
        if (postgres_schema_check(s->link, e)) {
            postgres_link_drop(s->link);
            return -1;
        }
    }
    return 0;
}

/* Who has the consumer's lock also keeps the house. */
static int start_keeper(struct sink *s, struct err *e)
{
    if (!s->keeper) {
        s->keeper = postgres_keeper_start(s->settings->conninfo, s->settings->keep, &s->log, e);
    }
    return s->keeper ? 0 : -1;
}

/* Connected, and the only session that works for this consumer. */
static int ready_for(struct sink *s, const char *consumer, struct err *e)
{
    if (ready(s, e)) {
        return -1;
    }
    if (s->locked && strcmp(s->locked, consumer) == 0) {
        return 0;
    }
    char *name = strdup(consumer);
    if (!name) {
        return err_set(e, ERR_RETRY, "memory is out");
    }
    if (postgres_lock_take(s->link, consumer, e)) {
        free(name);
        return -1;
    }
    free(s->locked);
    s->locked = name;
    return start_keeper(s, e);
}

/* Only what this connection began is undone; whatever is still unclear after that goes with the connection.
 */
static void undo(struct sink *s)
{
    struct err ignored;
    forget_places(s);
    if (postgres_link_is_open(s->link) && postgres_link_run(s->link, "ROLLBACK", &ignored)) {
        postgres_link_drop(s->link);
    }
}

static struct place *find_place(struct sink *s, const char *consumer, struct view spool)
{
    for (size_t i = 0; i < s->place_count; i++) {
        if (strcmp(s->places[i].consumer, consumer) == 0 && view_is(spool, s->places[i].spool)) {
            return &s->places[i];
        }
    }
    return NULL;
}

/* Not remembering costs one question more, so no memory is no error. */
static void remember(struct sink *s, const char *consumer, struct view spool, uint64_t sequence)
{
    struct place *known = find_place(s, consumer, spool);
    if (known) {
        known->sequence = sequence;
        return;
    }
    if (s->place_count == PLACES_MOST) {
        forget_places(s);
    }
    struct place place = {view_copy(view_of(consumer)), view_copy(spool), sequence};
    if (place.consumer && place.spool) {
        s->places[s->place_count++] = place;
    } else {
        free(place.consumer);
        free(place.spool);
    }
}

static int ask_position(struct sink *s, const char *consumer, struct view spool, uint64_t *sequence,
                        struct err *e)
{
    PGresult *result;
    char *name = view_copy(spool);
    if (!name) {
        return err_set(e, ERR_RETRY, "memory is out");
    }
    const char *values[] = {consumer, name};
    int rc =
        postgres_link_ask(s->link, "SELECT sequence FROM roost.progress WHERE consumer = $1 AND spool = $2",
                          2, values, &result, e);
    free(name);
    if (rc) {
        return -1;
    }
    *sequence = 0;
    if (PQntuples(result) > 0 && number_parse_unsigned(view_of(PQgetvalue(result, 0, 0)), sequence)) {
        rc = err_set(e, ERR_FATAL, "roost.progress of consumer \"%s\" holds a sequence below 0", consumer);
    }
    PQclear(result);
    if (rc == 0) {
        remember(s, consumer, spool, *sequence);
    }
    return rc;
}

/* Where rows of roost.batches were deleted, the only spool that there is a position for. */
static const char latest_sql[] =
    "SELECT spool, sequence FROM roost.progress WHERE consumer = $1 AND sequence > 0 AND spool = coalesce("
    "(SELECT spool FROM roost.batches WHERE consumer = $1 ORDER BY id DESC LIMIT 1), "
    "(SELECT min(spool) FROM roost.progress WHERE consumer = $1 HAVING count(*) = 1))";

static int ask_latest(struct sink *s, const char *consumer, struct sink_latest *latest, struct err *e)
{
    PGresult *result;
    int rc = 0;
    *latest = (struct sink_latest){0};
    if (postgres_link_ask(s->link, latest_sql, 1, &consumer, &result, e)) {
        return -1;
    }
    if (PQntuples(result) > 0 && (size_t)PQgetlength(result, 0, 0) < sizeof latest->spool) {
        snprintf(latest->spool, sizeof latest->spool, "%s", PQgetvalue(result, 0, 0));
        if (number_parse_unsigned(view_of(PQgetvalue(result, 0, 1)), &latest->sequence)) {
            rc = err_set(e, ERR_RETRY, "PostgreSQL: no position of consumer \"%s\"", consumer);
        }
    }
    PQclear(result);
    return rc;
}

static int postgres_look(struct sink *s, struct err *e)
{
    return ready(s, e);
}

static int postgres_position(struct sink *s, const char *consumer, struct view spool, uint64_t *sequence,
                             struct err *e)
{
    if (ready_for(s, consumer, e) || ask_position(s, consumer, spool, sequence, e)) {
        undo(s);
        return -1;
    }
    return 0;
}

static int postgres_latest(struct sink *s, const char *consumer, struct sink_latest *latest, struct err *e)
{
    if (ready_for(s, consumer, e) || ask_latest(s, consumer, latest, e)) {
        undo(s);
        return -1;
    }
    return 0;
}

static void tell_refused(struct sink *s, const struct postgres_refused *refused)
{
    uint64_t held;
    s->refused += refused->count;
    if (log_every(&s->repeat, REFUSED_SAY_MS, &held)) {
        log_warning(&s->log,
                    "%" PRIu64 " rows were refused by the database and are in roost.rejects; the latest: %s",
                    s->refused, refused->first);
        s->refused = 0;
    }
}

static int find_positions(struct sink *s, const struct load *load, uint64_t *positions, struct err *e)
{
    for (size_t i = 0; i < load->part_count; i++) {
        const struct place *place = find_place(s, load->consumer, load->parts[i].spool);
        if (place) {
            positions[i] = place->sequence;
        } else if (ask_position(s, load->consumer, load->parts[i].spool, &positions[i], e)) {
            return -1;
        }
    }
    return 0;
}

static int write_load(struct sink *s, const struct load *load, struct err *e)
{
    struct postgres_refused refused = {0};
    uint64_t *positions = calloc(load->part_count, sizeof *positions);
    if (!positions) {
        return err_set(e, ERR_RETRY, "memory is out");
    }
    int rc = find_positions(s, load, positions, e);
    if (rc == 0) {
        rc = postgres_batch_write(&s->copy, load, positions, &s->collides, &refused, e);
    }
    for (size_t i = 0; i < load->part_count && rc == 0; i++) {
        if (load->parts[i].last_sequence > positions[i]) {
            remember(s, load->consumer, load->parts[i].spool, load->parts[i].last_sequence);
        }
    }
    if (rc == 0 && refused.count > 0) {
        tell_refused(s, &refused);
    }
    free(positions);
    return rc;
}

/* Before the first batch of a connection, so that its posts find their months; later the keeper sees to it.
 */
static void make_months(struct sink *s)
{
    if (!s->months_made) {
        s->months_made = true;
        (void)postgres_partitions_keep(&s->partitions, s->link, &s->log);
    }
}

static int postgres_write(struct sink *s, const struct load *load, struct err *e)
{
    if (ready_for(s, load->consumer, e)) {
        goto fail;
    }
    make_months(s);
    /* It may have lost the connection while making partitions. */
    if (ready_for(s, load->consumer, e) || write_load(s, load, e)) {
        goto fail;
    }
    return 0;

fail:
    undo(s);
    return -1;
}

static void postgres_stop(struct sink *s)
{
    struct postgres_keeper *keeper = s->keeper;
    postgres_link_stop(s->link);
    if (keeper) {
        postgres_keeper_stop(keeper);
    }
}

const struct sink_type sink_postgres = {
    .config = &postgres_config,
    .open = postgres_open,
    .look = postgres_look,
    .position = postgres_position,
    .latest = postgres_latest,
    .write = postgres_write,
    .stop = postgres_stop,
    .close = postgres_close,
};
