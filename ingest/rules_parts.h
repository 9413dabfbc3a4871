/* ingest/rules_parts.h - how lines, languages and exclusions are written in a rule; for rules*.c only. */
#ifndef ROOST_INGEST_RULES_PARTS_H
#define ROOST_INGEST_RULES_PARTS_H

#include "base/arena.h"
#include "base/buffer.h"
#include "ingest/rules.h"
#include "text/worker.h"

struct rules_writer {
    const struct text_worker *worker;
    struct arena *arena;
    struct buffer text; /* scratch */
};

/* The alternative for what a line wants, in the arena; absent: nothing is wanted, or X has no such names, or
 * memory is out (the arena's or the buffer's latch says so). */
struct view rules_write_line(struct rules_writer *w, const struct keyword *k);

/* "-word -#word -@word" for one excluded part; absent as above. */
struct view rules_write_exclusion(struct rules_writer *w, const struct keyword_part *part);

/* Appends " (lang:a OR lang:b) -is:retweet ..." to w->text. Returns how many of the languages have no code at
 * X and were left out. */
size_t rules_write_conditions(struct rules_writer *w, const struct filter_settings *filter);

#endif
