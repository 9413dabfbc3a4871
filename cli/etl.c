/* cli/etl.c - `roost etl`: opens the sinks, runs the job until a signal.
 *
 * The main thread runs the job; a thread of its own takes the signals: SIGTERM and SIGINT stop the job,
 * SIGHUP says what a restart would change.
 */
#include "base/log.h"
#include "bridge/settings.h"
#include "cli/command.h"
#include "cli/kinds.h"
#include "etl/job.h"
#include "etl/settings.h"
#include "sinks/sinks.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

enum { SINKS_MAXIMUM = 32 };

static const struct log_context context = {"etl", NULL};
static const char *const used_sections[] = {"bridge", "etl", "sink", NULL};

struct opened {
    struct loader_sink sinks[SINKS_MAXIMUM];
    size_t count;
};

static int open_sinks(const struct config *config, struct opened *o, struct err *e)
{
    for (const struct config_section *s = config_first(config, "sink"); s; s = config_next(s)) {
        const struct sink_type *type = sink_type_find(config_section_type(s));
        if (o->count == SINKS_MAXIMUM || !type) {
            return err_set(e, ERR_FATAL, "[sink %s]: more than %d sinks", config_section_name(s),
                           SINKS_MAXIMUM);
        }
        struct sink *sink = type->open(config_section_settings(s), config_section_name(s), e);
        if (!sink) {
            return err_wrap(e, "[sink %s]", config_section_name(s));
        }
        o->sinks[o->count++] = (struct loader_sink){type, sink, config_section_name(s)};
    }
    return o->count ? 0 : err_set(e, ERR_FATAL, "%s has no [sink NAME] section", config_path(config));
}

static void close_sinks(struct opened *o)
{
    while (o->count) {
        struct loader_sink *s = &o->sinks[--o->count];
        s->type->close(s->sink);
    }
}

/* The thread that gets all signals: they are blocked everywhere else, so that no handler runs inside other
 * work. */
struct signals {
    pthread_t thread;
    sigset_t handled;
    struct job *job;
    const struct config *config;
    atomic_bool ending; /* with SIGUSR2: the thread's end; that signal alone, from anybody, means nothing */
};

static void warn_of_restart(void *user, const char *section, const char *key)
{
    (void)user;
    log_warning(&context, "SIGHUP: %s %s has changed and needs a restart; the old value stays in force",
                section, key);
}

/* Everything roost etl reads is fixed at its start, so a reload can only say what a restart would change. */
static void reload(const struct signals *s)
{
    struct config *next = kinds_reload(config_path(s->config), used_sections, &context);
    if (!next) {
        log_error(&context, "SIGHUP: the configuration has mistakes; the old one stays in force");
        return;
    }
    log_notice(&context, "SIGHUP: the configuration is right");
    config_each_restart(s->config, next, warn_of_restart, NULL);
    config_free(next);
}

static void *wait_for_signals(void *argument)
{
    struct signals *s = argument;
    for (int number; !atomic_load(&s->ending) && sigwait(&s->handled, &number) == 0;) {
        if (number == SIGHUP) {
            reload(s);
        }
        if (number == SIGHUP || number == SIGUSR2) {
            continue;
        }
        log_notice(&context, "%s: stopping", number == SIGINT ? "SIGINT" : "SIGTERM");
        sd_notify(0, "STOPPING=1");
        job_stop(s->job);
    }
    return NULL;
}

/* Before any other thread is made, which inherits what is blocked. */
static void block_signals(struct signals *s)
{
    const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2};
    sigemptyset(&s->handled);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        sigaddset(&s->handled, numbers[i]);
    }
    pthread_sigmask(SIG_BLOCK, &s->handled, NULL);
}

static int run_job(const struct config *config, struct opened *o, struct signals *signals, struct err *e)
{
    const struct etl_settings *etl = config_settings(config, "etl");
    const struct bridge_settings *bridge = config_settings(config, "bridge");
    char *token_file = NULL;
    if (asprintf(&token_file, "%s/token", bridge->spool_dir) < 0) {
        return err_set(e, ERR_RETRY, "out of memory");
    }
    /* Who moves the bridge of this very file need not say it twice. */
    bool own = etl->bridge.place.line == 0;
    const char *const own_bridge[] = {bridge->listen};
    struct job_settings settings = {.bridges = own ? own_bridge : (const char *const *)etl->bridge.items,
                                    .bridge_count = own ? 1 : etl->bridge.count,
                                    .consumer = etl->consumer,
                                    .token = etl->bridge_token,
                                    .token_file = token_file,
                                    .batch_interval_ms = etl->batch_interval,
                                    .workers = (int)etl->workers};
    struct job *job = job_open(&settings, o->sinks, o->count, e);
    int status = -1;
    if (job) {
        signals->job = job;
        signals->config = config;
        if (pthread_create(&signals->thread, NULL, wait_for_signals, signals)) {
            job_free(job);
            free(token_file);
            return err_set(e, ERR_RETRY, "cannot make a thread");
        }
        sd_notify(0, "READY=1");
        status = job_run(job);
        atomic_store(&signals->ending, true);
        pthread_kill(signals->thread, SIGUSR2);
        pthread_join(signals->thread, NULL);
        struct job_numbers n;
        job_count(job, &n);
        log_info(&context, "loaded %llu posts and %llu events in %llu batches, %llu rejected",
                 (unsigned long long)n.posts, (unsigned long long)n.events, (unsigned long long)n.batches,
                 (unsigned long long)n.rejects);
        job_free(job);
    }
    free(token_file);
    return status;
}

static int etl_run(int argc, char **argv)
{
    const char *path = kinds_path(&etl_command, argc, argv);
    struct config *config = path ? kinds_load(path, used_sections) : NULL;
    if (!config) {
        return 2;
    }
    struct opened opened = {.count = 0};
    struct signals signals = {.job = NULL};
    struct err e;
    block_signals(&signals);
    int status = open_sinks(config, &opened, &e) ? -1 : run_job(config, &opened, &signals, &e);
    if (status < 0) {
        log_error(&context, "%s", e.text);
        status = err_exit_status(&e);
    }
    close_sinks(&opened);
    config_free(config);
    return status;
}

const struct command etl_command = {
    .name = "etl",
    .usage = "etl [-c FILE]",
    .help =
        "Takes posts from the bridge in batches, cleans and enriches them, and loads each batch into every "
        "sink\n"
        "in one transaction with its position. Waits for bridge and database; stops cleanly on SIGTERM.\n\n"
        "    -c FILE   the configuration (default /etc/roost/roost.conf)\n",
    .run = etl_run,
};
