/* text/automaton.h - which of many strings occur in a text, in one pass (Aho and Corasick, 1975); for the
 * files of this room only. Built once, then read-only: any number of threads may search. Time to build and
 * memory are linear in the strings' bytes, time to search in the text's bytes plus the occurrences found. */
#ifndef ROOST_TEXT_AUTOMATON_H
#define ROOST_TEXT_AUTOMATON_H

#include "base/arena.h"
#include "base/view.h"

#include <stdint.h>

#define AUTOMATON_NONE UINT32_MAX

struct automaton;

/* Room for strings of `bytes` bytes in all (below 2^30) and `count` of them, in the arena. NULL: the arena is
 * full. */
struct automaton *automaton_new(size_t bytes, size_t count, struct arena *a);

/* Adds a string, not empty; equal strings get the same number. Numbers go up from 0. Before automaton_finish.
 */
uint32_t automaton_add(struct automaton *m, struct view string);

/* Ready to search. -1: the arena is full. */
int automaton_finish(struct automaton *m, struct arena *a);

/* How many strings, and how long one is. */
size_t automaton_count(const struct automaton *m);
size_t automaton_length(const struct automaton *m, uint32_t string);

/* A search begins in state 0 and goes on byte by byte. */
uint32_t automaton_step(const struct automaton *m, uint32_t state, unsigned char byte);

/* The longest string that ends where the search is; *place is then where automaton_shorter goes on from.
 * AUTOMATON_NONE: none. */
uint32_t automaton_longest(const struct automaton *m, uint32_t state, uint32_t *place);
uint32_t automaton_shorter(const struct automaton *m, uint32_t *place);

#endif
