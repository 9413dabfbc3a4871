/* ingest/source_parts.h - what the source's own files share; nobody else includes it.
 *
 * source.c is its life: connections, answers, waits, outages, opening and stopping; source_take.c makes posts
 * of bytes and hands them over; source_side.c is one configuration's stream, source_change.c goes from one to
 * another; source_ladder.c keeps the ladders over the lives of the listener.
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

struct source_seen;

/* One configuration's stream, and what belongs to it alone. */
struct source_side {
    struct source *source;
    struct source_side *following; /* of all sides of the source, those that are being closed too */
    const struct source_settings *settings;
    void *protocol_state;
    struct http_stream *http;
    struct ingest_lines *lines;
    char place[200]; /* the address without its query, for messages */
    unsigned parts;  /* http and protocol: those that are on the loop */
    bool closing;

    char keys[STREAMED_MARK_SIZE]; /* of its server and credentials, for the ledger; "": not made yet */
    bool streamed_before;          /* with these credentials, now or in an earlier life */
    unsigned final_answers;

    /* its stream */
    bool open;             /* from the request to the end */
    bool answered;         /* with status 200 */
    bool stream_over;      /* the stream that the backlog belongs to has ended */
    struct buffer held;    /* the message that was refused, read again when there is room; empty: none was */
    int64_t held_at;       /* when it was received */
    struct buffer backlog; /* bytes behind it */
    int64_t established_steady, last_byte_steady;
    uint64_t messages;           /* of this stream */
    uint64_t stream_bytes;       /* of its body */
    bool sound;                  /* it brought what streams bring, so it is one */
    bool kept_alive, strange;    /* it brought an empty line; something unknown or unreadable */
    bool evicted;                /* the server says that it ends it for another client of the account */
    struct source_reaction told; /* the server's last words: why it ends this stream */

    /* while it is not the one in force */
    bool other;             /* another server or other credentials: its ladders are its own */
    struct backoff backoff; /* these */
    bool failed;            /* it was asked for, and refused */
    bool down;              /* in a way that takes somebody to mend */
    bool fallback;          /* it was in force, and is tried by turns with the one that took its place */
    int64_t due_steady;     /* not to be asked for before */
    int64_t asked_steady;   /* its last request */
    bool leaving;           /* it was in force; what it brought is still taken */
    int64_t leave_steady;   /* no longer than until then */
};

struct source {
    uv_loop_t *loop;
    struct source_options options;
    struct source_events events;
    const struct source_protocol *protocol;
    const struct source_timing *timing;
    struct log_context log;

    struct source_side *sides;  /* all there are */
    struct source_side *now;    /* in force */
    struct source_side *wanted; /* read last, and not asked for now; NULL: nothing new */
    struct source_side *next;   /* asked for beside `now`; NULL: none is */
    uv_timer_t wait_timer, count_timer, change_timer, leave_timer;
    enum source_state state;
    struct backoff backoff; /* of the server and credentials in force */
    struct source_counts counts;
    struct history history;    /* what it tells about itself */
    struct source_seen *seen;  /* ids of a switch's posts; NULL: there is none, or no memory */
    int64_t seen_until_steady; /* at least */
    int64_t asked_steady;      /* the last request to the server in force */
    int64_t hold_until_steady; /* no request to it before, since it refused one beside its stream */

    bool paused;      /* by the caller */
    bool last;        /* it stops: what is refused now is lost, or the ledger keeps it */
    bool refused;     /* the caller did not take something; cleared by source_resume */
    bool feeding;     /* inside feed(): a callback may be further up */
    bool connect_due; /* the wait is over, but there is no room yet */
    bool change_due;  /* the same for a change */

    struct backoff before_stream; /* as it was when the stream was established */
    bool evicted;                 /* the last streams ended because another client of the account came */
    struct outage outage;
    int64_t opened_at;    /* wall times, for source_condition */
    int64_t error_at;     /* CLOCK_NONE: nothing has failed */
    char last_error[400]; /* cut */
    struct log_repeat unreadable_log, remark_log, change_log;

    uint64_t lost, lost_bytes; /* messages that nobody took at the stop */
    int64_t lost_since;        /* when the first of them was received */
    char lost_why[ERR_TEXT_SIZE];

    bool stopping;
    unsigned handles; /* timers and sides */
    void (*done)(void *user);
    void *done_user;
};

/* source_condition.c */
void source_note_error(struct source *s, const char *why);

/* An attempt that failed. */
struct source_failure {
    enum backoff_ladder ladder;
    const char *cause; /* of roost.gaps */
    int64_t wait;
    int64_t silence; /* how long ago the last byte of a stalled stream came */
    bool down;
};

/* source.c */
/* This stream brought what only streams bring: its credentials are good, now and in later lives. */
void source_prove(struct source_side *side);
/* `now` is not heard: logs why, once, and waits. */
void source_wait_after(struct source *s, const struct source_failure *f, const char *why);
void source_wait(struct source *s, int64_t wait); /* the next attempt is in so many milliseconds */
/* `now` streams. `beside`: the one before it was heard up to this moment. */
void source_begin_stream(struct source *s, bool beside);
void source_end_stream(struct source *s);                    /* `now` does not any more */
void source_ask(struct source *s, struct source_side *side); /* sends its request */
void source_connect(struct source *s);     /* the next attempt, with `wanted` if its turn has come */
void source_part_closed(struct source *s); /* one of the handles */
struct http_stream *source_side_stream(struct source_side *side,
                                       struct err *e); /* an idle one; NULL as of it */
/* The end of a verdict: which reaction it is for this side. True: this side is given up for good. */
bool source_gives_up(const struct source *s, struct source_side *side, const struct source_verdict *v,
                     struct source_reaction *r);

/* source_side.c */
/* NULL: ERR_FATAL when the settings cannot work, ERR_RETRY when memory is out. */
struct source_side *source_side_open(struct source *s, const struct source_settings *settings, struct err *e);
/* Ends its stream and gives it back, from the loop; nothing of it is told any more. NULL does nothing. */
void source_side_close(struct source_side *side);
/* Nothing of what it has brought waits to be taken. */
bool source_side_is_empty(const struct source_side *side);
/* The settings that it goes by, or is about to. */
const struct source_settings *source_side_settings(const struct source_side *side);

/* source_change.c */
void source_change_plan(struct source *s);  /* something has changed: when is `wanted` to be asked for? */
void source_change_begin(struct source *s); /* its time has come */
/* The next attempt of a source that is not heard: `wanted` in place of `now`, if it is its turn. */
void source_change_adopt(struct source *s);
void source_change_over(struct source *s); /* `now` streams: what was kept to be tried by turns goes */
/* `next` takes the place of `now`, which leaves. */
void source_change_switch(struct source *s);
void source_change_failed(struct source *s, const struct source_reaction *r, bool for_good, const char *why);
void source_change_lost(struct source *s, int64_t silence); /* `now` has ended, and `next` is not answered */
void source_change_leave(struct source *s); /* closes the sides that leave and have nothing left */

/* source_ladder.c */
struct backoff *source_ladder_of(struct source *s, struct source_side *side);
/* No attempt with its server and credentials for so many milliseconds from now. */
void source_ladder_keep(struct source *s, struct source_side *side, int64_t wait);
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
void source_offer_count(struct source *s); /* counts are told between messages */
void source_take_bytes(struct source_side *side,
                       struct view bytes);          /* of the stream; what is not taken waits */
void source_take_waiting(struct source_side *side); /* the refused message and what came behind it */
/* When a stream is over and all before its end is read: what is left is half a message. */
void source_discard_fragment(struct source_side *side);
void source_say_lost(struct source *s); /* at the end: what nobody took */

#endif
