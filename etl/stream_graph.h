/* etl/stream_graph.h - inside the engine: what a context is made of. Nobody outside etl/stream_*.c includes
 * it.
 *
 * definition: struct dstream, one per operation, in lists of the context. compiled: one struct chain per
 * output, the steps from its source to it. running: one struct run per batch time, with what was taken from
 * each source and a struct batch per output.
 */
#ifndef ROOST_ETL_STREAM_GRAPH_H
#define ROOST_ETL_STREAM_GRAPH_H

#include "etl/dstream.h"
#include "etl/sources.h"
#include "etl/thread.h"

#define STREAM_ALL_RECORDS SIZE_MAX

enum { STREAM_PARTITION_MAXIMUM = 512 * 1024 * 1024 };

enum stream_operation { STREAM_SOURCE, STREAM_MAP, STREAM_FILTER, STREAM_FLAT_MAP };

union stream_function {
    const struct stream_source_operations *source;
    stream_map_function *map;
    stream_filter_function *filter;
    stream_flat_map_function *flat_map;
};

struct dstream {
    struct dstream *next; /* of the context */
    struct stream_context *context;
    enum stream_operation operation;
    struct dstream **parents; /* as many as the operation has; freed with the description */
    size_t parent_count;
    int64_t slide_ms;
    union stream_function function;
    void *user;
    size_t source; /* of a source: its number in the context, in order of definition */
};

struct step {
    enum stream_operation operation;
    union stream_function function;
    void *user;
};

struct chain {
    size_t source;
    struct step *steps;
    size_t count;
};

struct output {
    struct output *next;
    struct dstream *stream;
    stream_output_function *function;
    void *user;
    void (*free_user)(void *user); /* may be NULL */
    size_t most;                   /* records of a partition that are wanted */
    struct chain chain;
};

struct batch_part {
    struct record *records;
    size_t count;
    struct arena *arena;
    struct record_range range;
};

struct batch {
    int64_t time, started_at;
    bool exists; /* false: no batch at this time */
    bool failed;
    struct err error;
    enum stream_fault fault;
    struct batch_part *parts;
    size_t part_count, count;
};

/* One batch time on its way. */
struct run {
    struct run *next;
    int64_t time, began;   /* began: by the context's clock */
    struct block **inputs; /* per source */
    bool *has_input;
    struct batch *batches; /* per output */
    size_t source_count, output_count;
};

struct stream_context {
    struct stream_engine *engine;
    struct stream_settings settings;
    struct stream_clock *clock, *own_clock;

    struct dstream *streams;
    struct dstream **sources; /* in order of definition */
    size_t source_count;
    struct output *outputs, **outputs_end;
    size_t output_count;

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    enum stream_state state;
    enum stream_fault fault;
    bool stopping, draining, stop_in_progress;
    bool driver_ended;
    struct run *made, **made_end; /* computed, waiting for the output thread */
    int in_hand;                  /* runs taken from the sources and not complete */
    bool has_error;
    struct err error; /* the first */
    struct stream_numbers numbers;

    pthread_t driver, output_thread;
    int64_t zero;
};

/* Notes the class of an error that *e (may be NULL) gets, and returns -1. */
int stream_fail(struct stream_context *c, enum stream_fault fault, struct err *e, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* 0 when the context still takes definitions; else the error. */
int stream_may_define(struct stream_context *c, struct err *e);

/* An output operation; free_user is called with the context's end, also when this fails. */
int stream_output_add(struct dstream *parent, stream_output_function *f, void *user,
                      void (*free_user)(void *user), size_t most, struct err *e);

/* Compiles the chains of all outputs. */
int stream_compile(struct stream_context *c, struct err *e);

/* Frees all descriptions and sources. */
void stream_graph_free(struct stream_context *c);

/* Computes a batch of one output: every partition through the chain, on the engine's workers. Fills *batch,
 * also when it fails. */
void stream_compute(struct stream_context *c, const struct output *output, struct block *blocks,
                    struct batch *batch);
void stream_batch_free(struct batch *batch);

/* Runs job(user, index, scratch) for index 0 to count - 1 on the workers, and returns when all have ended.
 * One caller at a time. */
void stream_engine_run(struct stream_engine *engine, size_t count,
                       void (*job)(void *user, size_t index, void *scratch), void *user);

/* Makes c the engine's active context; false when another one is. */
bool stream_engine_claim(struct stream_engine *engine, struct stream_context *c);
void stream_engine_release(struct stream_engine *engine, struct stream_context *c);

/* The driver's and the output thread's main functions, of struct stream_context. */
void *stream_driver(void *context);
void *stream_outputs(void *context);

#endif
