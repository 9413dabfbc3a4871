/* ingest/version.h - what a source asks its network for at one time, and how it is told across the bridge.
 *
 * A version is told whole, by events of kind `keywords`, several where the list is long:
 *
 *     {"version":"1a2b3c4d","contents":"5e6f7081","since":"2026-01-02T03:04:05.678Z","part":1,"parts":2,
 *      "languages":["en"],"rules":[{"number":1,"id":"17","tag":"roost:x:1a2b3c4d:1","rule":"(tea OR #tea)",
 *      "keywords":["tea"]},...]}
 *
 * `contents` is a checksum over all rules with their ids and tags, so that the same version that stands on
 * the server in another way is told apart. A rule with very many lines is told in several pieces, each with a
 * number of its own; what is absent is left out. The lines that stand in no rule (exclusions, words that the
 * network has no names for) come last, without a rule.
 */
#ifndef ROOST_INGEST_VERSION_H
#define ROOST_INGEST_VERSION_H

#include "base/buffer.h"
#include "ingest/settings.h"

enum {
    VERSION_NAME_SIZE = 9,                 /* 8 hexadecimal digits and NUL */
    VERSION_BODY_MAXIMUM = 2 * 1024 * 1024 /* bytes of an event's body, at most */
};

/* Views and arrays belong to the caller. */
struct version_rule {
    struct view id, tag;   /* on the server; absent: it has none */
    struct view value;     /* what is asked for; absent: nothing, these lines stand in no rule */
    const uint32_t *lines; /* indices into the filter's list */
    size_t line_count;
};

struct version {
    const char *network;
    const struct filter_settings *filter;
    char name[VERSION_NAME_SIZE];
    const struct version_rule *rules;
    size_t rule_count;
    int64_t since; /* wall time from which posts are matched with it */
};

/* The version's name: a checksum of lines, languages and switches. Returns name. */
char *version_name(const struct filter_settings *filter, char name[VERSION_NAME_SIZE]);

/* A version ready to be told. */
struct version_parts {
    char *network;
    char name[VERSION_NAME_SIZE], contents[VERSION_NAME_SIZE];
    int64_t since;
    struct buffer languages; /* JSON */
    struct buffer *rules;    /* JSON, one for each event */
    size_t count;            /* of events; at least 1 */
};

/* NULL: memory is out. What it was made from may go. */
struct version_parts *version_split(const struct version *v);
bool version_same(const struct version_parts *parts, const char *name, const char *contents);

/* Appends the body of event `index` (from 0). Fails only by the buffer's latch. */
void version_write(struct buffer *body, const struct version_parts *parts, size_t index);

/* Appends the body of the event that ends all versions of a source: {"ended_at":...}. */
void version_write_end(struct buffer *body, int64_t wall_ms);

/* NULL does nothing. */
void version_parts_free(struct version_parts *parts);

#endif
