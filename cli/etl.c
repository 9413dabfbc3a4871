/* cli/etl.c - `roost etl`: opens the sinks, runs the job until a signal.
 *
 * The main thread runs the job; a thread of its own looks after the service: it takes the signals (SIGTERM
 * and SIGINT stop the job, SIGHUP says what a restart would change), feeds the watchdog, answers roost
 * status.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/watchdog.h"
#include "bridge/settings.h"
#include "cli/command.h"
#include "cli/etl_status.h"
#include "cli/kinds.h"
#include "cli/service.h"
#include "etl/job.h"
#include "etl/settings.h"
#include "sinks/sinks.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { SINKS_MAXIMUM = 32 };

static const struct log_context context = {"etl", NULL};
static const char *const used_sections[] = {"bridge", "etl", "sink", "service", NULL};

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

/* The thread that looks after the service: it takes the signals, which are blocked everywhere else, so that
 * no handler runs inside other work; judges the other threads; answers roost status. */
struct caretaker {
    pthread_t thread;
    sigset_t handled;
    int signals; /* signalfd */
    int wake;    /* eventfd: something that matters for being ready has changed, or the end */
    struct job *job;
    struct service *service;
    const struct config *config;
    atomic_bool ready, ending;
};

static void warn_of_restart(void *user, const char *section, const char *key)
{
    (void)user;
    log_warning(&context, "SIGHUP: %s %s has changed and needs a restart; the old value stays in force",
                section, key);
}

/* All but the log's level is fixed at the start, so a reload can only say what a restart would change. */
static void reload(const struct caretaker *c)
{
    struct err e;
    service_reloading(c->service);
    struct config *next = kinds_reload(config_path(c->config), used_sections, &context, &e);
    if (!next) {
        log_error(&context, "SIGHUP: the configuration has mistakes; the old one stays in force");
        service_reloaded(c->service, NULL, e.text, false);
        return;
    }
    log_notice(&context, "SIGHUP: the configuration is right");
    config_each_restart(c->config, next, warn_of_restart, NULL);
    service_reloaded(c->service, next, NULL, false);
    config_free(next);
}

static void take_signal(struct caretaker *c)
{
    struct signalfd_siginfo signal;
    if (read(c->signals, &signal, sizeof signal) != sizeof signal) {
        return;
    }
    int number = (int)signal.ssi_signo;
    if (number == SIGHUP) {
        reload(c);
    } else if (number != SIGUSR2) {
        log_notice(&context, "%s: stopping", number == SIGINT ? "SIGINT" : "SIGTERM");
        service_stopping(c->service);
        job_stop(c->job);
    }
}

static void wake(struct caretaker *c)
{
    const uint64_t one = 1;
    ssize_t ignored = write(c->wake, &one, sizeof one);
    (void)ignored; /* full: it is awake already */
}

/* After it is ready, changes are seen at the next look. */
static void on_changed(void *user)
{
    struct caretaker *c = user;
    if (!atomic_load(&c->ready)) {
        wake(c);
    }
}

static void look_if_ready(struct caretaker *c)
{
    uint64_t ignored;
    ssize_t got = read(c->wake, &ignored, sizeof ignored);
    (void)got;
    if (!atomic_load(&c->ready) && etl_status_ready(c->job)) {
        atomic_store(&c->ready, true);
        service_ready(c->service);
    }
}

static void *take_care(void *argument)
{
    struct caretaker *c = argument;
    int64_t next_us = 0;
    while (!atomic_load(&c->ending)) {
        int64_t left_us = next_us - clock_monotonic_us();
        if (left_us <= 0) {
            service_look(c->service);
            look_if_ready(c);
            left_us = (int64_t)service_look_ms(c->service) * 1000;
            next_us = clock_monotonic_us() + left_us;
        }
        struct pollfd waits[] = {{.fd = c->signals, .events = POLLIN},
                                 {.fd = c->wake, .events = POLLIN},
                                 {.fd = service_descriptor(c->service), .events = POLLIN}};
        if (poll(waits, 3, (int)(left_us / 1000) + 1) <= 0) {
            continue;
        }
        if (waits[0].revents) {
            take_signal(c);
        }
        if (waits[1].revents) {
            look_if_ready(c);
        }
        if (waits[2].revents) {
            service_answer(c->service);
        }
    }
    watchdog_leave();
    return NULL;
}

/* Before any other thread is made, which inherits what is blocked. SIGUSR2 means nothing, but it must not end
 * the process. */
static void block_signals(struct caretaker *c)
{
    const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2};
    sigemptyset(&c->handled);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        sigaddset(&c->handled, numbers[i]);
    }
    pthread_sigmask(SIG_BLOCK, &c->handled, NULL);
}

static void tell(void *user, struct buffer *json)
{
    const struct caretaker *c = user;
    const struct etl_settings *etl = config_settings(c->config, "etl");
    service_add_text(json, "consumer", etl->consumer);
    buffer_print(json, ",\"batch_interval_seconds\":%.2f", (double)etl->batch_interval / 1000.0);
    etl_status_tell(c->job, json);
}

static void line(void *user, char *text, size_t size)
{
    etl_status_line(((struct caretaker *)user)->job, text, size);
}

static int caretaker_open(struct caretaker *c, const struct config *config, struct err *e)
{
    const struct service_offer offer = {"etl", tell, line, c};
    c->config = config;
    c->signals = signalfd(-1, &c->handled, SFD_CLOEXEC | SFD_NONBLOCK);
    c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->service = service_open(config, &offer);
    return c->signals < 0 || c->wake < 0 || !c->service
               ? err_set(e, ERR_RETRY, "cannot make what looks after the service: %s", strerror(errno))
               : 0;
}

static void caretaker_close(struct caretaker *c)
{
    service_close(c->service);
    if (c->signals >= 0) {
        close(c->signals);
    }
    if (c->wake >= 0) {
        close(c->wake);
    }
}

/* Runs the job with the caretaker beside it; the exit status, or -1. */
static int run_watched(struct job *job, struct caretaker *c, struct err *e)
{
    c->job = job;
    if (pthread_create(&c->thread, NULL, take_care, c)) {
        return err_set(e, ERR_RETRY, "cannot make a thread");
    }
    int status = job_run(job);
    atomic_store(&c->ending, true);
    wake(c);
    pthread_join(c->thread, NULL);
    return status;
}

static int run_job(const struct config *config, struct opened *o, struct caretaker *c, struct err *e)
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
                                    .workers = (int)etl->workers,
                                    .changed = on_changed,
                                    .user = c};
    struct job *job = job_open(&settings, o->sinks, o->count, e);
    int status = -1;
    if (job) {
        status = run_watched(job, c, e);
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
    struct caretaker caretaker = {.signals = -1, .wake = -1};
    struct err e;
    block_signals(&caretaker);
    int status = caretaker_open(&caretaker, config, &e) || open_sinks(config, &opened, &e)
                     ? -1
                     : run_job(config, &opened, &caretaker, &e);
    if (status < 0) {
        log_error(&context, "%s", e.text);
        status = err_exit_status(&e);
    }
    close_sinks(&opened);
    caretaker_close(&caretaker);
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
