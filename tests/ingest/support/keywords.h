/* tests/ingest/support/keywords.h - a filter made of keyword lines, without a configuration. */
#ifndef ROOST_TESTS_INGEST_SUPPORT_KEYWORDS_H
#define ROOST_TESTS_INGEST_SUPPORT_KEYWORDS_H

#include "ingest/rules.h"
#include "ingest/settings.h"

struct keyword_set {
    struct filter_settings filter;
    struct filter_keyword *items;
    struct arena *arena;
    size_t room;
};

/* An empty list; everything else as the configuration's defaults. */
void keyword_set_begin(struct keyword_set *set);

/* Adds a line; its place is "list:N", counted from 1. */
void keyword_set_add(struct keyword_set *set, const char *line);

/* Adds all lines, ended by NULL. */
void keyword_set_fill(struct keyword_set *set, const char *const *lines);

/* The list as rules of a source of this name; fails the test on any mistake. rules_free. */
struct rules *keyword_set_rules(const struct keyword_set *set, const char *source, int64_t length,
                                int64_t most);

void keyword_set_end(struct keyword_set *set);

#endif
