/* ingest/sample.h - a share of all posts, chosen by their ids: `sample = 10%` (docs/filter.md).
 *
 * A post is in the sample when its hash is below the share of 2^64. The hash is the first eight bytes, the
 * highest first, of the SHA-256 of "NETWORK/ID" ("x/1212092628029698048"). So the same posts are taken on
 * every machine, by every source and at any time, and a smaller sample is a part of a larger one.
 */
#ifndef ROOST_INGEST_SAMPLE_H
#define ROOST_INGEST_SAMPLE_H

#include "base/err.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SAMPLE_ALL = 1000 * 1000
}; /* shares are counted in millionths, which are ten-thousandths of a percent */

/* Reads "10%" or "0.0001%": above 0 and at most 100, at most four decimals. -1: it is not that, and the
 * message says what would be right. */
int sample_parse(const char *text, uint32_t *share, struct err *e);

/* The hash of a post. */
uint64_t sample_hash(struct view network, struct view id);

/* The least hash that is not in a share below SAMPLE_ALL. */
uint64_t sample_limit(uint32_t share);

/* True when the post is in the share (1 to SAMPLE_ALL). */
bool sample_has(uint32_t share, struct view network, struct view id);

#endif
