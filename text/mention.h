/* text/mention.h - twitter-text's rule for a mention; for the files of this room only. */
#ifndef ROOST_TEXT_MENTION_H
#define ROOST_TEXT_MENTION_H

#include "text/characters.h"

static inline bool is_at_sign(uint32_t c)
{
    return c == '@' || c == POINT_WIDE_AT;
}

/* An at sign stands at `start` and ends at `name`: the byte behind the name if it is a mention, else 0. */
size_t mention_end(struct view text, size_t start, size_t name);

#endif
