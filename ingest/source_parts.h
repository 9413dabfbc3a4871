/* ingest/source_parts.h - what the source's own files share; nobody else includes it.
 *
 * source.c is its life: connections, answers, waits, outages, opening and stopping; source_take.c makes posts
 * of bytes and hands them over.
 */
#ifndef ROOST_INGEST_SOURCE_PARTS_H
#define ROOST_INGEST_SOURCE_PARTS_H

#include "base/buffer.h"
#include "base/log.h"
#include "ingest/history.h"
#include "ingest/http_stream.h"
#include "ingest/lines.h"
#include "ingest/outage.h"
#include "ingest/source.h"

struct source {
    uv_loop_t *loop;
    const struct source_settings *settings;
    struct source_options options;
    struct source_events events;
    const struct source_protocol *protocol;
    const struct source_timing *timing;
    void *protocol_state;
    struct log_context log;
    char place[200]; /* the address without its query, for messages */

    struct http_stream *http;
    struct ingest_lines *lines;
    uv_timer_t wait_timer, count_timer;
    enum source_state state;
    struct backoff backoff;
    struct source_counts counts;
    struct history history; /* what it tells about itself */

    bool paused;           /* by the caller */
    bool last;             /* it stops: what is refused now is lost, or the ledger keeps it */
    bool refused;          /* the caller did not take something; cleared by source_resume */
    bool feeding;          /* inside feed(): a callback may be further up */
    bool connect_due;      /* the wait is over, but there is no room yet */
    bool stream_over;      /* the stream that the backlog belongs to has ended */
    struct buffer held;    /* the message that was refused, read again when there is room; empty: none was */
    int64_t held_at;       /* when it was received */
    struct buffer backlog; /* bytes behind it */

    int64_t established_steady, last_byte_steady;
    uint64_t messages;             /* of this stream */
    uint64_t stream_bytes;         /* of its body */
    bool sound;                    /* it brought what streams bring, so it is one */
    bool kept_alive, strange;      /* it brought an empty line; something unknown or unreadable */
    struct backoff before_stream;  /* as it was when the stream was established */
    bool evicted;                  /* the last streams ended because another client of the account came */
    bool evicted_now;              /* this one did */
    struct source_reaction told;   /* the server's last words: why it ends this stream */
    char keys[STREAMED_MARK_SIZE]; /* of these credentials, for the ledger; "": not made yet */
    bool streamed_before;          /* with these credentials, now or in an earlier life */
    unsigned final_answers;
    struct outage outage;
    int64_t opened_at;    /* wall times, for source_condition */
    int64_t error_at;     /* CLOCK_NONE: nothing has failed */
    char last_error[400]; /* cut */
    struct log_repeat unreadable_log, remark_log;

    uint64_t lost, lost_bytes; /* messages that nobody took at the stop */
    int64_t lost_since;        /* when the first of them was received */
    char lost_why[ERR_TEXT_SIZE];

    bool stopping;
    unsigned handles;
    void (*done)(void *user);
    void *done_user;
};

/* source_condition.c */
void source_note_error(struct source *s, const char *why);

/* source.c */
/* This stream brought what only streams bring: its credentials are good, now and in later lives. */
void source_prove(struct source *s);

/* source_ladder.c */
void source_ladder_keep(struct source *s, int64_t wait); /* no attempt for so many milliseconds from now */
/* What an earlier life has climbed, and the milliseconds left to wait, which are logged; 0: none. With
 * another url or other credentials the ladders begin anew. */
int64_t source_ladder_take_up(struct source *s);
/* A stop. One whose source is down does so to change what is wrong (rights, money, keywords), so the wait of
 * minutes to an hour is not kept, only the steps. */
void source_ladder_leave(struct source *s);

/* source_take.c */
bool source_is_full(const struct source *s); /* what is offered now would not be taken */
void source_set_aside(struct source *s, const char *why, struct view message);
/* An event made here, of this kind with this body, which is freed. True when the caller has it. */
bool source_offer_own(void *user, enum post_kind kind, struct buffer *body);
void source_offer_count(struct source *s);                   /* counts are told between messages */
void source_take_bytes(struct source *s, struct view bytes); /* of the stream; what is not taken waits */
void source_take_waiting(struct source *s);                  /* the refused message and what came behind it */
/* When a stream is over and all before its end is read: what is left is half a message. */
void source_discard_fragment(struct source *s);
void source_say_lost(struct source *s); /* at the end: what nobody took */

#endif
