/* etl/dstream.h - DStreams: a stream of batches, described first and computed batch by batch.
 *
 * A program makes an engine (worker threads) and a context (a batch interval), defines input streams,
 * transformations and output operations, starts the context and waits. A DStream is only a small description:
 * operation, parents, slide, function, user data. stream_start checks the graph of them and compiles a chain
 * from source to output for each output operation; nothing is computed unless an output operation asks for
 * it.
 *
 * A batch. At each multiple of the batch interval the driver thread takes what each source has, in
 * partitions. Workers run one partition each through the whole chain: consecutive narrow operations (map,
 * filter, flatMap) are fused, a record flows through all of them before the next one begins, nothing is
 * stored in between. What comes out lies in an arena per partition, and an output function on the output
 * thread gets it as a struct batch. When it returns, arenas and source blocks are freed.
 *
 * Records are opaque {pointer, size} values. Those of a source lie in the source's block and are READ ONLY.
 * Those that a function of the chain made lie in the partition's arena and belong to the chain: a later
 * function may change them in place and hand on the same pointer, for each output operation computes its own
 * chain. (Where a result will be stored for several readers, by windows or persisting, it will be read only
 * behind that point.) Nothing in a record may need freeing.
 *
 * Semantics, names of operations and wordings of errors follow Spark Streaming, as docs/ describes; where
 * this engine differs it is said here. What follows in later versions (windows, pairs, state, joins) are
 * further operations of the same graph: a description with parents, a slide and a compile step; it needs no
 * change to what is here.
 *
 * Errors: a call fails with a whole message, and stream_fault tells its class. ERR_FATAL: the program or its
 * configuration is wrong; ERR_RETRY: memory or threads are out. Where a stream is expected, NULL gives NULL
 * and leaves *e alone, so that a chain of definitions is checked once, at its end.
 *
 * Threads: definitions, start and stop are for one thread at a time. stop and await may be called while
 * others wait. No function given to a stream may call them.
 */
#ifndef ROOST_ETL_DSTREAM_H
#define ROOST_ETL_DSTREAM_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/err.h"
#include "etl/block.h"
#include "etl/stream_clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream_engine;  /* worker threads; one active context at a time */
struct stream_context; /* a graph and its life: initialized, active, stopped */
struct dstream;        /* a description; belongs to its context */
struct task;           /* one partition on its way through a chain */
struct batch;          /* what an output function gets */

/* ---- engine ---- */

struct stream_engine_settings {
    int workers; /* threads that run partitions; 0: one per core */
    /* Made once per worker thread, on it, and given to tasks as task_scratch: for what is costly to make and
     * not safe to share, as ICU's iterators. `scratch_new` returns NULL with *e filled on failure. Both NULL:
     * no scratch. */
    void *(*scratch_new)(void *user, struct err *e);
    void (*scratch_free)(void *scratch);
    void *user;
};

struct stream_engine *stream_engine_new(const struct stream_engine_settings *settings, struct err *e);
void stream_engine_free(struct stream_engine *engine); /* after its contexts; NULL does nothing */

/* ---- context ---- */

enum { STREAM_INTERVAL_MIN_MS = 10, STREAM_INTERVAL_MAX_MS = 3600000 };

struct stream_settings {
    int64_t batch_interval_ms;  /* 10 ms to 1 h */
    struct stream_clock *clock; /* NULL: the system's. A given clock outlives the context. */
    int ahead;          /* 1: compute one batch while the output functions of the one before run; 0: do not */
    int task_attempts;  /* how often a task may be tried before its job fails; 0 means 1, as upstream's local
                           mode */
    bool stop_at_error; /* after a failed job no output function runs any more: for outputs that may have no
                           holes */
    /* A receiver that is full does not wait for the end of the period: what it holds is made a batch of that
     * period at once, and further ones follow. The batches of one period have the same time. For graphs
     * without windows or state only. No (as upstream): the receiver waits for the period's end. */
    bool early_when_full;
    /* When the clock is this many periods ahead (a machine that slept, a clock set right after boot), batch
     * times leave out the whole periods between, with a warning; 0: never, every period passed is made, in
     * order. */
    int64_t most_periods_behind;
    /* Called at each failed job, on a thread of the context; for who waits for other things too. NULL: nobody
     * is told. */
    void (*failed)(void *user, const struct err *error);
    void *user;
};

enum stream_state { STREAM_INITIALIZED, STREAM_ACTIVE, STREAM_STOPPED };

/* The class of an error, by upstream's names for it. */
enum stream_fault {
    STREAM_NO_FAULT,
    STREAM_ILLEGAL_ARGUMENT, /* found when a stream is defined, or at start */
    STREAM_ILLEGAL_STATE,
    STREAM_ENGINE_ERROR, /* raised while a batch is made; threads or memory are out */
    STREAM_USER_ERROR    /* raised by a function given to a stream; reaches who awaits */
};

/* NULL: an interval out of range (ERR_FATAL), or memory is out. The engine outlives the context. */
struct stream_context *stream_context_new(struct stream_engine *engine,
                                          const struct stream_settings *settings, struct err *e);

/* Stops it if need be, and frees graph, sources and all. NULL does nothing. */
void stream_context_free(struct stream_context *c);

enum stream_state stream_context_state(struct stream_context *c);

/* The class of the latest error of a call or a job of this context. */
enum stream_fault stream_fault(struct stream_context *c);

/* Checks and compiles the graph, starts receivers and the driver. The first batch time is (floor(now / B) +
 * 1) * B. Started already: a warning in the log, 0. A failed start leaves the context stopped. */
int stream_start(struct stream_context *c, struct err *e);

/* Ends it; harmless when stopped; before start it makes the context stopped. Immediate: receivers are told to
 * stop, the output function in progress is waited for (who gave it sees to it that it returns), batches made
 * and not begun are dropped. Graceful: receivers stop and hand over all they took, batches go on at their
 * times until none of it is left, at most for 10 batch intervals of real time; then as immediate. */
void stream_stop(struct stream_context *c, bool graceful);

/* Waits until it is stopped (1), timeout_ms have passed (0; negative: no limit), or a job has failed (-1: the
 * first reported error; it is raised to every waiter). */
int stream_await_termination(struct stream_context *c, int64_t timeout_ms, struct err *e);

/* Waits until the batch of `time`, or one after it, is complete (1); stopped before that: 0; time-out: 0. */
int stream_await_batch(struct stream_context *c, int64_t time, int64_t timeout_ms);

struct stream_numbers {
    uint64_t batches, failed_jobs;           /* completed, with and without records; jobs that failed */
    int64_t last_time;                       /* of the last completed batch; 0: none */
    int64_t scheduling_delay_ms;             /* of the last completed batch: from its time to its beginning */
    int64_t processing_delay_ms;             /* from there to its completion */
    uint64_t waiting_records, waiting_bytes; /* received, in no batch yet */
};
void stream_count(struct stream_context *c, struct stream_numbers *numbers);

/* ---- transformations: functions run on workers, many at a time, each with its own task ---- */

/* Makes *out of a record. 0, or task_fail(...). */
typedef int stream_map_function(struct task *task, struct record in, struct record *out, void *user);

/* 1: the record stays; 0: it is dropped; or task_fail(...). */
typedef int stream_filter_function(struct task *task, struct record in, void *user);

/* Gives any number of records with task_emit, in order. 0, or task_fail(...), or what task_emit returned. */
typedef int stream_flat_map_function(struct task *task, struct record in, void *user);

/* The slide is the parent's; order is kept; no batch in, no batch out; an empty batch gives an empty batch.
 */
struct dstream *stream_map(struct dstream *parent, stream_map_function *f, void *user, struct err *e);
struct dstream *stream_filter(struct dstream *parent, stream_filter_function *f, void *user, struct err *e);
struct dstream *stream_flat_map(struct dstream *parent, stream_flat_map_function *f, void *user,
                                struct err *e);

/* Memory of the partition, freed with the batch. When it is out (512 MiB a partition), the task fails by
 * itself. */
struct arena *task_arena(struct task *task);

/* What scratch_new made for the worker that runs the task; NULL without one. */
void *task_scratch(struct task *task);

int64_t task_time(const struct task *task);     /* the batch's time */
size_t task_partition(const struct task *task); /* from 0 */

/* Hands a record on to what follows. 0, or -1: the function returns -1 at once (a later function failed, or
 * no more records are wanted). Only inside a flatMap function. */
int task_emit(struct task *task, struct record record);

/* Fails the task with a whole message. Returns -1. */
int task_fail(struct task *task, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- output operations: functions run on the output thread, in the order of definition, batch after batch
 * ---- */

/* Gets a computed batch (also an empty one), valid until it returns. May block. 0, or -1 with *e filled: this
 * job has failed, the others go on (but see stop_at_error). */
typedef int stream_output_function(const struct batch *batch, void *user, struct err *e);

/* Upstream's foreachRDD. The chain is computed once per output operation and batch, as by one action of
 * upstream. */
int stream_foreach_batch(struct dstream *parent, stream_output_function *f, void *user, struct err *e);

int64_t batch_time(const struct batch *batch);
int64_t batch_started_at(const struct batch *batch); /* wall time when work on it began, ms */
size_t batch_count(const struct batch *batch);       /* records in all partitions */
size_t batch_partition_count(const struct batch *batch);

/* The records of a partition, in order. Partitions in order are the batch in order. */
const struct record *batch_partition(const struct batch *batch, size_t partition, size_t *count);

/* What its source block was: the numbered range, with an absent origin where records are not numbered. */
const struct record_range *batch_partition_range(const struct batch *batch, size_t partition);

enum { STREAM_PRINT_RECORDS = 10 }; /* upstream's default for `records` */

struct stream_print {
    size_t records;    /* how many at most are shown; more are shown as "..." */
    bool milliseconds; /* the header says "Time: T ms" (print), not local wall-clock time (Python's pprint) */
    /* Adds how a record reads, without a line end. NULL: its bytes as they are. */
    void (*show)(struct buffer *line, struct record record, void *user);
    /* Writes the whole text of a batch. NULL: to stdout. */
    int (*write)(void *user, struct view text, struct err *e);
    void *user;
};

/* Upstream's print and pprint: 43 dashes, the time, 43 dashes, the first records one a line, "..." if there
 * are more, an empty line. Only as many records of a partition are computed as may be shown. */
int stream_pprint(struct dstream *parent, const struct stream_print *print, struct err *e);

#endif
