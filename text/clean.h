/* text/clean.h - the columns clean_text and word_count.
 *
 * clean_text (design, section 7) is the text in lower case (text/lower.h), without links, mentions and a
 * leading "rt @name:", its white space (Unicode White_Space) squeezed to one space and trimmed. What is
 * removed leaves nothing behind, so "の@nameに" becomes "のに". All of it is found in one pass over the
 * lowered text:
 *
 * - A link is anything from http:// or https://, also in mid-word, to the next white space, and each string
 * of `links` wherever it stands.
 * - A mention is @name (or ＠name) by twitter-text's rule, and an at sign followed by a name of `mentions`
 * that no letter or digit precedes and that does not go on. A name may be a handle with a host
 * ("user@example.org").
 * - "rt @name:" is removed once, at the very start (white space before it does not count); name is any
 * handle.
 *
 * Time is linear in text and lists, whatever they hold.
 */
#ifndef ROOST_TEXT_CLEAN_H
#define ROOST_TEXT_CLEAN_H

#include "base/arena.h"
#include "base/view.h"
#include "text/worker.h"

#include <stdint.h>

/* `links`: strings as they stand in the text; `mentions`: names without sign, any case. Both may be empty.
 * Never absent but for the absent text and when the arena is full (arena_failed); nothing left is the empty
 * view. */
struct view text_clean(const struct text_worker *w, struct view text, struct view_list links,
                       struct view_list mentions, struct arena *a);

/* Words that hold a letter or digit, by Unicode's segmentation (UAX #29) as ICU's root locale does it, with
 * ICU's dictionaries for scripts without spaces (Thai, Japanese, Chinese...). -1: memory is out, or the text
 * is above TEXT_MAXIMUM. ASCII takes a fast path with the same answer. */
int64_t text_word_count(struct text_worker *w, struct view text);

#endif
