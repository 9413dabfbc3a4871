/* text/keyword.h - one line of a keyword list, understood (design, section 4, "A keyword line").
 *
 *     word            that whole word, also as #word or @word
 *     two words       both, in any order
 *     "two words"     the phrase: these words side by side
 *     #tag @name $CASH   only as hashtag, mention, cashtag
 *     -word           never, for all lines of the list; also -"a phrase", -#tag
 *     = rule          a rule of the network, as it is
 *     # or "# ..."    a comment
 *
 * Parts may be mixed (`word "a phrase" -other`): all must hold. A comma outside quotes is an error, since
 * lists of other tools mean "or" by it: here each line is one keyword. Items of `[filter] keywords = a, b`
 * are read by the same parser, one by one.
 */
#ifndef ROOST_TEXT_KEYWORD_H
#define ROOST_TEXT_KEYWORD_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/err.h"
#include "base/view.h"

#include <stdbool.h>

enum keyword_kind { KEYWORD_WORD, KEYWORD_PHRASE, KEYWORD_HASHTAG, KEYWORD_MENTION, KEYWORD_CASHTAG };

struct keyword_part {
    enum keyword_kind kind;
    bool excluded;    /* written with '-' */
    struct view text; /* as written, without '-', sign and quotes; never empty */
};

struct keyword {
    struct view line; /* as written, trimmed; empty for a comment: then nothing else is set */
    struct view rule; /* of `= rule`, trimmed; absent for others, and then there is at least one part */
    const struct keyword_part *parts;
    size_t part_count;
};

/* Reads one line (UTF-8, without its line end). 1: *k is a keyword; 0: the line is empty or a comment; -1: it
 * is wrong, and the message says what is wrong and what would be right, without file and line, which the
 * caller knows (ERR_FATAL), or the arena is full (ERR_RETRY). What k points to is in the arena. */
int keyword_parse(struct view line, struct arena *a, struct keyword *k, struct err *e);

/* Appends one sentence without a line end: how the line was understood. */
void keyword_explain(const struct keyword *k, struct buffer *b);

/* Of the `track` parameter of X v1.1 (API document, sections 1.3, 1.4). */
enum { KEYWORD_TRACK_BYTES = 60 };

/* What the server asked with keyword_track cannot do, so that the local filter must; bits. */
enum keyword_beyond {
    KEYWORD_BEYOND_ORDER = 1,     /* a phrase: the server takes its words in any order and place */
    KEYWORD_BEYOND_EXCLUSION = 2, /* "-word" is not sent */
    KEYWORD_BEYOND_RULE = 4,      /* "= rule" is not sent: v1.1 knows no rules */
    KEYWORD_BEYOND_LENGTH =
        8, /* not all words fit into 60 bytes: the first that fit are sent, which finds more */
    KEYWORD_BEYOND_SCRIPT = 16, /* a script without spaces: the server finds it only where it stands alone, so
                                 * posts are missed and no local filter brings them back */
    KEYWORD_BEYOND_WORD =
        32 /* not one word fits into 60 bytes: this keyword finds nothing on such a server */
};

/* Appends the phrase for `track`: the words with one space between, no quotes, no comma, at most 60 bytes.
 * Nothing is appended when nothing can be sent (only exclusions, a rule, a word over 60 bytes). Returns bits
 * of keyword_beyond. */
int keyword_track(const struct keyword *k, struct buffer *b);

/* Appends one sentence without a line end: what a server asked by `track` cannot express of it (the bits that
 * keyword_track gave). Nothing for 0. */
void keyword_explain_beyond(int beyond, struct buffer *b);

#endif
