/* tests/support/match_lines.c - what the matcher says of many keyword lines and many posts.
 *
 * Usage: match_lines LINES POSTS. LINES has one keyword line a line, none empty; POSTS one post a line, as
 * JSON of the bridge. Prints a line for each post: the numbers of the lines that match, from 0, then ';',
 * then those that exclude it, each list with spaces between. 1 and a message: a line or a post cannot be
 * read.
 */
#include "base/arena.h"
#include "base/buffer.h"
#include "base/file.h"
#include "bridge/post.h"
#include "text/keyword.h"
#include "text/matcher.h"

#include <stdio.h>
#include <stdlib.h>

enum { FILE_MOST = 512 << 20, LINES_MEMORY = 512 << 20, POST_MEMORY = 64 << 20 };

static _Noreturn void give_up(const char *what, size_t number, const char *why)
{
    fprintf(stderr, "match_lines: %s %zu: %s\n", what, number, why);
    exit(1);
}

/* The next line of *rest, without its end. */
static bool next_line(struct view *rest, struct view *line)
{
    const char *end = rest->length ? memchr(rest->at, '\n', rest->length) : NULL;
    size_t length = end ? (size_t)(end - rest->at) : rest->length;
    *line = view_make(rest->at, length);
    bool found = rest->length > 0;
    *rest = view_from(*rest, length + (end != NULL));
    return found;
}

static struct matcher *compile(struct view text, struct arena *memory)
{
    struct view line, rest = text;
    struct err e;
    size_t count = 0, used = 0;
    while (next_line(&rest, &line)) {
        count++;
    }
    struct keyword *keywords = arena_zeroed(memory, count, sizeof *keywords);
    for (rest = text; keywords && next_line(&rest, &line); used++) {
        int read = keyword_parse(line, memory, &keywords[used], &e);
        if (read != 1) {
            give_up("line", used, read ? e.text : "a comment");
        }
    }
    struct matcher *matcher = keywords ? matcher_new(keywords, count, &e) : NULL;
    if (!matcher) {
        give_up("lines", count, keywords ? e.text : "out of memory");
    }
    return matcher;
}

static void print_numbers(const uint32_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        printf(i ? " %u" : "%u", numbers[i]);
    }
}

static void match(const struct matcher *matcher, struct view json, size_t number, struct arena *memory)
{
    struct post p;
    struct err e = {.text = "out of memory"};
    struct matcher_result result;
    if (post_read(json, memory, &p, &e)) {
        give_up("post", number, e.text);
    }
    struct matcher_input input = {.text = p.text,
                                  .hashtags = p.hashtags,
                                  .mentions = p.mentions,
                                  .cashtags = p.cashtags,
                                  .urls = p.urls};
    if (matcher_match(matcher, &input, memory, &result)) {
        give_up("post", number, e.text);
    }
    print_numbers(result.matched, result.matched_count);
    putchar(';');
    print_numbers(result.excluded, result.excluded_count);
    putchar('\n');
}

int main(int argc, char **argv)
{
    struct buffer lines = BUFFER(FILE_MOST), posts = BUFFER(FILE_MOST);
    struct arena *memory = arena_new(LINES_MEMORY), *scratch = arena_new(POST_MEMORY);
    struct err e = {.text = "out of memory"};
    if (argc != 3) {
        fprintf(stderr, "usage: match_lines LINES POSTS\n");
        return 2;
    }
    if (!memory || !scratch || file_read(argv[1], &lines, &e) || file_read(argv[2], &posts, &e)) {
        give_up("files", 0, e.text);
    }
    struct matcher *matcher = compile(buffer_view(&lines), memory);
    struct view rest = buffer_view(&posts), json;
    for (size_t number = 0; next_line(&rest, &json); number++) {
        match(matcher, json, number, scratch);
        arena_reset(scratch);
    }
    matcher_free(matcher);
    arena_free(scratch);
    arena_free(memory);
    buffer_free(&posts);
    buffer_free(&lines);
    return 0;
}
