#include "config/ini.h"

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct ini_line read_section(struct view line)
{
    struct ini_line read = {.kind = INI_SECTION, .word = view_make("", 0), .argument = view_make("", 0)};
    const char *close = memchr(line.at, ']', line.length);
    if (!close) {
        read.problem = "a section without its closing bracket: [bridge] or [source NAME]";
        return read;
    }
    size_t end = (size_t)(close - line.at);
    struct view inside = view_trim(view_make(line.at + 1, end - 1));
    struct view after = view_from(line, end + 1);
    struct view rest = view_trim(after);
    if (rest.length && (rest.at[0] != ';' || rest.at == after.at)) {
        read.problem =
            "something stands behind the section's closing bracket: only a comment may, after a space and ;";
    }
    size_t word = 0;
    while (word < inside.length && !is_blank(inside.at[word])) {
        word++;
    }
    read.word = view_make(inside.at, word);
    read.argument = view_trim(view_from(inside, word));
    return read;
}

/* Cuts a comment off and finds an open quote. */
static struct view read_value(struct view text, bool *open)
{
    bool quoted = false;
    size_t end = 0;
    for (; end < text.length; end++) {
        char c = text.at[end];
        if (c == '"') {
            quoted = !quoted;
        } else if (c == ';' && !quoted && end && is_blank(text.at[end - 1])) {
            break;
        }
    }
    *open = quoted;
    return view_trim(view_make(text.at, end));
}

struct ini_line ini_read(struct view line)
{
    struct view text = view_trim(line);
    if (!text.length || text.at[0] == '#' || text.at[0] == ';') {
        return (struct ini_line){.kind = INI_NOTHING};
    }
    if (text.at[0] == '[') {
        return read_section(text);
    }
    const char *equals = memchr(text.at, '=', text.length);
    if (!equals || equals == text.at) {
        return (struct ini_line){
            .kind = INI_NEITHER,
            .problem = "the line is neither a [section] nor key = value: a comment begins with # or ;"};
    }
    size_t at = (size_t)(equals - text.at);
    bool open;
    struct ini_line read = {.kind = INI_KEY, .word = view_trim(view_make(text.at, at))};
    read.argument = read_value(view_from(text, at + 1), &open);
    if (open) {
        read.problem = "a double quote is opened and not closed: double quotes come in pairs (a value that "
                       "has one in it "
                       "goes into a file of its own)";
    }
    return read;
}

size_t ini_unquote(struct view value, char *out)
{
    size_t length = 0;
    for (size_t i = 0; i < value.length; i++) {
        if (value.at[i] != '"') {
            out[length++] = value.at[i];
        }
    }
    out[length] = '\0';
    return length;
}

int ini_next_item(struct view *rest, struct view *item)
{
    if (!rest->at) {
        return 0;
    }
    bool quoted = false;
    size_t end = 0;
    for (; end < rest->length && (quoted || rest->at[end] != ','); end++) {
        quoted ^= rest->at[end] == '"';
    }
    *item = view_trim(view_make(rest->at, end));
    *rest = end < rest->length ? view_from(*rest, end + 1) : view_none();
    return 1;
}
