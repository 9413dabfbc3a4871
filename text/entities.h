/* text/entities.h - hashtags, mentions, cashtags, links and emoji found in a text, for networks and formats
 * whose payload does not name them, and for posts whose payload lists are cut.
 *
 * The rules are those of twitter-text, written anew: what stands before a sign, which characters a name may
 * have, what may not follow. Links are found from http:// and https:// on; a bare domain ("example.com") is
 * none here, since telling it from "end.Start" takes a list of top-level domains. Nothing is found inside a
 * link. Positions and views are bytes of the text given. Input that is not UTF-8 is never misread as
 * something else: a bad subpart is a character that belongs to nothing. Work is linear in the text's length,
 * but for emoji (ICU's segmentation) it uses no ICU handle, so all threads may call it.
 */
#ifndef ROOST_TEXT_ENTITIES_H
#define ROOST_TEXT_ENTITIES_H

#include "base/arena.h"
#include "base/view.h"
#include "text/worker.h"

enum text_entity_kind { TEXT_HASHTAG, TEXT_MENTION, TEXT_CASHTAG, TEXT_LINK };

struct text_entity {
    enum text_entity_kind kind;
    size_t start, end; /* bytes, with the sign; end is behind it */
    struct view name;  /* without the sign; of a link: all of it */
};

struct text_entities {
    const struct text_entity *items; /* in order of the text, never overlapping */
    size_t count;
};

/* All of them. -1: the arena is full. */
int text_entities(struct view text, struct arena *a, struct text_entities *found);

/* The names of one kind, in order, as they stand in the text, with repeats. An empty list has items == NULL;
 * so has a failed one (arena_failed). */
struct view_list text_entity_names(const struct text_entities *found, enum text_entity_kind kind,
                                   struct arena *a);

/* Which emoji the text has: each distinct one once, by first appearance, as the grapheme cluster that stands
 * there (with skin tone, joined persons, flag, keycap, U+FE0F where it was typed). A cluster is an emoji when
 * by Unicode it is shown as one (Emoji_Presentation, or with U+FE0F, a skin tone or a keycap mark, or a pair
 * of regional indicators); also signs of U+2600 to U+27BF like a bare U+2764, which phones and networks show
 * in colour. With U+FE0E it is text. An empty list has items == NULL; so has a failed one (arena_failed). */
struct view_list text_emoji(struct text_worker *w, struct view text, struct arena *a);

#endif
