#include "cli/service.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/notify.h"
#include "base/status_socket.h"
#include "base/utf8.h"
#include "base/version.h"
#include "base/watchdog.h"
#include "bridge/settings.h"
#include "config/service.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_SIZE = 300,
    STOP_EXTEND_MS = 60 * 1000,
    SOON_MS =
        500, /* until the socket is there: the other service may just be making the folder, or its own */
    MISSED_SAID = 10, /* looks; after them it is no matter of moments */
    ARENAS_MOST = 2 /* of malloc; each thread would have its own, and keep it. Hot paths have base/arena.h */
};

struct service {
    const struct config *config;
    struct service_offer offer;
    struct log_context log;
    struct status_socket *socket; /* NULL: memory was out */
    unsigned missed;              /* looks in a row at which it could not be made */
    bool fed;                     /* WATCHDOG_USEC is set for us */
    bool ready, stopping;
    bool reload_waits;
    int64_t started_at, reloaded_at; /* wall times; CLOCK_NONE: never */
    char mistake[LINE_SIZE];         /* of the last reload; "": none */
    char said[LINE_SIZE];            /* status, as told last */
};

/* ---- JSON ---- */

static void add_name(struct buffer *json, const char *name)
{
    bool first = json->length && json->data[json->length - 1] == '{';
    buffer_print(json, "%s\"%s\":", first ? "" : ",", name);
}

/* What a server said may hold anything. */
static void add_repaired(struct buffer *json, struct view text)
{
    struct buffer clean = BUFFER(8192);
    for (size_t at = 0; at < text.length;) {
        uint32_t point = utf8_next(text, &at);
        char bytes[4];
        buffer_append(&clean, bytes, utf8_put(point == UTF8_BAD || point == 0 ? 0xFFFD : point, bytes));
    }
    json_add_string(json, buffer_view(&clean));
    buffer_free(&clean);
}

void service_add_text(struct buffer *json, const char *name, const char *text)
{
    add_name(json, name);
    if (text) {
        add_repaired(json, view_of(text));
    } else {
        buffer_add_text(json, "null");
    }
}

void service_add_time(struct buffer *json, const char *name, int64_t wall_ms)
{
    char text[CLOCK_TEXT_SIZE];
    service_add_text(json, name, wall_ms == CLOCK_NONE ? NULL : clock_format(wall_ms, text));
}

void service_add_number(struct buffer *json, const char *name, int64_t number)
{
    add_name(json, name);
    buffer_add_number(json, number);
}

void service_add_flag(struct buffer *json, const char *name, bool flag)
{
    add_name(json, name);
    buffer_add_text(json, flag ? "true" : "false");
}

const char *service_length(int64_t ms, char text[SERVICE_LENGTH_SIZE])
{
    static const struct {
        int64_t from_ms, unit_ms;
        const char *name;
    } units[] = {{INT64_C(3) * 86400000, 86400000, "d"}, {7200000, 3600000, "h"}, {120000, 60000, "min"}};
    ms = ms < 0 ? 0 : ms;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (ms >= units[i].from_ms) {
            snprintf(text, SERVICE_LENGTH_SIZE, "%" PRId64 " %s", ms / units[i].unit_ms, units[i].name);
            return text;
        }
    }
    snprintf(text, SERVICE_LENGTH_SIZE, "%" PRId64 " s", ms / 1000);
    return text;
}

static void write_answer(void *user, struct buffer *json)
{
    struct service *s = user;
    const char *hanging;
    buffer_print(json, "{\"service\":\"%s\"", s->offer.name);
    service_add_text(json, "version", version_number);
    service_add_number(json, "pid", getpid());
    service_add_text(json, "configuration", config_path(s->config));
    service_add_time(json, "now", clock_wall_ms());
    service_add_time(json, "started_at", s->started_at);
    service_add_flag(json, "ready", s->ready);
    service_add_flag(json, "stopping", s->stopping);
    buffer_add_text(json, ",\"hanging\":[");
    for (size_t i = 0; (hanging = watchdog_hanging(i)) != NULL; i++) {
        buffer_add_text(json, i ? "," : "");
        json_add_string(json, view_of(hanging));
    }
    buffer_add_text(json, "],\"reload\":{\"waits\":");
    buffer_add_text(json, s->reload_waits ? "true" : "false");
    service_add_time(json, "at", s->reloaded_at);
    service_add_text(json, "mistake", s->mistake[0] ? s->mistake : NULL);
    buffer_add_text(json, "}");
    s->offer.tell(s->offer.user, json);
    buffer_add_text(json, "}\n");
}

/* ---- the socket ---- */

static char *find_path(const struct config *config, const char *name)
{
    const struct bridge_settings *bridge = config_settings(config, "bridge");
    const char *folders[SERVICE_FOLDERS];
    const struct service_settings *settings = config_settings(config, "service");
    size_t count = service_runtime_folders(settings, bridge ? bridge->spool_dir : NULL, folders);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 == count || access(folders[i], W_OK | X_OK) == 0) {
            return service_socket_path(folders[i], config_path(config), name);
        }
    }
    return NULL;
}

static void keep_socket(struct service *s)
{
    struct err e;
    if (!s->socket || s->stopping) {
        return;
    }
    int kept = status_socket_keep(s->socket, &e);
    s->missed = kept < 0 ? s->missed + 1 : 0;
    if (s->missed == MISSED_SAID) {
        log_warning(&s->log, "roost status will not reach this service: %s; trying again", e.text);
    } else if (kept > 0) {
        log_info(&s->log, "roost status finds this service at %s", status_socket_path(s->socket));
    }
}

int service_descriptor(const struct service *s)
{
    return s->socket ? status_socket_descriptor(s->socket) : -1;
}

void service_answer(struct service *s)
{
    status_socket_answer(s->socket, write_answer, s);
}

/* ---- the manager ---- */

static void say_hanging(void *user, const char *name, int64_t still_ms, bool hangs)
{
    struct service *s = user;
    if (hangs) {
        log_error(&s->log, "the thread \"%s\" hangs: it has not got on for %.1f s%s", name,
                  (double)still_ms / 1000.0,
                  s->fed ? "; the watchdog is not fed, so that the manager restarts the service" : "");
    } else {
        log_notice(&s->log, "the thread \"%s\" gets on again, after %.1f s", name, (double)still_ms / 1000.0);
    }
}

static void say_status(struct service *s)
{
    char text[LINE_SIZE] = "", line[LINE_SIZE * 2];
    s->offer.line(s->offer.user, text, sizeof text);
    int n = snprintf(line, sizeof line, "%s%s%s%s", s->stopping ? "stopping; " : "",
                     s->mistake[0] ? "the configuration was not taken: " : "", s->mistake,
                     s->mistake[0] ? "; " : "");
    snprintf(line + n, sizeof line - (size_t)n, "%s%s", text,
             s->reload_waits ? "; the new configuration waits for room in the spool" : "");
    line[LINE_SIZE - 1] = '\0';
    if (strcmp(line, s->said) != 0) {
        memcpy(s->said, line, LINE_SIZE);
        notify_status(line);
    }
}

int service_look_ms(const struct service *s)
{
    int judge_ms = watchdog_judge_ms();
    bool soon = s->missed > 0 && s->missed < MISSED_SAID;
    return soon && judge_ms > SOON_MS ? SOON_MS : judge_ms;
}

void service_look(struct service *s)
{
    watchdog_enter("main");
    watchdog_progress();
    bool all = watchdog_judge(say_hanging, s);
    if (all && s->fed) {
        notify_watchdog();
    }
    if (all && s->stopping) {
        notify_extend(STOP_EXTEND_MS);
    }
    keep_socket(s);
    say_status(s);
    log_settle(false);
}

static void take_log_level(const struct config *config)
{
    const struct service_settings *settings = config_settings(config, "service");
    log_set_level((enum log_level)(LOG_LEVEL_ERROR + settings->log_level));
}

struct service *service_open(const struct config *config, const struct service_offer *offer)
{
    struct service *s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    mallopt(M_ARENA_MAX, ARENAS_MOST);
    s->config = config;
    s->offer = *offer;
    s->log = (struct log_context){offer->name, NULL};
    s->started_at = clock_wall_ms();
    s->reloaded_at = CLOCK_NONE;
    take_log_level(config);
    log_collapse();
    int64_t limit_us = notify_watchdog_us() / 2;
    s->fed = limit_us > 0;
    watchdog_set_limit(limit_us);
    char *path = find_path(config, offer->name);
    s->socket = path ? status_socket_new(path) : NULL;
    free(path);
    return s;
}

void service_ready(struct service *s)
{
    if (!s->ready) {
        s->ready = true;
        say_status(s);
        notify_ready();
    }
}

void service_reloading(struct service *s)
{
    if (s->ready) {
        notify_reloading();
    }
}

void service_reloaded(struct service *s, const struct config *next, const char *mistake, bool waits)
{
    s->reloaded_at = clock_wall_ms();
    snprintf(s->mistake, sizeof s->mistake, "%s", mistake ? mistake : "");
    s->reload_waits = waits;
    if (next) {
        take_log_level(next);
    }
    say_status(s);
    if (s->ready) {
        notify_ready();
    }
}

void service_stopping(struct service *s)
{
    if (!s->stopping) {
        s->stopping = true;
        notify_stopping(STOP_EXTEND_MS);
        say_status(s);
    }
}

void service_close(struct service *s)
{
    log_settle(true);
    if (s) {
        status_socket_free(s->socket);
        watchdog_leave();
        free(s);
    }
}
