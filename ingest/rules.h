/* ingest/rules.h - a keyword list as rules of the X v2 filtered stream (API document, sections 5.3 and 5.4).
 *
 * Each line becomes one alternative, and as many alternatives as fit are joined to a rule:
 *
 *     word          word OR #word OR @word         (only what can be a hashtag or a name)
 *     two words     (two OR #two OR @two) (words OR #words OR @words)
 *     "two words"   "two words"
 *     #tag @name    as they are, in lower case; $CASH too
 *     -word         -word -#word -@word, behind the alternatives of every rule
 *     = rule        a rule of its own, as it is: nothing is added to it
 *
 *     (ALTERNATIVE OR ALTERNATIVE) (lang:en OR lang:in) -is:retweet -word -#word -@word
 *
 * Lines that ask for the same (case, composition, order of words) are one alternative. Everything else than
 * ASCII letters and digits is quoted, as the network wants it for punctuation.
 *
 * The rules depend on the list alone, not on its order and not on what a server has. Alternatives are sorted,
 * and where one rule ends and the next begins is decided by the alternatives that stand there, not by
 * counting from the first: an alternative with the smallest checksum for two rules' room to each side always
 * begins a rule; in between a rule ends in the last third of its room, where the next alternative has the
 * smallest checksum. So a line that comes or goes changes the rule it stands in and, now and then, a few
 * beside it (of 1,000 lines in 61 rules: 1.3 new rules on average, 8 at most; rules are 81 % full). When that
 * packing takes more rules than allowed, rules are filled to the brim instead: fewer, but a change then moves
 * everything behind it in the alphabet.
 *
 * Plain data once made; any thread may read it.
 */
#ifndef ROOST_INGEST_RULES_H
#define ROOST_INGEST_RULES_H

#include "ingest/settings.h"
#include "ingest/version.h"

enum {
    RULES_LENGTH_MOST = 4096, /* characters that a rule may be configured to have */
    RULES_TAG_SIZE = 128      /* "roost:SOURCE:VERSION:NUMBER" and NUL */
};

struct rules_limits {
    int64_t rule_length;   /* characters of one rule, 1 to RULES_LENGTH_MOST */
    int64_t rules_maximum; /* rules of the account, at least 1 */
};

struct rule {
    struct view value;
    struct view tag;
    size_t length;         /* of value, as the network counts (rule_length_of) */
    const uint32_t *lines; /* the keyword lines it came from: indices into the list */
    size_t line_count;
    bool raw; /* it is a `= rule` */
};

struct rules {
    const struct filter_settings *filter; /* what it was compiled from */
    const char *source;
    struct rules_limits limits;
    char
        version[VERSION_NAME_SIZE]; /* 8 hexadecimal digits: changes with the lines, languages and switches */

    const struct rule *items; /* packed ones in the order of the alphabet, then raw ones in the list's */
    size_t count;
    size_t longest; /* the greatest length; 0 without rules */
    bool brimful;   /* filled to the brim, see above */

    const struct view *alternatives; /* per line of the list: what it became; absent: it is not asked for */
    const uint32_t *rule_of_line; /* per line of the list: the number of its rule, from 1; 0: it is in none */
    struct view common;           /* what follows in every packed rule, with a space before it; or empty */
    size_t exclusions;            /* different exclusions in the list */
    size_t exclusions_left_out;   /* that found no room: the local filter alone knows them */
    size_t languages_left_out;    /* of the filter's, for which X has no code */
};

/* Where mistakes go; place.line 0: the source as a whole. */
struct rules_mistakes {
    void (*tell)(void *user, struct config_place place, const char *text);
    void *user;
};

/* NULL: ERR_FATAL when mistakes were told (a line too long for a rule, a raw rule that is none, too many
 * rules, nothing to ask for), ERR_RETRY when memory is out. filter and source must outlive the result, which
 * rules_free gives back. Takes n log n time. */
struct rules *rules_compile(const struct filter_settings *filter, const char *source,
                            const struct rules_limits *limits, const struct rules_mistakes *mistakes,
                            struct err *e);

/* NULL does nothing. */
void rules_free(struct rules *rules);

/* "roost:SOURCE:", with which the tags of this source's rules begin; returns prefix. */
char *rules_tag_prefix(const char *source, char prefix[RULES_TAG_SIZE]);

/* Length of a rule: UTF-16 code units. The network says "characters" and not which; this is the largest that
 * can be meant. */
size_t rule_length_of(struct view value);

#endif
