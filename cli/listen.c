/* cli/listen.c - `roost listen`: sources on one side, the bridge on the other, one libuv loop.
 *
 * A post goes from its source straight into the bridge. One that the bridge refuses (spool or disk full)
 * stays with its source, which reads no further; `room` from the bridge resumes all of them. Stopping goes in
 * order: sources, which hand over all that they have, for which the bridge has a reserve; ledger, versions,
 * bridge, loop. A reload has no reserve: it waits until all that was received is in the spool. When the last
 * source has stopped for good, the whole ends with 2.
 *
 * At a reload the sources go over to the new configuration by themselves (source_change); those that cannot
 * are stopped and opened anew, and so is what is new or gone. A configuration lives as long as one of its
 * sources or lists is in use.
 */
#include "base/clock.h"
#include "base/log.h"
#include "bridge/bridge.h"
#include "bridge/gap.h"
#include "cli/command.h"
#include "cli/keyword_watch.h"
#include "cli/kinds.h"
#include "cli/listen_status.h"
#include "cli/neighbours.h"
#include "ingest/ledger_file.h"
#include "ingest/report.h"
#include "ingest/set_aside.h"
#include "ingest/settings.h"
#include "ingest/source.h"
#include "ingest/versions.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATUS_EVERY_MS = 60000, CLOSE_GRACE_MS = 2000 };

static const struct log_context context = {"listen", NULL};
static const char *const used_sections[] = {"source", "filter", "bridge", "service", NULL};

struct older {
    struct config *config;
    struct older *next;
};

struct listener {
    uv_loop_t loop;
    uv_signal_t terminated, interrupted, hung_up;
    uv_timer_t status_timer;
    struct config *config; /* in force for the sources; the bridge keeps to the first one */
    struct older *older;   /* before it, and still needed by sources whose streams a reload left open */
    struct config *next;   /* read by a reload, in force when the old sources have stopped; NULL: none. Not
                            * `reloading`: it waits for room in the spool */
    const struct bridge_settings *bridge_settings;
    struct config *first_config; /* the bridge's; the caller's */
    struct bridge *bridge;
    struct set_aside *set_aside;
    struct ledger *ledger;
    struct versions *versions;
    struct listen_status *status;
    struct keyword_watch *watch;
    char *streamed_path;
    struct source **sources; /* NULL members were told to stop */
    size_t count;            /* of sources opened */
    size_t given_up;         /* of them, stopped for good */
    size_t still_stopping;
    bool started, stopping, reloading;
    int exit_status;
    uint64_t published_before; /* for the status line */
};

static void stop_all(struct listener *l);
static bool begin_reload(struct listener *l);
static void finish_reload(struct listener *l);

/* --- from the sources --- */

static int on_post(void *user, struct source *s, const struct post *post, struct err *e)
{
    struct listener *l = user;
    int result = bridge_publish(l->bridge, post, e);
    if (result == 0 && post->kind == POST_POST) {
        listen_status_post(l->status, source_name(s), l->bridge);
    }
    return result;
}

static void on_final(void *user, struct source *s, const struct err *why)
{
    struct listener *l = user;
    (void)s;
    (void)why; /* the source has logged it */
    if (++l->given_up == l->count) {
        log_error(&context, "no source is left");
        l->exit_status = 2;
        stop_all(l);
    }
}

static void on_in_force(void *user, struct source *s, const struct version *version)
{
    struct listener *l = user;
    listen_status_version(l->status, source_name(s), version->name);
    versions_tell(l->versions, source_name(s), version);
}

/* --- from the bridge --- */

static void start_sources(struct listener *l)
{
    if (l->started || l->stopping || l->reloading) {
        return;
    }
    l->started = true;
    for (size_t i = 0; i < l->count; i++) {
        source_start(l->sources[i]);
    }
}

static void on_first_client(void *user)
{
    struct listener *l = user;
    if (l->bridge_settings->start == BRIDGE_START_ON_CLIENT) {
        log_info(&context, "the first client is there: opening the network streams");
    }
    start_sources(l);
}

static void on_room(void *user)
{
    struct listener *l = user;
    for (size_t i = 0; i < l->count && !l->stopping && !l->reloading; i++) {
        source_resume(l->sources[i]);
    }
    if (l->next && !l->stopping && !l->reloading) {
        begin_reload(l);
    }
}

/* --- stopping, in order --- */

static void on_bridge_closed(void *user)
{
    struct listener *l = user;
    l->bridge = NULL;
    keyword_watch_close(l->watch);
    l->watch = NULL;
    uv_close((uv_handle_t *)&l->terminated, NULL);
    uv_close((uv_handle_t *)&l->interrupted, NULL);
    uv_close((uv_handle_t *)&l->hung_up, NULL);
    uv_close((uv_handle_t *)&l->status_timer, NULL);
    listen_status_close(l->status);
}

static void on_versions_closed(void *user)
{
    struct listener *l = user;
    l->versions = NULL;
    bridge_close(l->bridge, CLOSE_GRACE_MS, on_bridge_closed, l);
}

static void on_ledger_closed(void *user)
{
    struct listener *l = user;
    l->ledger = NULL;
    if (l->versions) {
        versions_close(l->versions, on_versions_closed, l);
    } else {
        on_versions_closed(l);
    }
}

static void on_source_stopped(void *user)
{
    struct listener *l = user;
    if (--l->still_stopping) {
        return;
    }
    if (l->stopping && l->ledger) {
        ledger_close(l->ledger, on_ledger_closed, l);
    } else if (l->stopping) {
        on_ledger_closed(l);
    } else {
        finish_reload(l);
    }
}

static void stop_source(struct listener *l, size_t i)
{
    struct source *s = l->sources[i];
    l->sources[i] = NULL;
    if (s) {
        l->still_stopping++;
        source_stop(s, l->stopping ? "stopped" : "reload", on_source_stopped, l);
    }
}

/* One more than there are sources, so that the count reaches 0 only after all were told to stop. */
static void stop_sources(struct listener *l)
{
    l->still_stopping++;
    for (size_t i = 0; i < l->count; i++) {
        stop_source(l, i);
    }
    on_source_stopped(l);
}

static void log_status(struct listener *l, const char *occasion)
{
    struct bridge_numbers n;
    bridge_count(l->bridge, &n);
    log_info(&context,
             "%s%llu posts and events published, %llu since the last line; spool %llu to %llu; %zu clients",
             occasion, (unsigned long long)n.published,
             (unsigned long long)(n.published - l->published_before), (unsigned long long)n.first,
             (unsigned long long)n.held, n.plain_clients + n.numbered_clients);
    l->published_before = n.published;
}

static void stop_all(struct listener *l)
{
    if (l->stopping) {
        return;
    }
    l->stopping = true;
    service_stopping(listen_status_service(l->status));
    log_status(l, "stopping; ");
    bridge_take_last(l->bridge);
    l->still_stopping++;         /* not to go on before the bridge is told */
    stop_sources(l);             /* those that a reload stops are stopping already */
    bridge_took_last(l->bridge); /* the ledger's file may need the rest of the reserve */
    on_source_stopped(l);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct listener *l = signal->data;
    log_notice(&context, "%s: stopping", number == SIGINT ? "SIGINT" : "SIGTERM");
    stop_all(l);
}

static void on_status_timer(uv_timer_t *timer)
{
    struct listener *l = timer->data;
    if (!l->stopping) {
        log_status(l, "");
    }
}

/* --- starting --- */

/* A source has left the configuration in the middle of an outage: this is where it ends. With no room for it,
 * the next start or reload tries again. */
static bool publish_last_gap(void *user, const char *name, const struct ledger_row *row)
{
    struct listener *l = user;
    struct buffer body = BUFFER(GAP_BODY_MAXIMUM);
    struct post post;
    struct err e;
    report_gap(&body, row);
    gap_event(&post, name, &body);
    bool taken = !buffer_failed(&body) && bridge_publish(l->bridge, &post, &e) == 0;
    buffer_free(&body);
    return taken;
}

static int publish_version(void *user, const struct post *event, struct err *e)
{
    return bridge_publish(((struct listener *)user)->bridge, event, e);
}

static void count_frames(void *user, uint64_t *appended, uint64_t *held)
{
    struct bridge_numbers n;
    bridge_count(((struct listener *)user)->bridge, &n);
    *appended = n.appended;
    *held = n.held;
}

static bool is_configured(void *user, const char *source)
{
    const struct listener *l = user;
    bool found = false;
    for (size_t i = 0; i < l->count && !found; i++) {
        found = strcmp(source_name(l->sources[i]), source) == 0;
    }
    return found;
}

/* The source of this name that a reload left open; NULL: none. It is taken out of the array. */
static struct source *take_open(struct source **open, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (open[i] && !strcmp(source_name(open[i]), name)) {
            struct source *s = open[i];
            open[i] = NULL;
            return s;
        }
    }
    return NULL;
}

/* `open`: sources that a reload left open. */
static int open_sources(struct listener *l, struct source **open, size_t open_count, struct err *e)
{
    size_t wanted = 0;
    for (const struct config_section *s = config_first(l->config, "source"); s; s = config_next(s)) {
        wanted++;
    }
    l->sources = calloc(wanted ? wanted : 1, sizeof(struct source *));
    if (!l->sources) {
        return err_set(e, ERR_RETRY, "out of memory");
    }
    const struct source_events events = {
        .post = on_post, .final = on_final, .in_force = on_in_force, .user = l};
    for (const struct config_section *s = config_first(l->config, "source"); s; s = config_next(s)) {
        const struct source_settings *settings = config_section_settings(s);
        struct source_options options = {
            .set_aside = l->set_aside, .ledger = l->ledger, .streamed_path = l->streamed_path};
        struct source *source = take_open(open, open_count, settings->name);
        source = source ? source : source_open(&l->loop, settings, &options, &events, e);
        if (!source) {
            return err_wrap(e, "[source %s]", config_section_name(s));
        }
        l->sources[l->count++] = source;
    }
    ledger_forget(l->ledger, publish_last_gap, l);
    versions_forget(l->versions, is_configured, l);
    return wanted ? 0 : err_set(e, ERR_FATAL, "%s has no [source NAME] section", config_path(l->config));
}

/* --- reloading: SIGHUP --- */

static void warn_of_restart(void *user, const char *section, const char *key)
{
    (void)user;
    log_warning(&context, "SIGHUP: %s %s has changed and needs a restart; the old value stays in force",
                section, key);
}

static const struct source_settings *settings_of(const struct config *c, const char *name)
{
    for (const struct config_section *s = config_first(c, "source"); s; s = config_next(s)) {
        if (!strcmp(config_section_name(s), name)) {
            return config_section_settings(s);
        }
    }
    return NULL;
}

/* Stops the sources that cannot go on with the next configuration; returns how many can. */
static size_t change_sources(struct listener *l)
{
    size_t stay = 0;
    for (size_t i = 0; i < l->count; i++) {
        const struct source_settings *next = settings_of(l->next, source_name(l->sources[i]));
        if (next && source_change(l->sources[i], next)) {
            stay++;
        } else {
            stop_source(l, i);
        }
    }
    return stay;
}

/* Once nothing that was received waits for room. False: something does, and `room` tries again. */
static bool begin_reload(struct listener *l)
{
    bool all = true;
    for (size_t i = 0; i < l->count; i++) {
        all &= source_drain(l->sources[i]);
    }
    if (!all) {
        return false;
    }
    l->reloading = true;
    l->still_stopping++; /* not to go on before all of them are told */
    size_t stay = change_sources(l);
    if (stay == l->count) {
        log_notice(&context, "SIGHUP: the configuration is right; no source has to begin anew");
    } else {
        log_notice(&context, "SIGHUP: the configuration is right; %zu of %zu sources begin anew with it",
                   l->count - stay, l->count);
    }
    on_source_stopped(l);
    return true;
}

static void on_hang_up(uv_signal_t *signal, int number)
{
    struct listener *l = signal->data;
    (void)number;
    if (l->stopping || l->reloading) {
        return;
    }
    struct service *service = listen_status_service(l->status);
    struct err e;
    service_reloading(service);
    keyword_watch_note(l->watch);
    struct config *next = kinds_reload(config_path(l->config), used_sections, &context, &e);
    if (!next) {
        log_error(&context, "SIGHUP: the configuration has mistakes; the old one stays in force");
        service_reloaded(service, NULL, e.text, false);
        return;
    }
    config_each_restart(l->first_config, next, warn_of_restart, NULL);
    config_free(l->next); /* of an earlier SIGHUP that still waits */
    l->next = next;
    if (!begin_reload(l)) {
        log_notice(&context,
                   "SIGHUP: the configuration is right; it waits until what the sources have received is in "
                   "the spool, which is full");
        service_reloaded(service, next, NULL, true);
    }
}

/* A watched keyword file has other contents (`watch = yes`): all is as if somebody had sent SIGHUP. */
static bool on_keywords_changed(void *user)
{
    struct listener *l = user;
    if (l->reloading) {
        return false;
    }
    if (!l->stopping) {
        log_notice(&context, "a keyword file has changed: reading it, as on SIGHUP");
        on_hang_up(&l->hung_up, SIGHUP);
    }
    return true;
}

static bool is_used(const struct listener *l, const struct config *c)
{
    for (const struct config_section *s = config_first(c, "source"); s; s = config_next(s)) {
        for (size_t i = 0; i < l->count; i++) {
            if (source_uses(l->sources[i], config_section_settings(s))) {
                return true;
            }
        }
    }
    return false;
}

static int keep_older(struct listener *l, struct config *c, struct err *e)
{
    struct older *o = c == l->first_config ? NULL : malloc(sizeof *o);
    if (o) {
        *o = (struct older){c, l->older};
        l->older = o;
    }
    return o || c == l->first_config ? 0 : err_set(e, ERR_RETRY, "out of memory");
}

/* Frees the configurations that no source needs any more. */
static void drop_older(struct listener *l)
{
    for (struct older **at = &l->older; *at;) {
        struct older *o = *at;
        if (is_used(l, o->config)) {
            at = &o->next;
        } else {
            *at = o->next;
            config_free(o->config);
            free(o);
        }
    }
}

/* After a failure: those that had stayed and are in no array any more. */
static void stop_left(struct listener *l, struct source **open, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (open[i]) {
            l->still_stopping++;
            source_stop(open[i], "stopped", on_source_stopped, l);
        }
    }
}

static size_t count_given_up(const struct listener *l)
{
    size_t count = 0;
    for (size_t i = 0; i < l->count; i++) {
        count += source_state(l->sources[i]) == SOURCE_STOPPED;
    }
    return count;
}

/* The old sources are gone: the new configuration's take their place. */
static void finish_reload(struct listener *l)
{
    bool started = l->started;
    struct source **open = l->sources;
    size_t open_count = l->count;
    struct config *before = l->config;
    l->sources = NULL;
    l->count = 0;
    l->started = l->reloading = false;
    l->config = l->next;
    l->next = NULL;
    struct err e;
    int failed = keep_older(l, before, &e) || open_sources(l, open, open_count, &e);
    stop_left(l, open, open_count);
    free(open);
    if (failed) {
        log_error(&context, "SIGHUP: %s", e.text);
        l->exit_status = err_exit_status(&e);
        stop_all(l);
        return;
    }
    l->given_up = count_given_up(l);
    drop_older(l);
    keyword_watch_set(l->watch, l->config);
    service_reloaded(listen_status_service(l->status), l->config, NULL, false);
    if (started) {
        start_sources(l);
    }
    on_room(l); /* what came meanwhile was not told to those that stayed */
}

static int open_versions(struct listener *l, struct err *e)
{
    const struct versions_spool spool = {publish_version, count_frames, l};
    char *path = NULL;
    if (asprintf(&path, "%s/keyword_versions", l->bridge_settings->spool_dir) < 0) {
        return err_set(e, ERR_RETRY, "out of memory");
    }
    l->versions = versions_open(&l->loop, path, &spool, e);
    free(path);
    return l->versions ? 0 : -1;
}

static int open_bridge(struct listener *l, struct err *e)
{
    const struct bridge_events events = {.first_client = on_first_client, .room = on_room, .user = l};
    l->bridge = bridge_open(&l->loop, l->bridge_settings, &events, e);
    if (!l->bridge) {
        return neighbours_blame(l->config, e);
    }
    if (asprintf(&l->streamed_path, "%s/streamed", l->bridge_settings->spool_dir) < 0) {
        l->streamed_path = NULL;
        return err_set(e, ERR_RETRY, "out of memory");
    }
    l->set_aside = set_aside_new(l->bridge_settings->spool_dir, SET_ASIDE_FILE_LIMIT);
    char *path = NULL;
    if (asprintf(&path, "%s/sources", l->bridge_settings->spool_dir) < 0) {
        return err_set(e, ERR_RETRY, "out of memory");
    }
    l->ledger = ledger_open(&l->loop, path, e);
    free(path);
    if (!l->ledger || open_versions(l, e)) {
        return -1;
    }
    return l->set_aside ? 0 : err_set(e, ERR_RETRY, "out of memory");
}

static void look_at(void *user, struct listen_view *view)
{
    const struct listener *l = user;
    *view = (struct listen_view){.sources = l->sources,
                                 .count = l->sources ? l->count : 0,
                                 .bridge = l->bridge,
                                 .settings = l->bridge_settings,
                                 .started = l->started};
}

static int open_watch(struct listener *l, struct err *e)
{
    l->watch = keyword_watch_open(&l->loop, on_keywords_changed, l, e);
    if (l->watch) {
        keyword_watch_set(l->watch, l->config);
    }
    return l->watch ? 0 : -1;
}

static void watch_signals(struct listener *l)
{
    uv_signal_init(&l->loop, &l->terminated);
    uv_signal_init(&l->loop, &l->interrupted);
    uv_signal_init(&l->loop, &l->hung_up);
    uv_timer_init(&l->loop, &l->status_timer);
    l->terminated.data = l->interrupted.data = l->hung_up.data = l->status_timer.data = l;
    uv_signal_start(&l->terminated, on_signal, SIGTERM);
    uv_signal_start(&l->interrupted, on_signal, SIGINT);
    uv_signal_start(&l->hung_up, on_hang_up, SIGHUP);
    const uint64_t every_ms = (uint64_t)clock_timer_ms(STATUS_EVERY_MS);
    uv_timer_start(&l->status_timer, on_status_timer, every_ms, every_ms);
}

static void release(struct listener *l)
{
    free(l->sources);
    l->count = 0; /* all are gone, and so nothing older is in use */
    drop_older(l);
    if (l->config != l->first_config) {
        config_free(l->config);
    }
    config_free(l->next);
    set_aside_free(l->set_aside);
    free(l->streamed_path);
}

/* Returns the exit status. */
static int listen_with(struct config *config)
{
    struct listener l = {
        .config = config, .first_config = config, .bridge_settings = config_settings(config, "bridge")};
    struct err e;
    if (uv_loop_init(&l.loop)) {
        log_error(&context, "cannot make an event loop");
        return 1;
    }
    l.status = listen_status_open(&l.loop, config, look_at, &l);
    if (!l.status) {
        log_error(&context, "out of memory");
        uv_loop_close(&l.loop);
        return 1;
    }
    watch_signals(&l);
    if (open_bridge(&l, &e) || open_sources(&l, NULL, 0, &e) || open_watch(&l, &e)) {
        log_error(&context, "%s", e.text);
        l.exit_status = err_exit_status(&e);
        if (l.bridge) {
            stop_all(&l);
        } else {
            on_bridge_closed(&l);
        }
    } else {
        if (l.bridge_settings->start == BRIDGE_START_NOW) {
            start_sources(&l);
        } else {
            log_info(&context, "waiting for the first client before any network stream is opened");
        }
        service_ready(listen_status_service(l.status));
    }
    uv_run(&l.loop, UV_RUN_DEFAULT);
    uv_loop_close(&l.loop);
    listen_status_free(l.status);
    release(&l);
    return l.exit_status;
}

static int listen_run(int argc, char **argv)
{
    const char *path = kinds_path(&listen_command, argc, argv);
    struct config *config = path ? kinds_load(path, used_sections) : NULL;
    if (!config) {
        return 2;
    }
    if (!config_first(config, "source")) {
        log_error(&context, "%s has no [source NAME] section: nothing to listen to", path);
        config_free(config);
        return 2;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int status = listen_with(config);
    curl_global_cleanup();
    config_free(config);
    return status;
}

const struct command listen_command = {
    .name = "listen",
    .usage = "listen [-c FILE]",
    .help = "Connects to the networks' streams, keeps every post in the spool and serves it on the local "
            "bridge.\n"
            "Reconnects by itself; stops cleanly on SIGTERM.\n\n"
            "    -c FILE   the configuration (default /etc/roost/roost.conf)\n",
    .run = listen_run,
};
