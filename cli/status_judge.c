#include "cli/status_judge.h"

#include "base/clock.h"
#include "cli/service.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The limits of docs/status.md. */
enum {
    OUTAGE_CRITICAL_MS = 5 * 60 * 1000,
    LAG_WARNING_S = 60,
    LAG_CRITICAL_S = 5 * 60,
    SPOOL_WARNING_PERCENT = 75,
    SPOOL_CRITICAL_PERCENT = 95
};

const char *status_level_name(enum status_level level)
{
    static const char *const names[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
    return names[level];
}

static void problem(struct status_verdict *v, enum status_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void problem(struct status_verdict *v, enum status_level level, const char *format, ...)
{
    v->level = level > v->level ? level : v->level;
    if (v->count < STATUS_PROBLEMS) {
        struct status_problem *p = &v->problems[v->count++];
        va_list arguments;
        p->level = level;
        va_start(arguments, format);
        vsnprintf(p->text, sizeof p->text, format, arguments);
        va_end(arguments);
    }
}

static int64_t time_of(const cJSON *object, const char *member)
{
    int64_t at;
    return clock_parse(json_text(object, member), &at) ? CLOCK_NONE : at;
}

int64_t status_age(const cJSON *answer, const cJSON *object, const char *member)
{
    int64_t now = time_of(answer, "now"), at = time_of(object, member);
    return now == CLOCK_NONE || at == CLOCK_NONE ? -1 : now > at ? now - at : 0;
}

static double real(const cJSON *object, const char *member)
{
    const cJSON *item = json_member(object, member);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

static void judge_service(const char *name, const struct status_said *s, struct status_verdict *v)
{
    const cJSON *hanging = json_member(s->json, "hanging"), *thread;
    if (!s->json) {
        if (s->wanted) {
            problem(v, STATUS_CRITICAL, "roost %s: %s", name, s->error);
        }
        return;
    }
    cJSON_ArrayForEach(thread, hanging)
    {
        problem(v, STATUS_CRITICAL, "roost %s: its thread \"%s\" hangs", name,
                cJSON_IsString(thread) ? thread->valuestring : "?");
    }
    struct view mistake = json_text(json_member(s->json, "reload"), "mistake");
    if (!view_absent(mistake)) {
        problem(v, STATUS_WARNING, "roost %s: the changed configuration was not taken: %.*s", name,
                VIEW_PRINT(mistake));
    }
    if (json_flag(s->json, "stopping") == 1) {
        problem(v, STATUS_WARNING, "roost %s is stopping", name);
    }
}

/* Something that should be there is not, since `age` milliseconds. */
static void away(struct status_verdict *v, int64_t age, const char *what, struct view name, struct view state)
{
    char length[SERVICE_LENGTH_SIZE];
    problem(v, age > OUTAGE_CRITICAL_MS ? STATUS_CRITICAL : STATUS_WARNING, "%s %.*s: %.*s for %s", what,
            VIEW_PRINT(name), VIEW_PRINT(state), service_length(age, length));
}

static void judge_sources(const cJSON *listen, struct status_verdict *v)
{
    const cJSON *source;
    bool started = json_flag(listen, "started") == 1;
    cJSON_ArrayForEach(source, json_member(listen, "sources"))
    {
        struct view name = json_text(source, "name"), state = json_text(source, "state");
        struct view error = json_text(source, "last_error");
        if (view_is(state, "down") || view_is(state, "stopped")) {
            problem(v, STATUS_CRITICAL, "source %.*s is %.*s: %.*s", VIEW_PRINT(name), VIEW_PRINT(state),
                    VIEW_PRINT(error));
        } else if (started && !view_is(state, "streaming")) {
            away(v, status_age(listen, source, "since"), "source", name, state);
        }
    }
    if (listen && !started && json_flag(listen, "stopping") != 1) {
        problem(v, STATUS_WARNING, "no network stream is open yet: the first client is waited for");
    }
}

static int spool_percent(const cJSON *listen)
{
    const cJSON *spool = json_member(listen, "spool");
    double most = real(spool, "max_bytes");
    return most > 0 ? (int)floor(100 * real(spool, "bytes") / most) : 0;
}

static void judge_spool(const cJSON *listen, struct status_verdict *v)
{
    const cJSON *spool = json_member(listen, "spool");
    int percent = spool_percent(listen);
    if (json_flag(spool, "full") == 1) {
        problem(v, STATUS_CRITICAL, "the spool takes nothing: it is full, or its disk is");
    } else if (percent >= SPOOL_WARNING_PERCENT && view_is(json_text(spool, "when_full"), "stop")) {
        problem(v, percent >= SPOOL_CRITICAL_PERCENT ? STATUS_CRITICAL : STATUS_WARNING,
                "the spool is %d %% full", percent);
    }
}

static void judge_consumers(const cJSON *listen, const cJSON *etl, struct status_verdict *v)
{
    const cJSON *consumer;
    struct view ours = json_text(etl, "consumer");
    double interval = real(etl, "batch_interval_seconds");
    cJSON_ArrayForEach(consumer, json_member(listen, "consumers"))
    {
        struct view name = json_text(consumer, "name");
        int64_t behind = json_number(consumer, "lag_frames", 0);
        double seconds = real(consumer, "lag_seconds");
        double extra = !view_absent(ours) && view_equal(ours, name) ? 2 * interval : 0;
        if (behind > 0 && seconds > LAG_WARNING_S + extra) {
            problem(v, seconds > LAG_CRITICAL_S + extra ? STATUS_CRITICAL : STATUS_WARNING,
                    "consumer %.*s is %" PRId64 " frames and %.0f s behind", VIEW_PRINT(name), behind,
                    seconds);
        } else if (behind > 0 && json_flag(consumer, "connected") == 0) {
            problem(v, STATUS_WARNING, "consumer %.*s is not connected", VIEW_PRINT(name));
        }
    }
}

static void judge_etl(const cJSON *etl, struct status_verdict *v)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, json_member(etl, "bridges"))
    {
        if (!view_is(json_text(one, "state"), "connected")) {
            away(v, status_age(etl, one, "since"), "bridge", json_text(one, "address"),
                 json_text(one, "state"));
        }
    }
    cJSON_ArrayForEach(one, json_member(etl, "sinks"))
    {
        if (!view_is(json_text(one, "state"), "ready")) {
            away(v, status_age(etl, one, "since"), "sink", json_text(one, "name"), json_text(one, "state"));
        }
    }
    int64_t rejects = json_number(json_member(etl, "today"), "rejects", 0);
    if (rejects > 0) {
        problem(v, STATUS_WARNING, "%" PRId64 " rejects today: see roost.rejects", rejects);
    }
}

/* ---- the first line ---- */

struct sums {
    int streaming, sources;
    int64_t shortest_ms; /* of those that stream; -1: none does */
    double posts;        /* a second */
    int64_t behind, gaps, rejects;
    double lag;
    bool consumers;
};

static void add_up(const cJSON *listen, const cJSON *etl, struct sums *s)
{
    const cJSON *one;
    *s = (struct sums){.shortest_ms = -1};
    cJSON_ArrayForEach(one, json_member(listen, "sources"))
    {
        s->sources++;
        s->posts += real(one, "posts_per_second");
        if (view_is(json_text(one, "state"), "streaming")) {
            int64_t age = status_age(listen, one, "since");
            s->streaming++;
            s->shortest_ms = s->shortest_ms < 0 || age < s->shortest_ms ? age : s->shortest_ms;
        }
    }
    cJSON_ArrayForEach(one, json_member(listen, "consumers"))
    {
        int64_t behind = json_number(one, "lag_frames", 0);
        double lag = real(one, "lag_seconds");
        s->consumers = true;
        s->behind = behind > s->behind ? behind : s->behind;
        s->lag = lag > s->lag ? lag : s->lag;
    }
    if (!listen) {
        s->posts = real(etl, "posts_per_second");
        s->behind = json_number(json_member(etl, "lag"), "frames", 0);
        s->lag = real(json_member(etl, "lag"), "seconds");
        s->consumers = true;
    }
    s->gaps = json_number(json_member(etl, "today"), "gaps", 0);
    s->rejects = json_number(json_member(etl, "today"), "rejects", 0);
}

static void sum_up(const cJSON *listen, const cJSON *etl, struct status_verdict *v)
{
    struct sums s;
    char length[SERVICE_LENGTH_SIZE], sources[80] = "", behind[60] = ", no consumer yet";
    add_up(listen, etl, &s);
    if (v->count) { /* the worst one says more than any figure */
        const struct status_problem *worst = v->problems;
        for (size_t i = 0; i < v->count; i++) {
            worst = v->problems[i].level > worst->level ? &v->problems[i] : worst;
        }
        int n = snprintf(v->summary, sizeof v->summary, "%s", worst->text);
        if (v->count > 1) {
            snprintf(v->summary + n, sizeof v->summary - (size_t)n, " (and %zu more)", v->count - 1);
        }
    } else {
        if (s.sources && s.streaming == s.sources) {
            snprintf(sources, sizeof sources, "connected %s, ", service_length(s.shortest_ms, length));
        }
        if (s.consumers) {
            snprintf(behind, sizeof behind, ", %" PRId64 " behind", s.behind);
        }
        snprintf(v->summary, sizeof v->summary, "%s%.1f posts/s%s", sources, s.posts, behind);
    }
    snprintf(v->figures, sizeof v->figures,
             "sources=%d;;;0;%d posts_per_second=%.2f;;;0 lag_frames=%" PRId64
             ";;;0 lag_seconds=%.1fs;%d;%d;0 "
             "spool=%d%%;%d;%d;0;100 rejects=%" PRId64 ";0;;0 gaps=%" PRId64 ";;;0",
             s.streaming, s.sources, s.posts, s.behind, s.lag, LAG_WARNING_S, LAG_CRITICAL_S,
             spool_percent(listen), SPOOL_WARNING_PERCENT, SPOOL_CRITICAL_PERCENT, s.rejects, s.gaps);
}

void status_judge(const struct status_said *listen, const struct status_said *etl, struct status_verdict *v)
{
    *v = (struct status_verdict){.level = STATUS_OK};
    judge_service("listen", listen, v);
    judge_service("etl", etl, v);
    judge_sources(listen->json, v);
    judge_spool(listen->json, v);
    judge_consumers(listen->json, etl->json, v);
    judge_etl(etl->json, v);
    sum_up(listen->json, etl->json, v);
}
