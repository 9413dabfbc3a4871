/* text/repair.h - a line of JSON made safe for cJSON and PostgreSQL, and HTML's entities undone.
 *
 * cJSON fails on a lone surrogate escape and ends a string at \u0000; PostgreSQL refuses invalid UTF-8 and
 * NUL. So before a line is parsed: bytes that are not UTF-8 become U+FFFD (one for each maximal subpart, as
 * Unicode recommends), an escape of a lone surrogate becomes \ufffd, an escaped or raw NUL is dropped.
 * Everything else stays as it is, byte for byte, also where it is no JSON. After repair the line is UTF-8
 * without NUL in which no \u escape names a surrogate that is not half of a pair, nor U+0000; repairing again
 * changes nothing. A line that needs nothing is scanned once and not copied.
 */
#ifndef ROOST_TEXT_REPAIR_H
#define ROOST_TEXT_REPAIR_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/view.h"

#include <stdint.h>

/* What was repaired; added to, so that one struct can count for a whole stream. */
struct text_repairs {
    uint64_t invalid_utf8; /* subparts that became U+FFFD */
    uint64_t surrogates;   /* escapes that became \ufffd */
    uint64_t nul_escapes;  /* \u0000 dropped */
    uint64_t nul_bytes;    /* raw NUL dropped */
};

/* *result is `line` itself when nothing needs repair, else a view of *scratch, whose old contents go. A
 * repaired line is at most three times as long as the line. -1: scratch's maximum is too small, or memory is
 * out. Any thread. */
int text_repair(struct view line, struct buffer *scratch, struct text_repairs *counts, struct view *result);

/* `&amp;` `&lt;` `&gt;` become & < >, once, in a single pass (API document, section 7.1: exactly these three
 * are escaped in texts; "&amp;lt;" gives "&lt;"). Everything else stays. v itself when there is nothing to
 * do; absent when v is, or when the arena is full. Any thread. */
struct view text_unescape_html(struct view v, struct arena *a);

#endif
