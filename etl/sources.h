/* etl/sources.h - input streams: a queue that a program fills, receivers with threads, a socket of text
 * lines.
 *
 * Sources belong to the context they are defined in and are freed with it.
 */
#ifndef ROOST_ETL_SOURCES_H
#define ROOST_ETL_SOURCES_H

#include "etl/dstream.h"

/* ---- a source of one's own ---- */

/* What a source does. Functions are called on the driver's thread, `start` and `stop` on that of stream_start
 * and stream_stop, `free` when the context is freed. */
struct stream_source_operations {
    /* From here on data may come; the clock is the context's. NULL: nothing to start. */
    int (*start)(void *source, struct stream_clock *clock, struct err *e);

    /* What belongs to the batch of `time`: 1 with *blocks (NULL: an empty batch; one block is one partition;
     * the engine frees them), 0: this source makes no batch at that time, -1: the batch fails. */
    int (*take)(void *source, int64_t time, struct block **blocks, struct err *e);

    /* Ends receiving and returns when no data can come any more; those already there can still be taken.
     * NULL: nothing to stop. */
    void (*stop)(void *source);

    /* Received, and in no batch yet. NULL: nothing ever waits. Any thread. */
    void (*waiting)(void *source, size_t *records, size_t *bytes);

    /* A receiver waits for room. NULL: never. */
    bool (*full)(void *source);

    void (*free)(void *source);
};

/* An input stream of `source`. On failure (NULL) the source is not taken over. */
struct dstream *stream_source(struct stream_context *c, const struct stream_source_operations *operations,
                              void *source, struct err *e);

/* For sources with receivers: call it, from any thread, when one begins to wait for room. */
void stream_source_is_full(struct stream_context *c);

/* ---- queue ---- */

struct stream_queue;

struct stream_queue_settings {
    bool one_at_a_time; /* one queued batch per batch time; else all that are queued, united in order */
    size_t partitions;  /* a queued batch of n records is cut at floor(i * n / partitions); at least 1 */
    bool
        has_default; /* what an empty queue gives: a batch of `records` (may be none), else no batch at all */
    const struct record *records; /* copied */
    size_t count;
};

/* *queue belongs to the context. */
struct dstream *stream_queue_new(struct stream_context *c, const struct stream_queue_settings *settings,
                                 struct stream_queue **queue, struct err *e);

/* Queues a batch of copies of these records. Any thread. */
int stream_queue_push(struct stream_queue *q, const struct record *records, size_t count, struct err *e);

/* Queues "no batch at this time". */
int stream_queue_push_none(struct stream_queue *q, struct err *e);

/* ---- receivers ---- */

struct stream_receiver;

struct stream_receiver_settings {
    const char *name; /* of the thread, at most 15 bytes */
    /* Receives, on a thread of its own, until stream_receiver_stopping; then returns soon. */
    void (*run)(struct stream_receiver *r, void *user);
    /* Makes a blocked `run` return; called from another thread after stopping has become true. May be NULL.
     */
    void (*interrupt)(void *user);
    void *user; /* outlives the context ... */
    void (*free)(
        void *user); /* ... or is freed with it by this; NULL: not. Not called when stream_receive fails. */
};

/* One input stream of `count` receivers, each with its own blocks and limits; their blocks follow one another
 * in the order of the array. */
struct dstream *stream_receive(struct stream_context *c, const struct stream_receiver_settings *receivers,
                               size_t count, const struct block_limits *limits, struct err *e);

/* Stores a record that is a copy of head followed by body (either may be absent); waits while this receiver's
 * queue is full. -1: stopped, or memory is out; the record was not taken. */
int stream_receiver_store(struct stream_receiver *r, struct view head, struct view body, struct view origin,
                          uint64_t sequence, struct err *e);

bool stream_receiver_stopping(struct stream_receiver *r);

/* Sleeps, at most until it is stopping; returns whether it is. For back-offs. */
bool stream_receiver_sleep(struct stream_receiver *r, int64_t ms);

/* ---- socket of text lines ---- */

struct stream_socket_settings {
    const char *address;      /* as bridge/address.h reads it; outlives the context */
    int64_t restart_first_ms; /* wait before connecting again; doubles up to ... */
    int64_t restart_most_ms;  /* ... this. Upstream waits 2000 ms always. */
};

/* Upstream's socketTextStream: lines end at LF, CR or CR LF; empty lines are records; bytes that are no UTF-8
 * become U+FFFD; an unfinished line is a record only when the peer closes. A line longer than 8 MiB is given
 * in pieces. A refused, closed or failed connection is made again for ever; that it is away, and that it is
 * back, is logged once. */
struct dstream *stream_socket_text(struct stream_context *c, const struct stream_socket_settings *settings,
                                   struct err *e);

/* A connected socket, or -1 (ERR_RETRY: nobody listens, or no answer within 5 s; ERR_FATAL: no such form of
 * address). */
int stream_socket_connect(const char *address, struct err *e);

#endif
