#include "ingest/version.h"

#include "base/checksum.h"
#include "base/clock.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PART_FULL = 256 * 1024, /* bytes after which the next rule begins a new event */
    PIECE_FULL = 64 * 1024, /* bytes of keyword lines after which a rule goes on in another piece */
    MOST_LANGUAGES_JSON = 64 * 1024
};

struct splitter {
    struct version_parts *parts;
    const struct version *version;
    size_t number; /* of the piece before */
    bool failed;
};

static uint32_t add_text(uint32_t sum, struct view text)
{
    return checksum_crc32c(checksum_crc32c(sum, text.at, text.length), "\n", 1);
}

char *version_name(const struct filter_settings *filter, char name[VERSION_NAME_SIZE])
{
    const char switches[] = {filter->retweets ? 'y' : 'n', filter->replies ? 'y' : 'n',
                             filter->quotes ? 'y' : 'n'};
    uint32_t sum = checksum_crc32c(0, switches, sizeof switches);
    for (size_t i = 0; i < filter->language_count; i++) {
        sum = add_text(sum, view_of(filter->languages[i]));
    }
    sum = add_text(sum, VIEW(""));
    for (size_t i = 0; i < filter->keyword_count; i++) {
        sum = add_text(sum, filter->keywords[i].keyword.line);
    }
    snprintf(name, VERSION_NAME_SIZE, "%08x", sum);
    return name;
}

/* --- splitting --- */

static struct buffer *new_part(struct splitter *s)
{
    struct version_parts *parts = s->parts;
    struct buffer *more = reallocarray(parts->rules, parts->count + 1, sizeof *more);
    if (!more) {
        s->failed = true;
        return NULL;
    }
    parts->rules = more;
    more[parts->count] = BUFFER(VERSION_BODY_MAXIMUM);
    return &more[parts->count++];
}

/* Where the next piece goes, with a comma before it; NULL: memory is out. */
static struct buffer *place_piece(struct splitter *s)
{
    struct version_parts *parts = s->parts;
    struct buffer *part = &parts->rules[parts->count - 1];
    if (part->length >= PART_FULL) {
        return new_part(s);
    }
    if (part->length) {
        buffer_add_byte(part, ',');
    }
    return part;
}

static void add_member(struct buffer *b, const char *key, struct view value)
{
    if (!view_absent(value)) {
        buffer_print(b, ",\"%s\":", key);
        json_add_string(b, value);
    }
}

/* One piece of a rule, from its line `from` on; returns the line that the next one begins with. */
static size_t add_piece(struct splitter *s, const struct version_rule *rule, size_t from)
{
    struct buffer *b = place_piece(s);
    if (!b) {
        return rule->line_count;
    }
    buffer_print(b, "{\"number\":%zu", ++s->number);
    add_member(b, "id", rule->id);
    add_member(b, "tag", rule->tag);
    add_member(b, "rule", rule->value);
    buffer_add_text(b, ",\"keywords\":[");
    size_t start = b->length, i = from;
    for (; i < rule->line_count && b->length - start < PIECE_FULL; i++) {
        if (i > from) {
            buffer_add_byte(b, ',');
        }
        json_add_string(b, s->version->filter->keywords[rule->lines[i]].keyword.line);
    }
    buffer_add_text(b, "]}");
    s->failed |= buffer_failed(b);
    return i;
}

static void add_rule(struct splitter *s, const struct version_rule *rule)
{
    size_t line = 0;
    do {
        line = add_piece(s, rule, line);
    } while (line < rule->line_count && !s->failed);
}

static void add_languages(struct splitter *s)
{
    const struct filter_settings *filter = s->version->filter;
    struct buffer *b = &s->parts->languages;
    *b = BUFFER(MOST_LANGUAGES_JSON);
    buffer_add_byte(b, '[');
    for (size_t i = 0; i < filter->language_count; i++) {
        if (i) {
            buffer_add_byte(b, ',');
        }
        json_add_string(b, view_of(filter->languages[i]));
    }
    buffer_add_byte(b, ']');
    s->failed |= buffer_failed(b);
}

static void find_contents(struct version_parts *parts)
{
    uint32_t sum = add_text(0, buffer_view(&parts->languages));
    for (size_t i = 0; i < parts->count; i++) {
        sum = add_text(sum, buffer_view(&parts->rules[i]));
    }
    snprintf(parts->contents, sizeof parts->contents, "%08x", sum);
}

struct version_parts *version_split(const struct version *v)
{
    struct splitter s = {.version = v, .parts = calloc(1, sizeof(struct version_parts))};
    if (!s.parts) {
        return NULL;
    }
    snprintf(s.parts->name, sizeof s.parts->name, "%s", v->name);
    s.parts->since = v->since;
    s.parts->network = view_copy(view_of(v->network));
    s.failed = !s.parts->network;
    add_languages(&s);
    new_part(&s);
    for (size_t i = 0; i < v->rule_count && !s.failed; i++) {
        add_rule(&s, &v->rules[i]);
    }
    if (s.failed) {
        version_parts_free(s.parts);
        return NULL;
    }
    find_contents(s.parts);
    return s.parts;
}

bool version_same(const struct version_parts *parts, const char *name, const char *contents)
{
    return !strcmp(parts->name, name) && !strcmp(parts->contents, contents);
}

/* --- bodies --- */

void version_write(struct buffer *body, const struct version_parts *parts, size_t index)
{
    char since[CLOCK_TEXT_SIZE];
    buffer_print(body,
                 "{\"version\":\"%s\",\"contents\":\"%s\",\"since\":\"%s\",\"part\":%zu,\"parts\":%zu,"
                 "\"languages\":",
                 parts->name, parts->contents, clock_format(parts->since, since), index + 1, parts->count);
    buffer_add_view(body, buffer_view(&parts->languages));
    buffer_add_text(body, ",\"rules\":[");
    buffer_add_view(body, buffer_view(&parts->rules[index]));
    buffer_add_text(body, "]}");
}

void version_write_end(struct buffer *body, int64_t wall_ms)
{
    char at[CLOCK_TEXT_SIZE];
    buffer_print(body, "{\"ended_at\":\"%s\"}", clock_format(wall_ms, at));
}

void version_parts_free(struct version_parts *parts)
{
    if (!parts) {
        return;
    }
    for (size_t i = 0; i < parts->count; i++) {
        buffer_free(&parts->rules[i]);
    }
    buffer_free(&parts->languages);
    free(parts->rules);
    free(parts->network);
    free(parts);
}
