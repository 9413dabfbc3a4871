/* config/suggest.h - "did you mean ...?": the name nearest to what was written. */
#ifndef ROOST_CONFIG_SUGGEST_H
#define ROOST_CONFIG_SUGGEST_H

#include "base/view.h"

struct suggest {
    struct view word;
    const char *best; /* NULL: nothing is near */
    size_t distance;
};

/* Begins with a word that is no name. */
struct suggest suggest_for(struct view word);

/* Offers a name; it becomes `best` when it is nearer than those before and near enough to be a slip: an edit
 * distance (insert, delete, replace, swap neighbours; upper and lower case are the same) of at most a third
 * of its length. */
void suggest_offer(struct suggest *s, const char *name);

#endif
