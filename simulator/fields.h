/* simulator/fields.h - what a client of API v2 asked to see: field and expansion parameters, and a payload
 * cut to them.
 *
 * A payload is kept with all that is known; what was not asked for is left out when it is sent, as the
 * service does, so that a client that forgets to ask notices. An expansion brings the attribute that it
 * expands. The cut is made on the bytes: what stays is as it was.
 */
#ifndef ROOST_SIMULATOR_FIELDS_H
#define ROOST_SIMULATOR_FIELDS_H

#include "base/buffer.h"
#include "simulator/parameters.h"

#include <stdbool.h>
#include <stdint.h>

enum fields_kind { FIELDS_TWEET, FIELDS_USER, FIELDS_PLACE, FIELDS_MEDIA, FIELDS_POLL, FIELDS_KINDS };

struct fields {
    uint64_t asked[FIELDS_KINDS]; /* bit i: the name number i of its list */
    uint32_t expansions;
    bool all; /* nothing is left out */
    bool
        newer_names; /* edit_history_post_ids, referenced_posts, note_post, as the OpenAPI of 2026 has them */
    int backfill_minutes;     /* 0: none */
    int64_t start_ms, end_ms; /* start_time and end_time, wall time; 0: not given */
};

/* Reads the parameters of a stream request. -1: some name or value is none that exists; *errors gets the
 * members of the answer's "errors" array. */
int fields_read(const struct parameters *p, struct fields *fields, struct buffer *errors);

/* Appends one member of an "errors" array: a parameter and what is wrong with it. */
void fields_add_error(struct buffer *errors, const char *name, const char *value, const char *message);

/* Appends the payload with only what was asked for, and with these rules (a JSON array) in place of its own.
 * `extra_error`: one more object for its errors, or absent. What is no payload is appended as far as it is
 * one. */
void fields_project(const struct fields *fields, struct view payload, struct view matching_rules,
                    struct view extra_error, struct buffer *into);

#endif
