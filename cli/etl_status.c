#include "cli/etl_status.h"

#include "base/clock.h"
#include "cli/service.h"

#include <inttypes.h>
#include <stdio.h>

static void tell_bridges(struct job *job, struct buffer *json)
{
    struct receiver_condition c;
    buffer_add_text(json, ",\"bridges\":[");
    for (size_t i = 0; job_bridge(job, i, &c); i++) {
        buffer_add_text(json, i ? ",{" : "{");
        service_add_text(json, "address", c.address);
        service_add_text(json, "state", c.connected ? "connected" : "away");
        service_add_time(json, "since", c.since);
        service_add_text(json, "spool", c.spool[0] ? c.spool : NULL);
        service_add_number(json, "read", (int64_t)c.read);
        service_add_number(json, "committed", (int64_t)c.committed);
        service_add_text(json, "last_error", c.error[0] ? c.error : NULL);
        service_add_time(json, "last_error_at", c.error_at);
        buffer_add_text(json, "}");
    }
    buffer_add_text(json, "]");
}

static void tell_sinks(struct job *job, struct buffer *json)
{
    struct loader_condition c;
    buffer_add_text(json, ",\"sinks\":[");
    for (size_t i = 0; job_sink(job, i, &c); i++) {
        buffer_add_text(json, i ? ",{" : "{");
        service_add_text(json, "name", c.name);
        service_add_text(json, "type", c.type);
        service_add_text(json, "state", c.there ? "ready" : c.away ? "away" : "connecting");
        service_add_time(json, "since", c.since);
        service_add_text(json, "last_error", c.error[0] ? c.error : NULL);
        service_add_time(json, "last_error_at", c.error_at);
        buffer_add_text(json, "}");
    }
    buffer_add_text(json, "]");
}

/* How old the newest post was when it was committed; while frames wait, at least as long as nothing was. */
static int64_t lag_ms(const struct job_numbers *n)
{
    int64_t idle =
        n->waiting_frames && n->last_loaded_at != CLOCK_NONE ? clock_wall_ms() - n->last_loaded_at : 0;
    return idle > n->lag_ms ? idle : n->lag_ms;
}

static void tell_last(const struct job_numbers *n, struct buffer *json)
{
    if (n->last_loaded_at == CLOCK_NONE) {
        buffer_add_text(json, ",\"last_batch\":null");
        return;
    }
    buffer_add_text(json, ",\"last_batch\":{");
    service_add_time(json, "time", n->last_batch_time);
    service_add_time(json, "loaded_at", n->last_loaded_at);
    service_add_number(json, "received", (int64_t)n->last.received);
    service_add_number(json, "posts", (int64_t)n->last.posts);
    service_add_number(json, "events", (int64_t)n->last.events);
    service_add_number(json, "loaded", (int64_t)n->last.loaded);
    service_add_number(json, "duplicates", (int64_t)n->last.duplicates);
    service_add_number(json, "rejected", (int64_t)n->last.rejected);
    buffer_add_text(json, "}");
}

void etl_status_tell(struct job *job, struct buffer *json)
{
    struct job_numbers n;
    job_count(job, &n);
    tell_bridges(job, json);
    tell_sinks(job, json);
    tell_last(&n, json);
    buffer_print(json, ",\"posts_per_second\":%.2f", n.posts_per_second);
    service_add_number(json, "posts_last_hour", (int64_t)n.posts_last_hour);
    buffer_print(json, ",\"totals\":{\"batches\":%" PRIu64, n.batches);
    service_add_number(json, "posts", (int64_t)n.posts);
    service_add_number(json, "events", (int64_t)n.events);
    service_add_number(json, "rejects", (int64_t)n.rejects);
    service_add_number(json, "filtered", (int64_t)n.filtered);
    buffer_add_text(json, "},\"today\":{");
    service_add_time(json, "from", n.today.from);
    service_add_number(json, "posts", (int64_t)n.today.posts);
    service_add_number(json, "rejects", (int64_t)n.today.rejects);
    service_add_number(json, "gaps", (int64_t)n.today.gaps);
    buffer_print(json, "},\"lag\":{\"frames\":%" PRIu64 ",\"seconds\":%.1f}", n.waiting_frames,
                 (double)lag_ms(&n) / 1000.0);
}

/* What is missing; NULL: nothing is. */
static const char *missing(struct job *job)
{
    struct receiver_condition bridge;
    struct loader_condition sink;
    bool connected = false;
    for (size_t i = 0; job_sink(job, i, &sink); i++) {
        if (!sink.there) {
            return "waiting for the database";
        }
    }
    for (size_t i = 0; !connected && job_bridge(job, i, &bridge); i++) {
        connected = bridge.connected;
    }
    return connected ? NULL : "waiting for the bridge";
}

bool etl_status_ready(struct job *job)
{
    return !missing(job);
}

void etl_status_line(struct job *job, char *text, size_t size)
{
    struct job_numbers n;
    char length[SERVICE_LENGTH_SIZE], last[80] = "nothing loaded yet";
    const char *waits = missing(job);
    job_count(job, &n);
    if (n.last_loaded_at != CLOCK_NONE) {
        snprintf(last, sizeof last, "last batch %s ago",
                 service_length(clock_wall_ms() - n.last_loaded_at, length));
    }
    snprintf(text, size, "%s%s%.*f posts/s, %" PRIu64 " waiting, %s", waits ? waits : "", waits ? "; " : "",
             n.posts_per_second > 0 && n.posts_per_second < 10 ? 1 : 0, n.posts_per_second, n.waiting_frames,
             last);
}
