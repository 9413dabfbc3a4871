/* config/lines.h - a text cut into lines: BOM, CRLF and a missing last line end are fine; what is wrong with
 * a line is said, and the next one is read. Pure: it allocates nothing and reports nothing itself.
 */
#ifndef ROOST_CONFIG_LINES_H
#define ROOST_CONFIG_LINES_H

#include "base/view.h"

struct lines {
    struct view rest;
    unsigned number; /* of the line read last, from 1 */
};

struct line {
    struct view text; /* without its line end, not trimmed */
    unsigned number;
    char problem[160]; /* what is wrong and what would be right; "": nothing */
};

/* Begins at the start of a text; a BOM there is passed over. */
struct lines lines_of(struct view text);

/* 1: *line is the next one; 0: there are no more. */
int lines_next(struct lines *lines, struct line *line);

#endif
