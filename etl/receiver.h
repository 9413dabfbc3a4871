/* etl/receiver.h - the bridge as an input stream: one receiver per bridge.
 *
 * Runs on a receiver thread of the context: connects as a numbered client, asks the sinks where to go on, and
 * stores frames in blocks. When the bridge goes away (said once, and once when it is back) it connects again
 * with a back-off of 0.1 s to 5 s and goes on behind the last frame it stored. When the queue is full it does
 * not read: the bridge's spool takes the rest. Frames that the sinks lack and that the bridge has no more
 * (the database was restored, or the spool was full) become a gap event of cause `spool` and the empty
 * source, which takes the number of the last of them. Of a spool that was read before and that this bridge
 * has not, the bridge is told: it writes the gap.
 */
#ifndef ROOST_ETL_RECEIVER_H
#define ROOST_ETL_RECEIVER_H

#include "etl/sink.h"
#include "etl/sources.h"

struct receiver;

struct receiver_settings { /* strings outlive the receiver */
    const char *address;   /* as bridge/address.h reads it */
    const char *consumer;
    const char *token; /* NULL: read from token_file */
    const char
        *token_file; /* read again before each connection, since the bridge makes it when it first starts;
                      * NULL or missing: a Unix socket is tried without, on TCP it is waited for */
    /* The last sequence of `spool` that every sink has; 0: none. May block. -1 with ERR_FATAL: the job must
     * end. */
    int (*position)(void *user, struct view spool, uint64_t *sequence, struct err *e);
    /* Which spool the consumer read before, when it meets one that may be new to it; loader_latest. NULL: not
     * to be asked, since this bridge may not have been the one that had it. */
    int (*latest)(void *user, struct view spool, struct sink_latest *latest, struct err *e);
    /* The receiver cannot go on: the bridge or the sinks refused for good. */
    void (*failed)(void *user, const struct err *e);
    /* Connected, or not any more; on the receiver's thread. NULL: of no interest. */
    void (*changed)(void *user);
    void *user;
};

/* NULL: memory is out, or the address is none. */
struct receiver *receiver_new(const struct receiver_settings *settings, struct err *e);

/* For stream_receive. The receiver outlives the context. */
struct stream_receiver_settings receiver_stream(struct receiver *r);

/* Tells the bridge that everything of `spool` up to `sequence` is committed; nothing happens when this
 * receiver is at another spool. While the bridge is away it is remembered, and said when the next connection
 * has read a frame. Any thread; also after the context was stopped. */
void receiver_acknowledge(struct receiver *r, struct view spool, uint64_t sequence);

/* How a receiver is. */
struct receiver_condition {
    const char *address; /* as long as the receiver */
    bool connected;
    int64_t since;      /* of that; wall time */
    char spool[40];     /* identity; "": none was met yet */
    uint64_t read;      /* last frame of it that was stored; 0: none in this run */
    uint64_t committed; /* by all sinks, as far as this receiver was told */
    char error[300];    /* why it is, or was last, not connected; "": it always was */
    int64_t error_at;   /* CLOCK_NONE: never */
};
void receiver_tell(struct receiver *r, struct receiver_condition *c); /* any thread */

/* After the context has been freed. Disconnects. NULL does nothing. */
void receiver_free(struct receiver *r);

/* A record of this input stream: the frame's number and its bytes as they crossed the bridge. */
struct frame {
    uint64_t sequence;
    struct view payload;
};
struct frame receiver_frame(struct record record);

#endif
