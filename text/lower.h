/* text/lower.h - lower case for storing, folded case for comparing.
 *
 * Lower case follows the Unicode Standard's default algorithm without any language's rules (root locale):
 * final sigma is ς, İ (U+0130) becomes i and U+0307 as in every language but Turkish. Folding is for
 * comparing only: full-width and half-width forms (U+FF00 to U+FFEF) in their usual width ("Ｔｅａ" is "Tea",
 * "ｺﾞﾐ" is "ゴミ"), full case folding, then NFC, so that two spellings that differ in width, case or
 * composition become the same bytes (canonical caseless matching, The Unicode Standard, 3.13, D145), and
 * accents stay. Other compatibility characters stay what they are (① is not 1). Texts of ASCII alone take a
 * fast path. What is not UTF-8 becomes U+FFFD.
 */
#ifndef ROOST_TEXT_LOWER_H
#define ROOST_TEXT_LOWER_H

#include "base/arena.h"
#include "base/view.h"
#include "text/worker.h"

/* Above this (64 MiB) lower, fold and break functions refuse a text: ICU counts in 32 bits. */
#define TEXT_MAXIMUM ((size_t)64 * 1024 * 1024)

/* v in lower case; v itself when it already is ASCII without capitals. Absent for the absent view, when the
 * arena is full (arena_failed), or above TEXT_MAXIMUM (which makes the arena fail, too). */
struct view text_lower(const struct text_worker *w, struct view v, struct arena *a);

/* v folded, with the same results for failures and the fast path. Any thread. */
struct view text_fold(struct view v, struct arena *a);

/* v in Unicode's composed form (NFC), which networks keep texts in, case as it is; with the same results for
 * failures and the fast path. Any thread. */
struct view text_compose(struct view v, struct arena *a);

/* True when every byte is below 0x80. */
bool text_is_ascii(struct view v);

#endif
