/* simulator/answers.h - what the stream host answered when it was no stream: heads and bodies as they were
 * seen.
 *
 * Known bodies (issue threads of client libraries, 2012 to 2023) are given byte for byte; those of 413, 416
 * and 503 are not known and have the HTML form of the others.
 */
#ifndef ROOST_SIMULATOR_ANSWERS_H
#define ROOST_SIMULATOR_ANSWERS_H

#include "base/buffer.h"
#include "base/view.h"

/* Appends a whole answer, to be closed afterwards. `text` is the body as text/plain; NULL: the host's HTML
 * page for the status and path. */
void answers_add(struct buffer *into, int status, const char *text, struct view path);

/* The same for API v2: a JSON body. headers: whole lines ("a: b\r\n"), or empty. */
void answers_add_json(struct buffer *into, int status, struct view body, struct view headers);

struct answers_parts {
    int status;
    const char *type;          /* Content-Type; NULL: none, as without a body */
    struct view headers, body; /* headers: whole lines, or empty */
    int64_t date_skew_s;       /* added to the Date header */
};

/* Any other answer, to be closed afterwards. */
void answers_add_parts(struct buffer *into, const struct answers_parts *parts);

/* Appends only the host's HTML page for a status. */
void answers_add_page(struct buffer *into, int status, struct view path);

/* The words beside a status: "Not Found". */
const char *answers_phrase(int status);

/* Appends the head of a stream. coding: the Content-Encoding, or NULL; headers: further lines. */
void answers_add_stream_head(struct buffer *into, bool chunked, const char *coding, struct view headers);

#endif
