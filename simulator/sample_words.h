/* simulator/sample_words.h - the words of the made-up stream: languages, sentences, names, places. Data only.
 *
 * Sentences have slots: {t} the topic in that language, {#} a hashtag, {@} a user, {u} a link, {e} an emoji,
 * {n} a number, {p} a place, {$} a cashtag. Every sentence goes with every topic.
 */
#ifndef ROOST_SIMULATOR_SAMPLE_WORDS_H
#define ROOST_SIMULATOR_SAMPLE_WORDS_H

#include "base/view.h"

#include <stddef.h>
#include <stdint.h>

enum { SAMPLE_TOPICS = 8, SAMPLE_NAMES = 4, SAMPLE_SENTENCES = 8, SAMPLE_LANGUAGES = 17 };

struct sample_language {
    const char *code;                        /* as v1.1 writes it: iw, in, und */
    unsigned weight;                         /* its share, in a sum of weights */
    const char *topics[SAMPLE_TOPICS];       /* the topic inside a sentence */
    const char *tags[SAMPLE_TOPICS];         /* as a hashtag, without '#' */
    const char *names[SAMPLE_NAMES];         /* display names of users */
    const char *sentences[SAMPLE_SENTENCES]; /* NULL after the last */
};

struct sample_place {
    const char *id, *name, *full_name, *country_code, *country;
    int32_t west, south, east, north; /* in 1/10,000 degree */
};

extern const struct sample_language SAMPLE_LANGUAGE[SAMPLE_LANGUAGES];
extern const struct view
    SAMPLE_TOPIC[SAMPLE_TOPICS]; /* in English; also the first part of the path of a link */
extern const struct view_list SAMPLE_EMOJI, SAMPLE_CASHTAGS, SAMPLE_SOURCES, SAMPLE_ODDITIES, SAMPLE_HANDLES;
extern const struct sample_place SAMPLE_PLACE[];
extern const size_t SAMPLE_PLACE_COUNT;

#endif
