/* simulator/sample_text.h - texts of the made-up stream: sentences filled in, with what is in them and where.
 *
 * A text is kept as v1.1 delivers it: UTF-8 with & < > as &amp; &lt; &gt;, and positions of entities count
 * its code points in that form.
 */
#ifndef ROOST_SIMULATOR_SAMPLE_TEXT_H
#define ROOST_SIMULATOR_SAMPLE_TEXT_H

#include "base/buffer.h"
#include "base/random.h"
#include "simulator/sample_words.h"

#include <stdbool.h>

enum {
    SAMPLE_ENTITIES = 32, /* per text; slots beyond are left empty */
    SAMPLE_USERS = 400,
    SAMPLE_TEXT_SHORT = 140, /* code points; a longer text is delivered with extended_tweet */
    SAMPLE_TEXT_MAX = 280
};

enum sample_entity_kind { SAMPLE_HASHTAG, SAMPLE_CASHTAG, SAMPLE_MENTION, SAMPLE_URL, SAMPLE_MEDIA };

struct sample_entity {
    enum sample_entity_kind kind;
    unsigned start, end; /* code points, the end exclusive */
    unsigned user;       /* MENTION: its number */
    char text[64];       /* HASHTAG, CASHTAG: without sign; URL, MEDIA: the t.co link */
    char expanded[120], display[80];
};

struct sample_user {
    uint64_t id;
    const char *name;
    char handle[16]; /* screen_name, at most 15 characters */
    unsigned language;
    uint32_t followers, friends, listed, favourites, statuses;
    int64_t created_ms;
    bool verified;
    unsigned place; /* where they say they are; SAMPLE_PLACE_COUNT: they do not */
};

struct sample_text {
    struct buffer bytes;
    unsigned points;
    struct sample_entity entities[SAMPLE_ENTITIES];
    size_t entity_count;
    unsigned display_start, display_end; /* without leading reply mentions and trailing media links */
};

/* What a text is filled from. */
struct sample_maker {
    struct random random;
    struct sample_user users[SAMPLE_USERS];
};

/* Percent of the time. */
bool sample_chance(struct sample_maker *m, unsigned percent);
uint64_t sample_pick(struct sample_maker *m, uint64_t below);

/* An empty text; its memory is freed by sample_text_free. */
void sample_text_start(struct sample_text *t);
void sample_text_free(struct sample_text *t);

/* Appends one sentence of a language about a topic, or any text with slots. */
void sample_text_add_sentence(struct sample_text *t, struct sample_maker *m, unsigned language,
                              unsigned topic, const char *sentence);

/* Appends plain text, escaped as v1.1 does. */
void sample_text_add(struct sample_text *t, struct view plain);

void sample_text_add_hashtag(struct sample_text *t, const char *tag);
void sample_text_add_mention(struct sample_text *t, const struct sample_maker *m, unsigned user);
void sample_text_add_link(struct sample_text *t, struct sample_maker *m, unsigned topic);

/* Appends the link of an attached picture; user and tweet go into its expanded form. */
void sample_text_add_media(struct sample_text *t, struct sample_maker *m, const char *handle, uint64_t tweet);

/* A t.co link of ten characters into text (24 bytes). */
void sample_text_link(struct sample_maker *m, char text[24]);

/* Fills `cut` with the first code points of `whole`, at most `most` of them, with an ellipsis behind, and the
 * entities that are whole inside, all moved by `shift` points (what stands before). Never cut inside an
 * escape, an entity or a character with its marks. What was in `cut` stays before it. */
void sample_text_add_cut(struct sample_text *cut, const struct sample_text *whole, unsigned most);

#endif
