/* text/matcher.h - which of many keywords a post matches, in one pass over its text.
 *
 * All keywords are compiled into one automaton, which is read-only from then on: any number of threads may
 * match with it. The time for a post depends on its length and on what is found, not on how many keywords
 * there are.
 *
 * What matches:
 * - Upper and lower case are the same (full Unicode folding: "straße" is "STRASSE"), spellings that differ in
 *   composition only are the same (NFC), so are full width, half width and the usual one ("Ｔｅａ" is "tea",
 * "ｺﾞﾐ" is "ゴミ"), accents are not ("touché" is not "touche").
 * - A word matches as a whole word: letters, marks, numbers and '_' together. Punctuation and symbols around
 * it do not count, nor does '#' or '@' before it: `twitter` is found in "Twitter!", "#twitter", "@Twitter"
 * and "http://twitter.com", not in "TwitterTracker" or "#newtwitter". A word with punctuation inside
 * (`coca-cola`, `example.com`) is its words side by side.
 * - Underscores at a word's ends do not count (`art` is found in "_art_"), but those of a name in the text
 * do: `ada` is not found in "@_ada_", while `_ada_` is, and in "ada" too.
 * - A soft hyphen and the variation selectors of emoji do not count; a zero-width joiner or non-joiner
 * between two letters of a word is one of its characters, elsewhere it is nothing.
 * - Apostrophes (' ’ ʼ ＇ are the same): `Twitter's` is found in "Twitter's new design", not in "@Twitter's
 * office". As a possessive 's and a short elided word belong to the sentence rather than to the name,
 * `twitter` is found in "Twitter's" and `iran` in "l'Iran"; but `don` is not found in "don't". An apostrophe
 * beside an underscore is punctuation. Short: at most two characters before the apostrophe, since the word's
 * start or its last apostrophe. Such an apostrophe is a word of its own between the two, so `"twitter s"` is
 * not found in "Twitter's". In a name behind '@' or
 * '#' an apostrophe is punctuation.
 * - A phrase is its words side by side in order, with nothing but white space, punctuation and symbols
 * between; an emoji (Unicode's property Emoji, outside ASCII) is a word, with all that is joined to it.
 * - In scripts written without spaces (Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar) a word matches
 * anywhere, also inside a longer run, but not in pieces. Words of a phrase in them stand side by side with
 * gaps between all, or none. Where such a script and another meet, both have a word's end: `line` is found in
 * "LINEスタンプ", and `コロナ2020` is its two words side by side, with a gap or without. Their own marks are
 * characters of the run wherever they stand.
 * - #tag, @name, $CASH match an entry of the post's lists, whole.
 * - Words are looked for in the text, in the hashtags and in the (expanded) links, a link's protocol left
 * out; links to t.co ("https://t.co/...") are passed over, since their letters mean nothing. Not in mentions
 * and cashtags: these stand in the text.
 * - A raw rule (`= ...`) never matches here: the network says when it does.
 */
#ifndef ROOST_TEXT_MATCHER_H
#define ROOST_TEXT_MATCHER_H

#include "text/keyword.h"

#include <stdint.h>

struct matcher;

/* Compiles the keywords (what they point to is not needed afterwards). NULL: memory is out, or the keywords
 * have over 1 GiB of text. Takes about 70 bytes a byte of keyword. The caller frees it. */
struct matcher *matcher_new(const struct keyword *keywords, size_t count, struct err *e);

/* NULL does nothing. */
void matcher_free(struct matcher *m);

struct matcher_input {
    struct view text;          /* the post's whole text */
    struct view_list hashtags; /* without sign; any case */
    struct view_list mentions; /* likewise */
    struct view_list cashtags; /* likewise */
    struct view_list urls;     /* expanded links, also as "example.com/path" */
};

/* Indices into the array given to matcher_new, ascending, each once. */
struct matcher_result {
    const uint32_t *matched; /* all wanted parts of the keyword are there (there is at least one) */
    size_t matched_count;
    const uint32_t
        *excluded; /* a part that the keyword excludes is there: the post is not wanted by its list */
    size_t excluded_count;
};

/* -1: the arena is full. It takes about eight times the text's length there, and two bits a keyword part. A
 * keyword can be in both lists; whether an exclusion takes the post away from one list or from all is for the
 * caller to say. */
int matcher_match(const struct matcher *m, const struct matcher_input *input, struct arena *a,
                  struct matcher_result *result);

#endif
