/* ingest/rules_change.h - what it takes to make a server's rules be the wanted ones.
 *
 * Rules whose tag begins with this source's prefix are ours; all others belong to other programs of the
 * account and are never touched. A rule of ours whose value is wanted stays as it is, with its old tag. A
 * wanted value that a rule of another program has already is left to that one, since the server would refuse
 * it as a duplicate: `foreign`.
 *
 * Additions come before deletions. Where the account has no room for all of both at once, they go in steps:
 * each adds what there is room for and then deletes the old rules of which every keyword is asked for by a
 * new one, or wanted no more. When a step can do neither, it deletes some first and adds at once; the
 * keywords of those are not asked for in between, and the step says so (`gap`).
 *
 * Plain data once made; pure functions, any thread.
 */
#ifndef ROOST_INGEST_RULES_CHANGE_H
#define ROOST_INGEST_RULES_CHANGE_H

#include "ingest/rules.h"

/* A rule on the server; tag is absent where it has none. */
struct rules_held {
    struct view id, value, tag;
};

struct rules_pair {
    uint32_t wanted; /* index into rules->items */
    uint32_t held;   /* index into the server's list */
};

struct rules_step {
    uint32_t add, remove; /* this many further ones of rules_change.add and .remove */
    bool gap;             /* removals first */
};

struct rules_change {
    const struct rules_pair *keep, *foreign;
    size_t keep_count, foreign_count;
    const uint32_t *add; /* indices into rules->items, in the order of the steps */
    size_t add_count;
    const uint32_t *remove; /* indices into the server's list, likewise */
    size_t remove_count;
    const struct rules_step *steps;
    size_t step_count;
    size_t gaps;   /* rules that are removed before what replaces them is there */
    size_t others; /* rules of other programs on the server */
};

/* The change lies in the arena; its indices are into rules and held. -1: ERR_FATAL when the wanted rules and
 * those of other programs are more than rules_maximum together, ERR_RETRY when memory is out. */
int rules_change_find(const struct rules *rules, const struct rules_held *held, size_t held_count,
                      struct arena *a, struct rules_change *change, struct err *e);

#endif
