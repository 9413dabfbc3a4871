/* tests/etl/support/stage.h - a context on a manual clock whose records are JSON texts, and what its outputs
 * saw. */
#ifndef ROOST_TESTS_ETL_STAGE_H
#define ROOST_TESTS_ETL_STAGE_H

#include "etl/dstream.h"
#include "etl/sources.h"

#include <cjson/cJSON.h>
#include <stdatomic.h>

struct stage {
    struct stream_clock *clock;
    struct stream_engine *engine;
    struct stream_context *context;
    struct stream_queue *queue;
    struct dstream *source;
    int64_t interval;
    atomic_int calls; /* of functions made by stage_function */
};

/* Clock at 0, so zero time is 0 and batch k has time k * interval; 2 workers. */
void stage_open(struct stage *s, struct stream_settings settings, size_t partitions);
void stage_close(struct stage *s);

/* Queues a row of JSON values; NULL or JSON null: no batch. */
void stage_push(struct stage *s, const cJSON *row);

/* Moves the clock on by `batches` intervals, one at a time, and waits for each. */
void stage_run(struct stage *s, int batches);

/* Adds map, filter or flatMap with a function in words. NULL when this version has no such operation or
 * function. */
struct dstream *stage_function(struct stage *s, struct dstream *parent, const char *operation,
                               const char *function);

/* What an output saw: rows (arrays of records), their times and numbers of partitions. */
struct seen {
    cJSON *rows, *times, *partitions;
};
void seen_open(struct seen *seen);
void seen_close(struct seen *seen);
stream_output_function seen_batch; /* user: struct seen */

#endif
