/* config/ini.h - what one line of the configuration file is: pure, no memory, no messages of its own but
 * `problem`. */
#ifndef ROOST_CONFIG_INI_H
#define ROOST_CONFIG_INI_H

#include "base/view.h"

enum ini_kind {
    INI_NOTHING, /* empty, or a comment */
    INI_SECTION, /* [word], [word argument] */
    INI_KEY,     /* word = value */
    INI_NEITHER
};

struct ini_line {
    enum ini_kind kind;
    struct view word; /* the section's kind, or the key; trimmed */
    struct view
        argument; /* the section's name, may be empty; or the value: trimmed, comment cut off, quotes kept */
    const char *
        problem; /* what is wrong and what would be right; NULL: nothing. A key with a problem has its word */
};

/* `line` has no line end. */
struct ini_line ini_read(struct view line);

/* A value without its double quotes, into `out` of at least value.length + 1 bytes; ended by NUL. Returns its
 * length. */
size_t ini_unquote(struct view value, char *out);

/* The next item of a comma separated value: up to a comma outside quotes; trimmed, quotes kept. Moves *rest
 * behind the comma. 1: there was an item (perhaps empty); 0: the value is at its end (rest->at == NULL). */
int ini_next_item(struct view *rest, struct view *item);

#endif
