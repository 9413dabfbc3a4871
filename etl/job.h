/* etl/job.h - the ETL job: frames of the bridges, split, lowercased, cleaned, enriched and loaded into the
 * sinks.
 *
 * The promise: every frame that a spool holds reaches every sink's tables once. A batch is acknowledged to
 * its bridge when every sink has it; the job starts behind what the slowest sink has; nothing is loaded after
 * a batch that failed.
 */
#ifndef ROOST_ETL_JOB_H
#define ROOST_ETL_JOB_H

#include "base/err.h"
#include "etl/loader.h"
#include "etl/receiver.h"

#include <stddef.h>
#include <stdint.h>

struct job;

struct job_settings {           /* everything outlives the job */
    const char *const *bridges; /* addresses; one receiver each */
    size_t bridge_count;
    const char *consumer;
    const char *token;      /* as in struct receiver_settings */
    const char *token_file; /* the bridge's spool_dir/token */
    int64_t batch_interval_ms;
    int workers;
    /* A bridge or a sink came or went; on any thread. NULL: of no interest. */
    void (*changed)(void *user);
    void *user;
};

/* Makes the job; the sinks stay the caller's and are closed after job_free. NULL: ERR_FATAL for settings,
 * ERR_RETRY for memory or threads. */
struct job *job_open(const struct job_settings *settings, const struct loader_sink *sinks, size_t count,
                     struct err *e);

/* Runs until job_stop or an error, and logs why it ended. Returns the exit status: 0 stopped, 1 failed (the
 * position was moved by another consumer, memory), 2 a restart does not help (schema, rights, token). Waits
 * for bridges and sinks that are away. Once. */
int job_run(struct job *job);

/* Ends job_run: nothing more is read, the batch in hand is loaded and acknowledged; with a sink away it is
 * given up (the spool has it). At most about 9 s. Any thread, signal handlers too; also before job_run. */
void job_stop(struct job *job);

struct job_numbers {
    uint64_t batches;                /* loaded, with at least one frame */
    uint64_t posts, events, rejects; /* in loaded batches */
    uint64_t filtered;
    int64_t last_batch_time; /* ms; 0: none loaded yet */
    int64_t lag_ms;          /* of the last loaded batch: from its newest post's received_at to its commit */
    uint64_t waiting_frames, waiting_bytes; /* read from the bridge and in no batch yet */
    int64_t last_loaded_at;                 /* wall time of the last commit; CLOCK_NONE: none yet */
    struct job_batch {                      /* the last one */
        uint64_t received, posts, events;
        uint64_t loaded, duplicates; /* of the posts; both 0 with sinks that do not say */
        uint64_t rejected;
    } last;
    struct job_day { /* since `from`: midnight UTC, or the job's start where that is later */
        int64_t from;
        uint64_t posts, rejects, gaps;
    } today;
    double posts_per_second; /* loaded, over the last minute */
    uint64_t posts_last_hour;
};

/* Any thread, between job_open and job_free. */
void job_count(struct job *job, struct job_numbers *numbers);

/* How the index-th bridge, or sink, is; false: there are no more. Any thread, as job_count. */
bool job_bridge(struct job *job, size_t index, struct receiver_condition *c);
bool job_sink(struct job *job, size_t index, struct loader_condition *c);

void job_free(struct job *job); /* after job_run; NULL does nothing */

#endif
