#include "etl/job.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rate.h"
#include "etl/dstream.h"
#include "etl/load_build.h"
#include "etl/receiver.h"
#include "etl/sources.h"
#include "etl/steps.h"
#include "etl/thread.h"
#include "text/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    BLOCK_INTERVAL_MS = 200, /* upstream's default */
    BLOCK_RECORDS = 1024,    /* a task's size in a flood: some milliseconds of work */
    BLOCK_BYTES = 2 * 1024 * 1024,
    BATCH_RECORDS = 50000, /* at most in one batch, and as many waiting for the next */
    BATCH_BYTES = 32 * 1024 * 1024,
    LOAD_MAXIMUM = 256 * 1024 * 1024, /* of the lists of a load */
    MOST_PERIODS_BEHIND =
        10000, /* empty batches that are made up for, after a sleep or a jump of the clock */
    DAY_MS = 86400000,
    STOP_GRACE_MS = 8000 /* of the 10 s that the design gives to a stop */
};

static const struct log_context log_job = {"etl", NULL};

struct job {
    struct job_settings settings;
    int wake; /* eventfd: stop asked for, or failed */
    struct stream_engine *engine;
    struct stream_context *context;
    struct loader *loader;
    struct receiver **receivers;
    struct arena *load_memory;

    pthread_mutex_t lock; /* guards all below */
    bool failed;
    struct err error; /* the first */
    struct job_numbers numbers;
    struct rate rate;
};

static void wake(const struct job *job)
{
    const uint64_t one = 1;
    ssize_t ignored = write(job->wake, &one, sizeof one);
    (void)ignored; /* full: it is awake already */
}

void job_stop(struct job *job)
{
    int kept = errno;
    wake(job);
    errno = kept;
}

/* The first error ends the job. What fails because the service stops is none. */
static void job_fail(void *user, const struct err *why)
{
    struct job *job = user;
    if (loader_stopping(job->loader)) {
        return;
    }
    pthread_mutex_lock(&job->lock);
    if (!job->failed) {
        job->failed = true;
        job->error = *why;
    }
    pthread_mutex_unlock(&job->lock);
    wake(job);
}

/* ---- load ---- */

static void acknowledge(struct job *job, const struct load *load)
{
    for (size_t i = 0; i < load->part_count; i++) {
        for (size_t r = 0; r < job->settings.bridge_count; r++) {
            receiver_acknowledge(job->receivers[r], load->parts[i].spool, load->parts[i].last_sequence);
        }
    }
}

static void tell_changed(void *user)
{
    const struct job *job = user;
    if (job->settings.changed) {
        job->settings.changed(job->settings.user);
    }
}

static int64_t midnight(int64_t wall_ms)
{
    return wall_ms - ((wall_ms % DAY_MS) + DAY_MS) % DAY_MS;
}

static uint64_t count_gaps(const struct load_part *part)
{
    uint64_t gaps = 0;
    for (size_t i = 0; i < part->event_count; i++) {
        gaps += part->events[i].post->kind == POST_GAP;
    }
    return gaps;
}

/* The lock is held. */
static void turn_day(struct job_day *today, int64_t now)
{
    if (midnight(now) > today->from) {
        *today = (struct job_day){.from = midnight(now)};
    }
}

/* The lock is held. */
static void count_last(struct job *job, const struct load *load, const struct load_outcome *outcome,
                       int64_t now)
{
    struct job_numbers *n = &job->numbers;
    struct job_batch last = {.loaded = outcome->loaded, .duplicates = outcome->duplicates};
    turn_day(&n->today, now);
    for (size_t i = 0; i < load->part_count; i++) {
        const struct load_part *part = &load->parts[i];
        last.received += part->received;
        last.posts += part->post_count;
        last.events += part->event_count;
        last.rejected += part->reject_count;
        n->today.gaps += count_gaps(part);
    }
    last.rejected = outcome->known ? outcome->rejected : last.rejected;
    n->today.posts += last.posts;
    n->today.rejects += last.rejected;
    n->last = last;
    n->last_loaded_at = now;
    rate_add(&job->rate, clock_steady_ms(), (uint32_t)last.posts);
}

static void count_load(struct job *job, const struct load *load)
{
    int64_t newest = CLOCK_NONE, now = clock_wall_ms();
    struct load_outcome outcome;
    loader_outcome(job->loader, &outcome);
    pthread_mutex_lock(&job->lock);
    struct job_numbers *n = &job->numbers;
    count_last(job, load, &outcome, now);
    n->batches++;
    n->last_batch_time = load->batch_time;
    for (size_t i = 0; i < load->part_count; i++) {
        const struct load_part *part = &load->parts[i];
        n->posts += part->post_count;
        n->events += part->event_count;
        n->rejects += part->reject_count;
        n->filtered += part->filtered;
        for (size_t k = 0; k < part->post_count; k++) {
            int64_t at = part->posts[k].post->received_at;
            newest = at > newest ? at : newest;
        }
    }
    if (newest != CLOCK_NONE) {
        n->lag_ms = now > newest ? now - newest : 0;
    }
    pthread_mutex_unlock(&job->lock);
}

static void say_loaded(struct job *job, int64_t batch_time)
{
    pthread_mutex_lock(&job->lock);
    struct job_batch last = job->numbers.last;
    pthread_mutex_unlock(&job->lock);
    log_set_batch(batch_time);
    log_debug(&log_job, "a batch is loaded: %llu frames, %llu posts, %llu events, %llu rejected",
              (unsigned long long)last.received, (unsigned long long)last.posts,
              (unsigned long long)last.events, (unsigned long long)last.rejected);
    log_set_batch(CLOCK_NONE);
}

/* foreachBatch: gives the batch to every sink, then tells the bridges. A batch without frames writes nothing.
 */
static int load(const struct batch *batch, void *user, struct err *e)
{
    struct job *job = user;
    struct load whole;
    arena_reset(job->load_memory);
    if (load_build(batch, job->settings.consumer, job->load_memory, &whole, e) != 0) {
        return -1;
    }
    if (whole.part_count == 0) {
        return 0;
    }
    if (loader_load(job->loader, &whole, e) != 0) {
        return -1;
    }
    acknowledge(job, &whole);
    count_load(job, &whole);
    say_loaded(job, whole.batch_time);
    return 0;
}

/* ---- the job itself ---- */

static struct dstream *frames_of_bridges(struct job *job, struct err *e)
{
    size_t count = job->settings.bridge_count;
    const struct block_limits limits = {.interval_ms = BLOCK_INTERVAL_MS,
                                        .waiting_records = BATCH_RECORDS / count + 1,
                                        .waiting_bytes = BATCH_BYTES / count + 1,
                                        .block_records = BLOCK_RECORDS,
                                        .block_bytes = BLOCK_BYTES};
    struct stream_receiver_settings *list = calloc(count, sizeof *list);
    if (!list) {
        err_set(e, ERR_RETRY, "out of memory for %zu receivers", count);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        list[i] = receiver_stream(job->receivers[i]);
    }
    struct dstream *frames = stream_receive(job->context, list, count, &limits, e);
    free(list);
    return frames;
}

static int define_stream(struct job *job, struct err *e)
{
    struct dstream *frames = frames_of_bridges(job, e);
    struct dstream *posts = stream_flat_map(frames, step_split, NULL, e);
    struct dstream *lowercased = stream_map(posts, step_lowercase, NULL, e);
    struct dstream *cleaned = stream_map(lowercased, step_clean, NULL, e);
    struct dstream *enriched = stream_map(cleaned, step_enrich, NULL, e);
    return stream_foreach_batch(enriched, load, job, e);
}

/* ---- making and ending ---- */

static void *scratch_new(void *user, struct err *e)
{
    (void)user;
    return text_worker_new(e);
}

static void scratch_free(void *scratch)
{
    text_worker_free(scratch);
}

static int ask_sinks(void *user, struct view spool, uint64_t *sequence, struct err *e)
{
    struct job *job = user;
    return loader_position(job->loader, spool, sequence, e);
}

static int ask_latest(void *user, struct view spool, struct sink_latest *latest, struct err *e)
{
    struct job *job = user;
    return loader_latest(job->loader, spool, latest, e);
}

static int make_receivers(struct job *job, struct err *e)
{
    const struct job_settings *s = &job->settings;
    job->receivers = calloc(s->bridge_count ? s->bridge_count : 1, sizeof(struct receiver *));
    if (!job->receivers) {
        return err_set(e, ERR_RETRY, "out of memory for %zu receivers", s->bridge_count);
    }
    for (size_t i = 0; i < s->bridge_count; i++) {
        const struct receiver_settings one = {.address = s->bridges[i],
                                              .consumer = s->consumer,
                                              .token = s->token,
                                              .token_file = s->token_file,
                                              .position = ask_sinks,
                                              /* Of several bridges none is known to have had that spool. */
                                              .latest = s->bridge_count == 1 ? ask_latest : NULL,
                                              .failed = job_fail,
                                              .changed = tell_changed,
                                              .user = job};
        job->receivers[i] = receiver_new(&one, e);
        if (!job->receivers[i]) {
            return -1;
        }
    }
    return 0;
}

static int make_stream(struct job *job, struct err *e)
{
    const struct stream_engine_settings engine = {
        .workers = job->settings.workers, .scratch_new = scratch_new, .scratch_free = scratch_free};
    const struct stream_settings stream = {.batch_interval_ms = job->settings.batch_interval_ms,
                                           .ahead = 1,
                                           .stop_at_error = true,
                                           .early_when_full = true,
                                           .most_periods_behind = MOST_PERIODS_BEHIND,
                                           .failed = job_fail,
                                           .user = job};
    job->engine = stream_engine_new(&engine, e);
    if (!job->engine) {
        return -1;
    }
    job->context = stream_context_new(job->engine, &stream, e);
    return job->context ? define_stream(job, e) : -1;
}

struct job *job_open(const struct job_settings *settings, const struct loader_sink *sinks, size_t count,
                     struct err *e)
{
    if (settings->bridge_count == 0) {
        err_set(e, ERR_FATAL, "there is no bridge to read from: [etl] needs an address as `bridge`");
        return NULL;
    }
    struct job *job = calloc(1, sizeof *job);
    if (!job) {
        err_set(e, ERR_RETRY, "out of memory for the job");
        return NULL;
    }
    job->settings = *settings;
    pthread_mutex_init(&job->lock, NULL);
    job->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (job->wake < 0) {
        err_set(e, ERR_RETRY, "cannot make an eventfd: %s", strerror(errno));
        goto fail;
    }
    job->load_memory = arena_new(LOAD_MAXIMUM);
    if (!job->load_memory) {
        err_set(e, ERR_RETRY, "out of memory for the job");
        goto fail;
    }
    job->numbers.last_loaded_at = CLOCK_NONE;
    job->numbers.today.from = clock_wall_ms();
    job->loader = loader_new(settings->consumer, sinks, count, e);
    if (job->loader) {
        loader_watch(job->loader, tell_changed, job);
    }
    if (!job->loader || make_receivers(job, e) != 0 || make_stream(job, e) != 0) {
        goto fail;
    }
    return job;
fail:
    job_free(job);
    return NULL;
}

static void wait_for_wake(const struct job *job)
{
    struct pollfd poll_for = {.fd = job->wake, .events = POLLIN};
    while (poll(&poll_for, 1, -1) < 0 && errno == EINTR) {
    }
}

/* Looks at the sinks at once, whether or not a bridge is there: a database without roost's tables is said
 * now, not when the first bridge answers. No position is asked for: that would keep this consumer's etl which
 * does have the bridge from its work. */
static void *look_at_sinks(void *user)
{
    struct job *job = user;
    struct err why;
    if (loader_look(job->loader, &why) != 0 && why.kind == ERR_FATAL) {
        job_fail(job, &why);
    }
    return NULL;
}

int job_run(struct job *job)
{
    struct err error;
    pthread_t first_look;
    if (stream_start(job->context, &error) != 0) {
        log_error(&log_job, "cannot start: %s", error.text);
        return err_exit_status(&error);
    }
    log_info(&log_job, "started: consumer %s, a batch every %lld ms", job->settings.consumer,
             (long long)job->settings.batch_interval_ms);
    bool looking = thread_start(&first_look, look_at_sinks, job, "first look", &error) == 0;
    wait_for_wake(job);
    loader_stop(job->loader, STOP_GRACE_MS);
    if (looking) {
        pthread_join(first_look, NULL);
    }
    stream_stop(job->context, false);
    pthread_mutex_lock(&job->lock);
    bool failed = job->failed;
    error = job->error;
    uint64_t posts = job->numbers.posts;
    pthread_mutex_unlock(&job->lock);
    if (failed) {
        log_error(&log_job, "%s", error.text);
        return err_exit_status(&error);
    }
    log_info(&log_job, "stopped after %llu posts", (unsigned long long)posts);
    return 0;
}

void job_count(struct job *job, struct job_numbers *numbers)
{
    struct stream_numbers stream;
    stream_count(job->context, &stream);
    pthread_mutex_lock(&job->lock);
    int64_t now = clock_steady_ms();
    turn_day(&job->numbers.today, clock_wall_ms());
    *numbers = job->numbers;
    numbers->posts_per_second = rate_per_second(&job->rate, now);
    numbers->posts_last_hour = rate_last_hour(&job->rate, now);
    pthread_mutex_unlock(&job->lock);
    numbers->waiting_frames = stream.waiting_records;
    numbers->waiting_bytes = stream.waiting_bytes;
}

bool job_bridge(struct job *job, size_t index, struct receiver_condition *c)
{
    if (index >= job->settings.bridge_count) {
        return false;
    }
    receiver_tell(job->receivers[index], c);
    return true;
}

bool job_sink(struct job *job, size_t index, struct loader_condition *c)
{
    return loader_condition(job->loader, index, c);
}

void job_free(struct job *job)
{
    if (!job) {
        return;
    }
    stream_context_free(job->context);
    stream_engine_free(job->engine);
    loader_free(job->loader);
    for (size_t i = 0; job->receivers && i < job->settings.bridge_count; i++) {
        receiver_free(job->receivers[i]);
    }
    free((void *)job->receivers);
    arena_free(job->load_memory);
    if (job->wake >= 0) {
        close(job->wake);
    }
    pthread_mutex_destroy(&job->lock);
    free(job);
}
