/* sinks/postgres_copy.h - rows as PostgreSQL's binary COPY takes them (PostgreSQL documentation, COPY,
 * "Binary Format").
 *
 * A copy gathers rows in a buffer and hands them to the link in pieces of about CHUNK bytes, so a load of any
 * size needs little memory. Columns of roost.posts are those of post_fields with POST_IN_TABLE, then
 * batch_id; loaded_at is the column's default, the transaction's now(). NUL bytes, which PostgreSQL's text
 * cannot hold, are left out.
 */
#ifndef ROOST_SINKS_POSTGRES_COPY_H
#define ROOST_SINKS_POSTGRES_COPY_H

#include "base/buffer.h"
#include "base/err.h"
#include "bridge/post.h"
#include "sinks/postgres_link.h"

struct postgres_copy {
    struct postgres_link *link;
    struct buffer rows; /* kept from copy to copy for its memory; freed by its owner */
};

/* An idle copy. The most one row may take: a post of POST_MAXIMUM_BYTES with its text twice and every byte
 * its own item. */
enum { POSTGRES_COPY_MOST = 64 * 1024 * 1024 };

/* `COPY TABLE (...) FROM STDIN (FORMAT binary)` for rows of posts; TABLE is a constant of ours. Appended to
 * *sql. */
void postgres_copy_posts_sql(struct buffer *sql, const char *table);

/* The columns of rows of posts, comma separated, appended to *sql. */
void postgres_copy_posts_columns(struct buffer *sql);

extern const char postgres_copy_events_sql[], postgres_copy_rejects_sql[];

int postgres_copy_start(struct postgres_copy *c, const char *sql, struct err *e);
int postgres_copy_post(struct postgres_copy *c, const struct post *p, int64_t batch_id, struct err *e);
int postgres_copy_event(struct postgres_copy *c, const struct post *p, int64_t batch_id, struct err *e);

/* `why` may hold bytes that are not UTF-8 (a message cut in mid-letter); they become U+FFFD. */
int postgres_copy_reject(struct postgres_copy *c, int64_t batch_id, uint64_t sequence, struct view why,
                         struct view frame, struct err *e);
int postgres_copy_end(struct postgres_copy *c, uint64_t *rows, struct err *e);

#endif
