/* cli/audit.c - `roost audit`: recounts the tables, and the spool beside them, and prints what differs.
 *
 * For each postgres sink: one snapshot of its tables first, then the spool's files, so that all frames the
 * snapshot may know of are among those read.
 */
#include "base/log.h"
#include "bridge/settings.h"
#include "bridge/spool_look.h"
#include "cli/audit_parts.h"
#include "cli/command.h"
#include "cli/kinds.h"
#include "sinks/postgres.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct log_context context = {"audit", NULL};

void audit_difference(struct audit_report *r, const char *format, ...)
{
    if (r->differences++ >= AUDIT_SHOWN_MAXIMUM) {
        return;
    }
    va_list arguments;
    printf("sink %s: ", r->sink);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

/* ---- batches ---- */

struct batches {
    struct audit *audit;
    struct audit_report *report;
    char *consumer, *spool; /* of the batch before; NULL: none */
    int64_t id, last;       /* of it */
};

static void compare_rows(struct audit_report *r, const struct audit_batch *b, const char *table, int64_t told,
                         int64_t rows)
{
    if (told != rows) {
        audit_difference(r,
                         "batch %" PRId64 ": roost.batches counts %" PRId64 ", roost.%s has %" PRId64 " rows",
                         b->id, told, table, rows);
    }
}

static void check_sums(struct audit_report *r, const struct audit_batch *b)
{
    int64_t sum = b->loaded + b->duplicate + b->filtered + b->rejected + b->events;
    if (b->received != sum) {
        audit_difference(r, "batch %" PRId64 ": received %" PRId64 ", but %" PRId64 " accounted for", b->id,
                         b->received, sum);
    }
    if (b->batch_time < r->removed.batches_before) {
        r->not_recounted++;
        return;
    }
    compare_rows(r, b, "posts", b->loaded, b->post_rows + b->expired);
    compare_rows(r, b, "events", b->events, b->event_rows);
    compare_rows(r, b, "rejects", b->rejected, b->reject_rows);
    /* With rejects a count event may be among them, and its figure is not in roost.events. */
    if (b->events == b->event_rows && b->rejected == 0 && b->filtered != b->filtered_told) {
        audit_difference(r, "batch %" PRId64 ": filtered %" PRId64 ", but its count events tell %" PRId64,
                         b->id, b->filtered, b->filtered_told);
    }
}

/* Every number of the batch's range is a frame it took, or missing with a gap row that says so. */
static int check_range(struct batches *s, const struct audit_batch *b, struct err *e)
{
    uint64_t explained = 0;
    int64_t numbers = b->last_sequence - b->first_sequence + 1, frames = b->received - b->filtered;
    if (frames < numbers && audit_explained(s->audit, b->spool, (uint64_t)b->first_sequence,
                                            (uint64_t)b->last_sequence, &explained, e)) {
        return -1;
    }
    if (frames > numbers || frames + (int64_t)explained < numbers) {
        audit_difference(s->report,
                         "batch %" PRId64 ": took %" PRId64 " frames, its range %" PRId64 " to %" PRId64
                         " has %" PRId64 " numbers, and gap rows account for %" PRIu64,
                         b->id, frames, b->first_sequence, b->last_sequence, numbers, explained);
    }
    return 0;
}

static int check_join(struct batches *s, const struct audit_batch *b, struct err *e)
{
    uint64_t explained;
    if (b->first_sequence <= s->last) {
        audit_difference(s->report,
                         "batches %" PRId64 " and %" PRId64
                         " of consumer %s overlap: one goes to frame %" PRId64
                         " of spool %s, the other begins at %" PRId64,
                         s->id, b->id, b->consumer, s->last, b->spool, b->first_sequence);
        return 0;
    }
    uint64_t hole = (uint64_t)(b->first_sequence - s->last - 1);
    if (hole == 0) {
        return 0;
    }
    if (audit_explained(s->audit, b->spool, (uint64_t)s->last + 1, (uint64_t)b->first_sequence - 1,
                        &explained, e)) {
        return -1;
    }
    if (explained < hole) {
        audit_difference(s->report,
                         "consumer %s: the frames %" PRId64 " to %" PRId64
                         " of spool %s are in no batch, and gap "
                         "rows account for %" PRIu64 " of %" PRIu64,
                         b->consumer, s->last + 1, b->first_sequence - 1, b->spool, explained, hole);
    }
    return 0;
}

static int remember(struct batches *s, const struct audit_batch *b, bool same, struct err *e)
{
    if (!same) {
        free(s->consumer);
        free(s->spool);
        s->consumer = strdup(b->consumer);
        s->spool = strdup(b->spool);
        if (!s->consumer || !s->spool) {
            return err_set(e, ERR_RETRY, "out of memory");
        }
    }
    if (!same || b->last_sequence > s->last) {
        s->id = b->id;
        s->last = b->last_sequence;
    }
    return 0;
}

static int take_batch(void *user, const struct audit_batch *b, struct err *e)
{
    struct batches *s = user;
    struct audit_report *r = s->report;
    r->posts += (uint64_t)b->post_rows;
    r->events += (uint64_t)b->event_rows;
    r->rejects += (uint64_t)b->reject_rows;
    if (!b->known && b->id > 0 && b->id <= r->removed.last_batch) {
        return 0; /* the network dated its posts later than our clock did */
    }
    if (!b->known) {
        audit_difference(r,
                         "batch %" PRId64 " is not in roost.batches, but has %" PRId64
                         " rows in roost.posts, %" PRId64 " in roost.events and %" PRId64 " in roost.rejects",
                         b->id, b->post_rows, b->event_rows, b->reject_rows);
        return 0;
    }
    r->batches++;
    bool same = s->consumer && strcmp(s->consumer, b->consumer) == 0 && strcmp(s->spool, b->spool) == 0;
    check_sums(r, b);
    if (check_range(s, b, e) || (same && check_join(s, b, e))) {
        return -1;
    }
    return remember(s, b, same, e);
}

static void take_doubled(void *user, const char *network, const char *id, int64_t rows)
{
    audit_difference(user, "the post %s/%s is in roost.posts %" PRId64 " times, with different created_at",
                     network, id, rows);
}

/* ---- positions ---- */

struct positions {
    struct audit_report *report;
    const char *spool; /* the one whose files are read; "" none */
    uint64_t here;     /* the highest position in it */
};

static void take_position(void *user, const struct audit_position *p)
{
    struct positions *s = user;
    if (p->progress > 0 && strcmp(p->spool, s->spool) == 0 && (uint64_t)p->progress > s->here) {
        s->here = (uint64_t)p->progress;
    }
    if (p->progress == p->last_sequence) {
        return;
    }
    if (p->last_sequence < 0) {
        audit_difference(s->report,
                         "roost.progress of consumer %s in spool %s is %" PRId64 ", but it has no batch",
                         p->consumer, p->spool, p->progress);
    } else if (p->progress < 0) {
        audit_difference(s->report,
                         "consumer %s has batches up to frame %" PRId64
                         " of spool %s, but no row in roost.progress",
                         p->consumer, p->last_sequence, p->spool);
    } else {
        audit_difference(s->report,
                         "roost.progress of consumer %s in spool %s is %" PRId64
                         ", but its last batch ends at %" PRId64,
                         p->consumer, p->spool, p->progress, p->last_sequence);
    }
}

/* ---- one sink ---- */

static int check_tables(struct audit *a, const char *spool, struct audit_report *r, uint64_t *position,
                        struct err *e)
{
    struct batches batches = {.audit = a, .report = r};
    struct positions positions = {.report = r, .spool = spool};
    int rc = audit_removed(a, &r->removed, e) || audit_batches(a, take_batch, &batches, e) ? -1 : 0;
    free(batches.consumer);
    free(batches.spool);
    if (rc || audit_positions(a, take_position, &positions, e) || audit_doubled(a, take_doubled, r, e)) {
        return -1;
    }
    *position = positions.here;
    return 0;
}

static void say_result(const struct audit_report *r, const char *spool, const char *folder,
                       const struct audit_spool_counts *counts)
{
    if (r->differences > AUDIT_SHOWN_MAXIMUM) {
        printf("sink %s: and %" PRIu64 " more\n", r->sink, r->differences - AUDIT_SHOWN_MAXIMUM);
    }
    printf("sink %s: %" PRIu64 " batches, %" PRIu64 " posts, %" PRIu64 " events, %" PRIu64 " rejects; ",
           r->sink, r->batches, r->posts, r->events, r->rejects);
    if (r->not_recounted) {
        printf("%" PRIu64 " batches not recounted, since they are older than keep; ", r->not_recounted);
    }
    if (*spool) {
        printf("spool %s: %" PRIu64 " frames compared, %" PRIu64 " behind the position", spool,
               counts->compared, counts->beyond);
        if (counts->damaged) {
            printf(", %" PRIu64 " damaged bytes passed over", counts->damaged);
        }
    } else {
        printf("no spool in %s, so only the tables were recounted", folder);
    }
    if (r->differences) {
        printf(": %" PRIu64 " %s\n", r->differences, r->differences == 1 ? "difference" : "differences");
    } else {
        puts(": all agrees");
    }
}

static int check_sink(const char *name, const char *conninfo, const char *folder, uint64_t *differences,
                      struct err *e)
{
    struct audit_report report = {.sink = name};
    struct audit_spool_counts counts = {0};
    uint64_t position = 0;
    struct spool_look look = {.identity = ""};
    /* Only the last segment is read for this: what is wanted is the identity. */
    const struct spool_look_range nothing = {.from = UINT64_MAX, .to = UINT64_MAX};
    struct audit *a = audit_open(conninfo, e);
    int rc = a ? 0 : -1;
    if (rc == 0 && (access(folder, F_OK) == 0 || errno != ENOENT)) {
        rc = spool_look(folder, &nothing, &look, e);
    }
    rc = rc ? rc : check_tables(a, look.identity, &report, &position, e);
    if (rc == 0 && *look.identity) {
        rc = audit_compare_spool(a, folder, look.identity, position, &report, &counts, e);
    }
    if (rc == 0) {
        say_result(&report, look.identity, folder, &counts);
    }
    *differences += report.differences;
    audit_close(a);
    return rc;
}

static int check_sinks(const struct config *config)
{
    const struct bridge_settings *bridge = config_settings(config, "bridge");
    uint64_t differences = 0;
    bool any = false;
    for (const struct config_section *s = config_first(config, "sink"); s; s = config_next(s)) {
        if (strcmp(config_section_type(s), postgres_config.name) != 0) {
            continue;
        }
        const struct postgres_settings *settings = config_section_settings(s);
        struct err e;
        any = true;
        if (check_sink(config_section_name(s), settings->conninfo, bridge->spool_dir, &differences, &e)) {
            log_error(&context, "[sink %s]: %s", config_section_name(s), e.text);
            return err_exit_status(&e);
        }
    }
    if (!any) {
        log_notice(&context, "no sink of this configuration keeps tables: nothing to recount");
    }
    return differences > 0;
}

static int audit_run(int argc, char **argv)
{
    const char *path = kinds_path(&audit_command, argc, argv);
    static const char *const used[] = {"bridge", "sink", NULL};
    struct config *config = path ? kinds_load(path, used) : NULL;
    if (!config) {
        return 2;
    }
    int status = check_sinks(config);
    config_free(config);
    return status;
}

const struct command audit_command = {
    .name = "audit",
    .usage = "audit [-c FILE]",
    .help = "Recounts, for each postgres sink, what roost.batches and roost.progress say, from the tables "
            "and from\n"
            "the frames that the spool still keeps, and prints every difference on stdout. Changes nothing; "
            "works\n"
            "while the services run. Needs to read the database and spool_dir.\n\n"
            "    -c FILE   the configuration (default /etc/roost/roost.conf)\n\n"
            "Exit status: 0 all agrees; 1 something differs, or it could not be looked at; 2 usage, "
            "configuration,\n"
            "schema or credentials are wrong.\n",
    .run = audit_run,
};
