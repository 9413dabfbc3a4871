/* ingest/history.h - what a source tells about its own past: `gap` and `count` events, kept until they are
 * taken.
 *
 * The ledger (ledger.h) says when the source was not heard; here its rows become events, together with what
 * the server says it left out (`limit`), and with the `count` events, which say from when to when the source
 * was heard. An event that is refused waits in the ledger, which outlives the listener, and is offered again,
 * in order: first what was heard, then the gap behind it. Part of struct source; on the loop's thread.
 */
#ifndef ROOST_INGEST_HISTORY_H
#define ROOST_INGEST_HISTORY_H

#include "base/log.h"
#include "bridge/post.h"
#include "ingest/ledger_file.h"
#include "ingest/source.h"

struct history {
    const struct log_context *log;
    /* True: taken, or it can never be. False: not now. Frees the body in either case. */
    bool (*offer)(void *user, enum post_kind kind, struct buffer *body);
    void *user;
    struct ledger *file;
    struct ledger_entry *ledger;     /* in the file, or `own` */
    struct ledger_entry own;         /* without a file */
    bool cut_off;                    /* the last life was killed in the middle of a stream, */
    struct ledger_moment cut_off_at; /* and was last known to be alive then */
    bool heard_here;              /* what the ledger says was heard was so in this life: figures are known */
    bool stream_told;             /* the latest count event of the stream was taken */
    struct source_counts counted; /* as of the last count event */
    uint64_t undelivered;         /* of this stream, as last told */
    int64_t undelivered_steady;   /* when that was, or the stream began */
};

/* Takes the source's ledger: from `file`, or for this life alone (NULL). h->log, offer and user are set. */
int history_open(struct history *h, struct ledger *file, const char *name, struct err *e);

/* Offers what is over and was not taken yet; `counts` are the source's as of now. */
void history_offer(struct history *h, const struct source_counts *counts);

/* Also what the stream of now has brought since it was last told. Only while it streams. */
void history_offer_stream(struct history *h, const struct source_counts *counts);

/* A stream is there. */
void history_streams(struct history *h);

/* The stream of now is another one than the one before it, and the source was heard all the time: a gap of
 * cause `reload` without length. */
void history_switched(struct history *h);

/* A stream ended, or an attempt failed: the source is not heard since `silence` milliseconds ago. `streamed`:
 * up to then it was. */
void history_lost(struct history *h, bool streamed, int64_t silence, const char *cause, const char *detail);

/* The server says how many posts it has left out since this stream began. Returns how many are new, and
 * offers a gap of cause `limit` for them. */
uint64_t history_undelivered(struct history *h, uint64_t total);

/* `messages` (of `bytes` in all) received since wall time `since` are lost, since nobody took them at a stop:
 * a gap of cause `spool_full`. */
void history_dropped(struct history *h, int64_t since, uint64_t messages, uint64_t bytes);

/* The source ends here; cause "stopped" or "reload". `streams`: it was heard up to now. What was not taken
 * stays in the ledger for the next life. */
void history_close(struct history *h, const char *cause, bool streams);

#endif
