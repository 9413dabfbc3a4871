/* ingest/message.h - what one line of a stream is: a post, an event, a keep-alive, or nothing that can be
 * read.
 *
 * What is a post and which events there are is an API's own (struct message_form); everything around it is
 * here. Streams carry more than tweets, new message types may come at any time, and bytes may be broken (API
 * document, sections 3 and 1.9). Guaranteed: any bytes are taken and none breaks the stream. What is no tweet
 * becomes an event of its kind, with the line as its body; what is of no known kind, or is a tweet that lacks
 * what a post must have, becomes an event `unknown`; what is no JSON at all is unreadable, with a reason.
 * Body and raw are JSON as PostgreSQL takes it. One reader per source, one thread.
 */
#ifndef ROOST_INGEST_MESSAGE_H
#define ROOST_INGEST_MESSAGE_H

#include "base/err.h"
#include "bridge/post.h"
#include "text/repair.h"
#include "text/worker.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

enum { MESSAGE_MAXIMUM_BYTES = 1024 * 1024 };

enum message_kind {
    MESSAGE_KEEP_ALIVE, /* an empty line */
    MESSAGE_POST,
    MESSAGE_EVENT,     /* post.kind says which */
    MESSAGE_UNREADABLE /* why says why */
};

struct message {
    enum message_kind kind;
    struct post post; /* of a post or event; valid until the reader's next call, and while the line is */
    struct err why;   /* MESSAGE_UNREADABLE: without any of the line's text */

    /* What the source itself acts on; POST_NO_NUMBER and absent where the event is another or does not say.
     */
    int64_t disconnect_code;    /* POST_DISCONNECT: API document, section 3.2, "Disconnect codes" */
    int64_t limit_track;        /* POST_LIMIT: posts not delivered since the connection was opened, in all */
    struct view warning_code;   /* POST_WARNING: "FALLING_BEHIND" ... */
    int64_t warning_percent;    /* POST_WARNING: how full the server's queue is */
    struct view disconnect_why; /* POST_DISCONNECT: the server's words */
};

struct message_counts { /* since the reader was made */
    uint64_t keep_alives, posts, events, unreadable;
    uint64_t unknown; /* of the events: of no known kind, or tweets without id, text or time */
    uint64_t
        raw_refused;   /* posts whose line cJSON takes and PostgreSQL's jsonb would not: kept without raw */
    uint64_t repaired; /* lines that needed repair */
    struct text_repairs repairs;
};

/* What is particular to an API's messages. `line` is the message after repair; what is filled may point into
 * both and into the arena. */
struct message_form {
    bool (*is_post)(const cJSON *message);
    /* As tweet_to_post (ingest/tweet.h) says. */
    int (*to_post)(const cJSON *message, struct view line, struct text_worker *worker, struct arena *a,
                   struct post *p, struct err *e);
    /* A message that is no post: message_begin_event and what the event says. False: of no known kind. */
    bool (*to_event)(const cJSON *message, struct view line, struct arena *a, struct message *m);
};
extern const struct message_form message_form_x_v1;

struct message_reader;

/* `source` is the section's name, copied. NULL: memory is out, or what text_worker_new says. */
struct message_reader *message_reader_new(const struct message_form *form, const char *source, bool store_raw,
                                          struct err *e);

/* For forms: makes *m an event of this kind, with nothing in it yet. */
void message_begin_event(struct message *m, enum post_kind kind);

/* Reads one line, without its line end (white space around it is passed over); *m is filled. received_at in
 * ms since 1970. */
void message_read(struct message_reader *r, struct view line, int64_t received_at, struct message *m);

const struct message_counts *message_reader_counts(const struct message_reader *r);

/* The tree of the line read last; NULL: there is none. Valid as long as *m is. */
const cJSON *message_reader_tree(const struct message_reader *r);

/* For what comes after reading and wants the same thread's handles and the same lifetime as *m. */
struct text_worker *message_reader_worker(struct message_reader *r);
struct arena *message_reader_arena(struct message_reader *r);

/* NULL does nothing. */
void message_reader_free(struct message_reader *r);

#endif
