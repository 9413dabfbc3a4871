/* simulator/rule_text.h - text as the rules of API v2 see it: words, folded, as numbers.
 *
 * Letters, marks and digits make words; everything else parts them (punctuation, symbols, separators, the
 * HTML escapes of the API), so "coca-cola" is two words. An emoji with what belongs to it is a word of its
 * own; variation selectors do not count. Case is folded, accents count ("Operators", X developer documents,
 * 2026).
 *
 * A word is a 64-bit hash: two different ones are taken for the same once in 2^64. 0 is no word.
 */
#ifndef ROOST_SIMULATOR_RULE_TEXT_H
#define ROOST_SIMULATOR_RULE_TEXT_H

#include "base/view.h"

#include <stdint.h>

/* Hashes that grow; zeroed is empty. The owner frees items. */
struct rule_words {
    uint64_t *items;
    size_t count, capacity;
    bool failed; /* memory ran out at some point */
};

void rule_words_add(struct rule_words *words, uint64_t word);
void rule_words_free(struct rule_words *words);

/* Appends the words of a text in their order. */
void rule_text_words(struct view text, struct rule_words *into);

/* True when the text is exactly one word with nothing around it: what a rule may hold without quotes. An
 * emoji with a variation selector, a joiner or a skin colour is none ("quote variants"). */
bool rule_text_is_word(struct view text);

/* The hash of a whole text, folded, whatever it holds: names, tags, values. */
uint64_t rule_text_hash(struct view text);

/* The hash of a fact: a word or text seen in one role ('#' a hashtag, 'f' an author). Never 0. */
uint64_t rule_text_fact(char role, uint64_t hash);

#endif
