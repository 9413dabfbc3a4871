/* config/sample.h - does the sample configuration agree with the key tables? For tests: a sample that lags
 * behind its program is worse than none.
 */
#ifndef ROOST_CONFIG_SAMPLE_H
#define ROOST_CONFIG_SAMPLE_H

#include "base/buffer.h"
#include "config/config.h"

/* Reads the sample's text: sections and `key = value` lines, also those that are commented out (`; key =
 * value`, and
 * `;[sink screen]` for a whole section). Every key of every table must stand in a section of its kind (and
 * type) once with its default as value; a key without default may have any value; a secret may stand as
 * KEY_file. A section or key in the sample that no table has is a disagreement too. Returns the number of
 * disagreements and appends one line for each to *report. */
size_t config_sample_check(struct view sample, const struct config_kind *const *kinds, size_t kind_count,
                           struct buffer *report);

#endif
