#include "config/lines.h"

#include "base/file.h"
#include "base/utf8.h"
#include "config/state.h"

#include <stdio.h>
#include <stdlib.h>

struct lines lines_of(struct view text)
{
    struct view bom = VIEW("\xEF\xBB\xBF");
    return (struct lines){.rest = view_starts(text, bom) ? view_from(text, bom.length) : text};
}

static void find_problem(struct line *line)
{
    line->problem[0] = '\0';
    if (line->text.length > CONFIG_LINE_MAXIMUM) {
        snprintf(
            line->problem, sizeof line->problem,
            "the line has %zu bytes: at most %d; long lists fit into a file of their own, one entry a line",
            line->text.length, (int)CONFIG_LINE_MAXIMUM);
        return;
    }
    for (size_t at = 0; at < line->text.length;) {
        size_t began = at;
        uint32_t point = utf8_next(line->text, &at);
        if (point == UTF8_BAD) {
            snprintf(line->problem, sizeof line->problem,
                     "byte %zu of the line is not UTF-8: save the file as UTF-8", began + 1);
            return;
        }
        if (point == 0) {
            snprintf(line->problem, sizeof line->problem, "byte %zu of the line is NUL: a text file has none",
                     began + 1);
            return;
        }
    }
}

int lines_next(struct lines *lines, struct line *line)
{
    if (!lines->rest.length) {
        return 0;
    }
    const char *end = memchr(lines->rest.at, '\n', lines->rest.length);
    size_t length = end ? (size_t)(end - lines->rest.at) : lines->rest.length;
    line->text = view_make(lines->rest.at, length);
    lines->rest = view_from(lines->rest, end ? length + 1 : length);
    if (line->text.length && line->text.at[line->text.length - 1] == '\r') {
        line->text.length--;
    }
    line->number = ++lines->number;
    find_problem(line);
    return 1;
}

static struct config_line *collect(struct config *c, const char *file, struct view text, size_t *count)
{
    size_t most = text.length && text.at[text.length - 1] != '\n';
    for (size_t i = 0; i < text.length; i++) {
        most += text.at[i] == '\n';
    }
    if (most > CONFIG_LINES_MAXIMUM) {
        config_mistake(c, (struct config_place){.file = file}, "the file has %zu lines: at most %d", most,
                       (int)CONFIG_LINES_MAXIMUM);
        most = CONFIG_LINES_MAXIMUM;
    }
    struct config_line *found = arena_zeroed(c->memory, most, sizeof *found);
    struct lines lines = lines_of(text);
    struct line line;
    *count = 0;
    while (found && *count < most && lines_next(&lines, &line)) {
        struct config_place place = {.file = file, .line = line.number};
        struct view trimmed = view_trim(line.text);
        if (line.problem[0]) {
            config_mistake(c, place, "%s", line.problem);
        } else if (trimmed.length) {
            found[(*count)++] = (struct config_line){.text = trimmed, .place = place};
        }
    }
    return found;
}

int config_read_lines(struct config *c, const char *path, struct config_place asked_at,
                      struct config_line **lines, size_t *count)
{
    *lines = NULL;
    *count = 0;
    struct buffer bytes = BUFFER(CONFIG_FILE_MAXIMUM);
    struct err e;
    if (file_read(path, &bytes, &e)) {
        config_mistake(c, asked_at, "%s: name a text file that the service's user can read", e.text);
        buffer_free(&bytes);
        return -1;
    }
    struct view text = arena_view(c->memory, buffer_view(&bytes));
    buffer_free(&bytes);
    const char *file = config_string(c, view_of(path));
    if (!text.at || !file) {
        return -1;
    }
    *lines = collect(c, file, text, count);
    return *lines ? 0 : -1;
}
