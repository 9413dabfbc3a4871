/* simulator/rule_nodes.h - what rule.c and rule_parse.c share: a rule as a tree. Nobody else includes it. */
#ifndef ROOST_SIMULATOR_RULE_NODES_H
#define ROOST_SIMULATOR_RULE_NODES_H

#include "simulator/rule.h"

enum rule_node_kind {
    RULE_AND,
    RULE_OR,
    RULE_FACT,     /* one fact of the set */
    RULE_WORDS,    /* words in a row, or near each other */
    RULE_RANGE,    /* a count of the author */
    RULE_BOX,      /* the post's point or place lies in it */
    RULE_CIRCLE,   /* likewise; radius in kilometres */
    RULE_CONTAINS, /* a part of an expanded URL */
    RULE_NEVER
};

struct rule_node {
    enum rule_node_kind kind;
    bool negated;
    uint32_t next;  /* the next operand of the same group; 0: none (node 0 is the root) */
    uint32_t first; /* of RULE_AND and RULE_OR; of RULE_WORDS: its first word in `words` */
    uint64_t fact;
    uint8_t text;   /* enum rule_text_kind */
    uint32_t count; /* words */
    int near;       /* words that may stand between; -1: none, in this order */
    int64_t least, most;
    double west, south, east, north; /* a circle: lon, lat, radius in the first three */
    struct view part;
};

struct rule {
    char *text; /* a copy, ASCII in lower case, for `part` */
    struct rule_node *nodes;
    size_t node_count, node_capacity;
    struct rule_words words;
    unsigned sample; /* percent; 100: all */
};

#endif
