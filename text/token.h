/* text/token.h - a text as the matcher compares it: words with one space around each; for the files of this
 * room only.
 *
 * Keywords and texts go through the same function, so a keyword occurs in a text when its token text is a
 * part of the text's token text. Spaces stand at both ends and around every word, so " art " is found only as
 * a whole word.
 *
 * - A word is a run of letters, marks, numbers and '_'; underscores at its ends are cut, unless '@' or '#'
 * stands before it. Runs in scripts written without spaces (Han, Hiragana, Katakana, Thai, Lao, Khmer,
 * Myanmar), with these scripts' own marks, are words of their own, apart from letters of other scripts beside
 * them. Each emoji is a word, without its variation selector.
 * - Everything else is a gap: one space, however long. "http://" is a gap, too, and so is a whole link to
 * t.co (X's shortener), whose letters nobody wrote.
 * - An apostrophe (', U+2019, U+02BC, U+FF07) inside a word stays there, as "'" ("don't"), but possessive
 * "'s" and what has at most two characters before the apostrophe ("l'iran", "o'brien") are two words with " '
 * " between: then "twitter" is found in "twitter's" and "iran" in "l'iran", while "twitter's" needs its
 * apostrophe. In a name behind
 *   '@' or '#' an apostrophe is a gap, since it never belongs to one (API document, section 1.4, rule 6).
 */
#ifndef ROOST_TEXT_TOKEN_H
#define ROOST_TEXT_TOKEN_H

#include "base/arena.h"
#include "base/view.h"

#include <stdint.h>

/* The token text of a folded text (text/lower.h). Without any word: one space. Absent: the arena is full. */
struct view token_text(struct view folded, struct arena *a);

/* How many words a token text has: its gaps but the last; the " ' " counts as a gap. */
size_t token_count(struct view tokens);

/* A character of a script written without spaces. */
bool token_point_is_unspaced(uint32_t point);

/* The first (or last) word of a token text is in a script written without spaces: then it matches as a
 * substring. */
bool token_first_is_unspaced(struct view tokens);
bool token_last_is_unspaced(struct view tokens);

/* Without the spaces between two words of such scripts; the same view when there are none. */
struct view token_join_unspaced(struct view tokens, struct arena *a);

#endif
