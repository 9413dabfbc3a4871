/* simulator/rule_facts.h - what the rules of API v2 ask of a post, read from its payload once.
 *
 * Everything that is a question of yes or no (a word is there, a hashtag, an author, a language) is a number
 * in one sorted set; texts are kept as words in their order for phrases. The text of a post is note_tweet's,
 * if it has one; of a retweet that of the original. A quote post has its own text and the quoted one's;
 * hashtags, mentions and links are its own alone.
 */
#ifndef ROOST_SIMULATOR_RULE_FACTS_H
#define ROOST_SIMULATOR_RULE_FACTS_H

#include "base/arena.h"
#include "simulator/rule_text.h"

#include <cjson/cJSON.h>

enum rule_text_kind {
    RULE_BODY,
    RULE_URL,
    RULE_BIO,
    RULE_BIO_NAME,
    RULE_BIO_LOCATION,
    RULE_URL_TITLE,
    RULE_URL_DESCRIPTION,
    RULE_SOURCE,
    RULE_TEXTS
};

enum rule_count { RULE_FOLLOWERS, RULE_FOLLOWING, RULE_POSTS, RULE_LISTED, RULE_COUNTS };

/* Roles of facts (rule_text_fact). The words of a text have the role '0' + its kind. */
enum {
    RULE_HASHTAG = '#',
    RULE_MENTION = '@',
    RULE_CASHTAG = '$',
    RULE_FROM = 'f',
    RULE_TO = 't',
    RULE_RETWEETS_OF = 'r',
    RULE_CONTEXT = 'c',
    RULE_ENTITY = 'e',
    RULE_CONVERSATION = 'v',
    RULE_PLACE = 'p',
    RULE_COUNTRY = 'y',
    RULE_IS = 'i',
    RULE_HAS = 'h',
    RULE_LANG = 'l',
    RULE_REPLY_TO_POST = 'q',
    RULE_RETWEET_OF_POST = 's'
};

struct rule_facts {
    const uint64_t *set; /* sorted, each once */
    size_t count;
    struct {
        const uint64_t *words; /* 0 stands between two texts */
        size_t count;
    } texts[RULE_TEXTS];
    struct view urls;            /* expanded ones, ASCII in lower case, a line each */
    int64_t counts[RULE_COUNTS]; /* of the author; -1: not known */
    bool placed;                 /* the box is the post's point or place, in degrees */
    double west, south, east, north;
    unsigned percentile; /* 0 to 99, by the post's id, for sample: */
};

/* Reads a parsed payload ({"data":{...},"includes":{...}}); what it keeps is in `memory`. -1: memory is out.
 */
int rule_facts_of(const cJSON *payload, struct arena *memory, struct rule_facts *facts);

static inline uint64_t rule_facts_word(enum rule_text_kind kind, uint64_t word)
{
    return rule_text_fact((char)('0' + (int)kind), word);
}

bool rule_facts_has(const struct rule_facts *facts, uint64_t fact);

#endif
