#include "cli/status_print.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "cli/service.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

enum { PIECE_MAXIMUM = 1000, LABEL_COLUMNS = 20, SIZE_SIZE = 24 };

enum ink { INK_NONE, INK_GOOD, INK_WARNING, INK_BAD };

struct page {
    struct buffer *into;
    const struct status_paper *paper;
    int rows, used; /* columns of the line in hand */
    bool left_out;  /* this line has no room on the paper */
};

/* Nothing of the text may move a terminal's cursor; what does not fit is left out. */
static void add_shown(struct page *p, struct view text)
{
    int columns = p->paper->columns;
    for (size_t at = 0; at < text.length && !p->left_out && (columns == 0 || p->used < columns); p->used++) {
        size_t from = at;
        uint32_t point = utf8_next(text, &at);
        if (point == UTF8_BAD || point < ' ' || (point >= 0x7f && point < 0xa0)) {
            buffer_add_byte(p->into, '?');
        } else {
            buffer_append(p->into, text.at + from, at - from);
        }
    }
}

static void add(struct page *p, enum ink ink, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void add(struct page *p, enum ink ink, const char *format, ...)
{
    static const char *const inks[] = {"", "\033[32m", "\033[33m", "\033[1;31m"};
    bool coloured = p->paper->colour && ink != INK_NONE && !p->left_out;
    char text[PIECE_MAXIMUM];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    buffer_add_text(p->into, coloured ? inks[ink] : "");
    add_shown(p, view_of(text));
    buffer_add_text(p->into, coloured ? "\033[0m" : "");
}

static void begin_line(struct page *p)
{
    p->used = 0;
    p->left_out = p->paper->rows && p->rows + 1 >= p->paper->rows;
}

static void end_line(struct page *p)
{
    if (!p->left_out) {
        p->rows++;
        buffer_add_text(p->into, p->paper->redraw ? "\033[K\n" : "\n");
    }
}

/* "  source x1           " */
static void begin_part(struct page *p, const char *what, struct view name)
{
    char label[120];
    snprintf(label, sizeof label, "%s%s%.*s", what, name.length ? " " : "", VIEW_PRINT(name));
    begin_line(p);
    add(p, INK_NONE, "  %-*s ", LABEL_COLUMNS, label);
}

static double real(const cJSON *object, const char *member)
{
    const cJSON *item = json_member(object, member);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

static int64_t number(const cJSON *object, const char *member)
{
    return json_number(object, member, 0);
}

static const char *size_text(double bytes, char text[SIZE_SIZE])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (bytes >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, SIZE_SIZE, "%.*f %s", unit && bytes < 100, bytes, units[unit]);
    return text;
}

/* " for 3 h", from a member that is a time; "": there is none. */
static const char *since(const cJSON *answer, const cJSON *object, const char *before, const char *member,
                         const char *after, char text[80])
{
    char length[SERVICE_LENGTH_SIZE];
    int64_t age = status_age(answer, object, member);
    text[0] = '\0';
    if (age >= 0) {
        snprintf(text, 80, "%s%s%s", before, service_length(age, length), after);
    }
    return text;
}

/* A time of an answer on this machine's clock, "13:04:34", with the date when it is another day's. */
static const char *local_time(const cJSON *object, const char *member, char text[40])
{
    int64_t at;
    struct tm then, today;
    if (clock_parse(json_text(object, member), &at)) {
        return "?";
    }
    time_t seconds = (time_t)(at / 1000), now = (time_t)(clock_wall_ms() / 1000);
    localtime_r(&seconds, &then);
    localtime_r(&now, &today);
    bool same = then.tm_yday == today.tm_yday && then.tm_year == today.tm_year;
    strftime(text, 40, same ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &then);
    return text;
}

static void print_error(struct page *p, const cJSON *answer, const cJSON *object)
{
    char ago[80];
    struct view error = json_text(object, "last_error");
    if (!view_absent(error)) {
        begin_part(p, "", VIEW(""));
        add(p, INK_NONE, "last error%s: %.*s", since(answer, object, " ", "last_error_at", " ago", ago),
            VIEW_PRINT(error));
        end_line(p);
    }
}

static void print_head(struct page *p, const char *name, const struct status_said *s)
{
    char at[40], version[80];
    begin_line(p);
    if (s->json) {
        struct view v = json_text(s->json, "version");
        snprintf(version, sizeof version, "%.*s", VIEW_PRINT(v));
        add(p, INK_NONE, "%-8s running since %s, process %" PRId64 ", version %s", name,
            local_time(s->json, "started_at", at), number(s->json, "pid"), version);
    } else {
        add(p, INK_NONE, "%-8s ", name);
        add(p, s->wanted ? INK_BAD : INK_NONE, "%s", s->wanted ? s->error : "not part of this configuration");
    }
    end_line(p);
}

static void print_source(struct page *p, const cJSON *listen, const cJSON *source)
{
    char text[80];
    struct view state = json_text(source, "state"), version = json_text(source, "keyword_version");
    bool bad = view_is(state, "down") || view_is(state, "stopped");
    begin_part(p, "source", json_text(source, "name"));
    add(p, view_is(state, "streaming") ? INK_GOOD : bad ? INK_BAD : INK_WARNING, "%.*s", VIEW_PRINT(state));
    add(p, INK_NONE, "%s", since(listen, source, " for ", "since", "", text));
    if (!view_absent(json_text(source, "next_attempt"))) {
        add(p, INK_NONE, ", next attempt at %s", local_time(source, "next_attempt", text));
    }
    add(p, INK_NONE, ", %.1f posts/s, %" PRId64 " in the last hour%s", real(source, "posts_per_second"),
        number(source, "posts_last_hour"), since(listen, source, ", last post ", "last_post", " ago", text));
    if (!view_absent(version)) {
        add(p, INK_NONE, ", keywords %.*s", VIEW_PRINT(version));
    }
    end_line(p);
    print_error(p, listen, source);
}

static void print_spool(struct page *p, const cJSON *spool)
{
    char used[SIZE_SIZE], most[SIZE_SIZE];
    double bytes = real(spool, "bytes"), maximum = real(spool, "max_bytes");
    struct view policy = json_text(spool, "when_full");
    if (!spool) {
        return;
    }
    begin_part(p, "spool", VIEW(""));
    add(p, json_flag(spool, "full") == 1 ? INK_BAD : INK_NONE, "%.0f %% of %s",
        maximum > 0 ? 100 * bytes / maximum : 0, size_text(maximum, most));
    add(p, INK_NONE, " (%s), frames %" PRId64 " to %" PRId64 ", when full: %.*s", size_text(bytes, used),
        number(spool, "first"), number(spool, "held"), VIEW_PRINT(policy));
    end_line(p);
}

static void print_consumer(struct page *p, const cJSON *consumer)
{
    bool connected = json_flag(consumer, "connected") == 1;
    begin_part(p, "consumer", json_text(consumer, "name"));
    add(p, connected ? INK_GOOD : INK_WARNING, "%s", connected ? "connected" : "not connected");
    add(p, INK_NONE, ", has frame %" PRId64 ", %" PRId64 " behind (%.1f s)", number(consumer, "position"),
        number(consumer, "lag_frames"), real(consumer, "lag_seconds"));
    end_line(p);
}

/* A bridge or a sink of etl: its state and since when. */
static void print_peer(struct page *p, const cJSON *etl, const char *what, const char *name,
                       const cJSON *peer, const char *good)
{
    char text[80];
    struct view state = json_text(peer, "state");
    begin_part(p, what, json_text(peer, name));
    add(p, view_is(state, good) ? INK_GOOD : INK_WARNING, "%.*s", VIEW_PRINT(state));
    add(p, INK_NONE, "%s", since(etl, peer, " for ", "since", "", text));
    end_line(p);
    print_error(p, etl, peer);
}

static void print_batches(struct page *p, const cJSON *etl)
{
    char text[80];
    const cJSON *last = json_member(etl, "last_batch"), *today = json_member(etl, "today");
    const cJSON *totals = json_member(etl, "totals");
    begin_part(p, "last batch", VIEW(""));
    if (last) {
        add(p, INK_NONE,
            "%s: %" PRId64 " received, %" PRId64 " loaded, %" PRId64 " duplicates, %" PRId64 " rejected",
            since(etl, last, "", "loaded_at", " ago", text), number(last, "received"), number(last, "loaded"),
            number(last, "duplicates"), number(last, "rejected"));
    } else {
        add(p, INK_NONE, "none yet");
    }
    end_line(p);
    begin_part(p, "loaded", VIEW(""));
    add(p, INK_NONE,
        "%.1f posts/s, %" PRId64 " in the last hour, %" PRId64 " in %" PRId64 " batches since the start",
        real(etl, "posts_per_second"), number(etl, "posts_last_hour"), number(totals, "posts"),
        number(totals, "batches"));
    end_line(p);
    begin_part(p, "today", VIEW(""));
    add(p, INK_NONE, "%" PRId64 " posts, ", number(today, "posts"));
    add(p, number(today, "rejects") ? INK_WARNING : INK_NONE, "%" PRId64 " rejects",
        number(today, "rejects"));
    add(p, INK_NONE, ", %" PRId64 " gaps, since %s", number(today, "gaps"), local_time(today, "from", text));
    end_line(p);
}

static void print_problems(struct page *p, const struct status_verdict *v)
{
    for (size_t i = 0; i < v->count; i++) {
        bool bad = v->problems[i].level != STATUS_WARNING;
        begin_line(p);
        add(p, bad ? INK_BAD : INK_WARNING, "%s", bad ? "critical" : "warning ");
        add(p, INK_NONE, " %s", v->problems[i].text);
        end_line(p);
    }
}

void status_print(struct buffer *into, const struct status_said *listen, const struct status_said *etl,
                  const struct status_verdict *v, const struct status_paper *paper)
{
    struct page page = {.into = into, .paper = paper}, *p = &page;
    const cJSON *one;
    begin_line(p);
    add(p,
        v->level == STATUS_OK        ? INK_GOOD
        : v->level == STATUS_WARNING ? INK_WARNING
                                     : INK_BAD,
        "roost %s", status_level_name(v->level));
    add(p, INK_NONE, ": %s", v->summary);
    if (paper->figures) {
        add(p, INK_NONE, " | %s", v->figures);
    }
    end_line(p);
    print_problems(p, v);
    print_head(p, "listen", listen);
    cJSON_ArrayForEach(one, json_member(listen->json, "sources"))
    {
        print_source(p, listen->json, one);
    }
    print_spool(p, json_member(listen->json, "spool"));
    cJSON_ArrayForEach(one, json_member(listen->json, "consumers"))
    {
        print_consumer(p, one);
    }
    print_head(p, "etl", etl);
    cJSON_ArrayForEach(one, json_member(etl->json, "bridges"))
    {
        print_peer(p, etl->json, "bridge", "address", one, "connected");
    }
    cJSON_ArrayForEach(one, json_member(etl->json, "sinks"))
    {
        print_peer(p, etl->json, "sink", "name", one, "ready");
    }
    if (etl->json) {
        print_batches(p, etl->json);
    }
}

/* ---- JSON ---- */

static void print_said(struct buffer *into, const char *name, const struct status_said *s)
{
    char error[40];
    snprintf(error, sizeof error, "%s_error", name);
    buffer_print(into, ",\"%s\":", name);
    buffer_add_view(into, s->json ? view_trim(view_of(s->raw)) : VIEW("null"));
    service_add_text(into, error, s->json ? NULL : s->error);
}

void status_print_json(struct buffer *into, const struct status_said *listen, const struct status_said *etl,
                       const struct status_verdict *v)
{
    static const char *const levels[] = {"ok", "warning", "critical", "unknown"};
    buffer_add_text(into, "{");
    service_add_text(into, "status", levels[v->level]);
    service_add_text(into, "summary", v->summary);
    buffer_add_text(into, ",\"problems\":[");
    for (size_t i = 0; i < v->count; i++) {
        buffer_add_text(into, i ? ",{" : "{");
        service_add_text(into, "status", levels[v->problems[i].level]);
        service_add_text(into, "text", v->problems[i].text);
        buffer_add_text(into, "}");
    }
    buffer_add_text(into, "]");
    print_said(into, "listen", listen);
    print_said(into, "etl", etl);
    buffer_add_text(into, "}\n");
}
