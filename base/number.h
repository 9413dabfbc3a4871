/* base/number.h - numbers read from text, with their range; nothing is guessed and nothing wraps. */
#ifndef ROOST_BASE_NUMBER_H
#define ROOST_BASE_NUMBER_H

#include "base/view.h"

#include <stdint.h>

/* Decimal digits with an optional '-', no spaces, the whole view. 0, or -1: not a number, or not in [min,
 * max]. */
int number_parse(struct view text, int64_t min, int64_t max, int64_t *value);

/* The same for unsigned values up to 2^64 - 1 (sequence numbers); no sign. */
int number_parse_unsigned(struct view text, uint64_t *value);

/* Exactly eight hexadecimal digits (either case), as a checksum is written. */
int number_parse_hex32(struct view text, uint32_t *value);

#endif
