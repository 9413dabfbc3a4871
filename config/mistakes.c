/* config/mistakes.c - the list of mistakes, and how names and values are shown in them. */
#include "base/utf8.h"
#include "config/state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHOWN_POINTS = 60, SHOWN_NAME = 32, MISTAKE_POINTS = 2000 };

char *config_string(struct config *c, struct view text)
{
    struct view copy = arena_view(c->memory, text);
    return (char *)copy.at;
}

static char *print_list(struct config *c, const char *format, va_list arguments)
{
    char *heap = NULL;
    if (vasprintf(&heap, format, arguments) < 0) {
        c->failed = true;
        return NULL;
    }
    char *text = config_string(c, view_of(heap));
    free(heap);
    return text;
}

const char *config_print(struct config *c, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const char *text = print_list(c, format, arguments);
    va_end(arguments);
    return text ? text : "";
}

/* Control characters and what is not UTF-8 (a path may be anything) become '?', in place. */
static void make_harmless(char *text, size_t length)
{
    struct view view = view_make(text, length);
    for (size_t at = 0; at < length;) {
        size_t began = at;
        uint32_t point = utf8_next(view, &at);
        if (point == UTF8_BAD || point < ' ' || (point >= 0x7F && point < 0xA0)) {
            memset(text + began, '?', at - began);
        }
    }
}

/* The text, harmless, at most `points` code points of it. */
static const char *cut(struct config *c, struct view value, size_t points)
{
    size_t end = utf8_offset(value, points);
    char *text = config_string(c, view_make(value.at ? value.at : "", end));
    if (!text) {
        return "";
    }
    make_harmless(text, end);
    return end == value.length ? text : config_print(c, "%s...", text);
}

const char *config_shown(struct config *c, struct view value)
{
    return cut(c, value, SHOWN_POINTS);
}

const char *config_shown_name(struct config *c, const char *what, struct view word)
{
    bool lower = false, upper = false, other = !word.length || word.length > SHOWN_NAME;
    for (size_t i = 0; i < word.length; i++) {
        char ch = word.at[i];
        bool is_upper = ch >= 'A' && ch <= 'Z';
        lower |= ch >= 'a' && ch <= 'z';
        upper |= i && is_upper;
        other |= !is_upper && (ch < 'a' || ch > 'z') && (ch < '0' || ch > '9') && ch != '_' && ch != '-';
    }
    if (other || (lower && upper)) {
        return config_print(c, "this %s", what);
    }
    return config_print(c, "%s \"%.*s\"", what, VIEW_PRINT(word));
}

const char *config_section_shown(const struct config_section *s)
{
    if (!s->name[0]) {
        return config_print(s->config, "[%s]", s->kind->section);
    }
    return config_print(s->config, "[%s %s]", s->kind->section, s->name);
}

struct config_place config_place_of(const struct config *c, unsigned line)
{
    return (struct config_place){.file = c->path, .line = line};
}

static struct config_mistake_line *mistake_slot(struct config *c)
{
    if (c->mistake_count == c->mistake_capacity) {
        size_t capacity = c->mistake_capacity ? c->mistake_capacity * 2 : 16;
        struct config_mistake_line *grown = realloc(c->mistakes, capacity * sizeof *grown);
        if (!grown) {
            c->failed = true;
            return NULL;
        }
        c->mistakes = grown;
        c->mistake_capacity = capacity;
    }
    return &c->mistakes[c->mistake_count];
}

void config_mistake(struct config *c, struct config_place place, const char *format, ...)
{
    if (c->mistake_count >= CONFIG_MISTAKES_MAXIMUM) {
        c->mistakes_left_out++;
        return;
    }
    struct config_mistake_line *m = mistake_slot(c);
    if (!m) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    const char *what = print_list(c, format, arguments);
    va_end(arguments);
    const char *file = place.file ? place.file : c->path;
    const char *text = place.line ? config_print(c, "%s:%u: %s", file, place.line, what ? what : "")
                                  : config_print(c, "%s: %s", file, what ? what : "");
    *m = (struct config_mistake_line){
        .text = text, .file = file, .line = place.line, .order = c->mistake_count++};
}

size_t config_mistakes(const struct config *c)
{
    return c->mistake_count + (c->mistakes_left_out ? 1 : 0);
}

const char *config_mistake_text(const struct config *c, size_t index)
{
    if (index < c->mistake_count) {
        return c->mistakes[index].text;
    }
    return "further mistakes are not listed: correct these first";
}

/* The configuration file's own mistakes come first, those of other files in the order of their names. */
static int compare_mistakes(const void *left, const void *right, void *main_file)
{
    const struct config_mistake_line *a = left, *b = right;
    int order = strcmp(a->file, b->file);
    if (order) {
        if (!strcmp(a->file, main_file)) {
            return -1;
        }
        return strcmp(b->file, main_file) ? order : 1;
    }
    if (a->line != b->line) {
        return a->line < b->line ? -1 : 1;
    }
    return a->order < b->order ? -1 : 1;
}

void config_mistakes_sort(struct config *c)
{
    if (c->mistake_count) {
        qsort_r(c->mistakes, c->mistake_count, sizeof *c->mistakes, compare_mistakes, (void *)c->path);
    }
}
