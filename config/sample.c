#include "config/sample.h"

#include "config/ini.h"
#include "config/lines.h"
#include "config/state.h"

/* A place in the sample: the lines to come, and the section they are in. */
struct walk {
    struct lines lines;
    struct view section; /* its kind's name */
    struct view type;    /* the section's type, wherever it stands in it; absent: none */
};

static bool is_identifier(struct view word)
{
    for (size_t i = 0; i < word.length; i++) {
        char c = word.at[i];
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_') {
            return false;
        }
    }
    return word.length > 0;
}

static int next_line(struct lines *lines, struct ini_line *found)
{
    struct line line;
    while (lines_next(lines, &line)) {
        struct view text = view_trim(line.text);
        while (text.length && (text.at[0] == ';' || text.at[0] == '#')) {
            text = view_trim(view_from(text, 1));
        }
        *found = ini_read(text);
        if ((found->kind == INI_SECTION || found->kind == INI_KEY) && !found->problem &&
            is_identifier(found->word)) {
            return 1;
        }
    }
    return 0;
}

static struct view type_ahead(struct lines lines)
{
    struct ini_line line;
    while (next_line(&lines, &line) && line.kind == INI_KEY) {
        if (view_is(line.word, "type")) {
            return line.argument;
        }
    }
    return view_none();
}

/* The next key line. 0: there are no more. */
static int walk_next(struct walk *w, struct ini_line *key)
{
    while (next_line(&w->lines, key)) {
        if (key->kind == INI_KEY) {
            return 1;
        }
        w->section = key->word;
        w->type = type_ahead(w->lines);
    }
    return 0;
}

static bool names_key(struct view word, const struct config_key *key)
{
    size_t n = strlen(key->name);
    if (view_is(word, key->name)) {
        return true;
    }
    return config_key_has_file(key) && view_starts(word, view_of(key->name)) &&
           view_is(view_from(word, n), "_file");
}

static size_t check_row(struct view sample, const struct config_kind *kind,
                        const struct config_type_table *type, const struct config_key *key,
                        struct buffer *report)
{
    struct walk w = {.lines = lines_of(sample)};
    struct ini_line line;
    bool there = false;
    while (walk_next(&w, &line)) {
        if (!view_is(w.section, kind->section) || (type && !view_is(w.type, type->name)) ||
            !names_key(line.word, key)) {
            continue;
        }
        there = true;
        if (!key->fallback || view_is(line.argument, key->fallback)) {
            return 0;
        }
    }
    buffer_print(report, "[%s]%s%s %s: %s%s\n", kind->section, type ? " type " : "", type ? type->name : "",
                 key->name,
                 there ? "the sample has another value than the default, " : "is not in the sample",
                 there ? key->fallback : "");
    return 1;
}

static size_t check_rows(struct view sample, const struct config_kind *kind,
                         const struct config_type_table *type, struct buffer *report)
{
    const struct config_key *keys = type ? type->keys : kind->keys;
    size_t count = type ? type->key_count : kind->key_count, wrong = 0;
    for (size_t i = 0; i < count; i++) {
        wrong += check_row(sample, kind, type, &keys[i], report);
    }
    return wrong;
}

static bool is_known(const struct walk *w, struct view word, const struct config_kind *const *kinds,
                     size_t kind_count)
{
    for (size_t i = 0; i < kind_count; i++) {
        const struct config_kind *kind = kinds[i];
        if (!view_is(w->section, kind->section)) {
            continue;
        }
        bool by_file;
        const struct config_type_table *type = NULL;
        for (size_t j = 0; kind->types && kind->types[j]; j++) {
            type = view_is(w->type, kind->types[j]->name) ? kind->types[j] : type;
        }
        return config_key_find(kind, type, word, &by_file) || (kind->types && view_is(word, "type"));
    }
    return false;
}

size_t config_sample_check(struct view sample, const struct config_kind *const *kinds, size_t kind_count,
                           struct buffer *report)
{
    size_t wrong = 0;
    for (size_t i = 0; i < kind_count; i++) {
        wrong += check_rows(sample, kinds[i], NULL, report);
        for (size_t j = 0; kinds[i]->types && kinds[i]->types[j]; j++) {
            wrong += check_rows(sample, kinds[i], kinds[i]->types[j], report);
        }
    }
    struct walk w = {.lines = lines_of(sample)};
    struct ini_line line;
    while (walk_next(&w, &line)) {
        if (!is_known(&w, line.word, kinds, kind_count)) {
            buffer_print(report, "[%.*s] %.*s: the sample has it, no key table does\n", VIEW_PRINT(w.section),
                         VIEW_PRINT(line.word));
            wrong++;
        }
    }
    return wrong;
}
