/* bench/match_keywords.c - what the local filter costs a tweet, with short and long keyword lists.
 *
 * Usage: match_keywords TEXTS FOLDER. TEXTS has one text a line. Prints a line for 10, 1,000 and 100,000
 * keyword lines and writes each list to FOLDER/COUNT.txt, for grep. Every list begins with the same ten
 * lines, which match a part of any tweets; the others are made-up words and pairs (fixed seed), so that what
 * is found, and with it the work for what is found, is the same for all three.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "ingest/filter.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 5, TEXTS_MOST = 256 * 1024 * 1024, LINES_MEMORY = 512 * 1024 * 1024, POST_MEMORY = 4 << 20 };

static const char *const common[] = {"coffee",   "music",    "twitter",  "\"good morning\"",
                                     "love day", "#covid19", "@youtube", "covid",
                                     "que",      "今日"};

enum { COMMON = sizeof common / sizeof *common };

static void make_line(struct random *r, char line[64])
{
    size_t length = 0, words = 1 + (random_below(r, 4) == 0);
    for (size_t w = 0; w < words; w++) {
        if (w) {
            line[length++] = ' ';
        }
        for (size_t i = 5 + random_below(r, 9); i > 0; i--) {
            line[length++] = (char)('a' + random_below(r, 26));
        }
    }
    line[length] = '\0';
}

/* The list, also in a file for grep, which takes each line as it is. */
static struct filter_keyword *make_list(size_t count, struct arena *memory, const char *folder)
{
    struct random r = {20261125};
    struct filter_keyword *keywords = arena_zeroed(memory, count, sizeof *keywords);
    char path[4096], line[64];
    struct err e;
    snprintf(path, sizeof path, "%s/%zu.txt", folder, count);
    FILE *file = fopen(path, "w");
    if (!file || !keywords) {
        perror(path);
        exit(1);
    }
    for (size_t i = 0; i < count; i++) {
        make_line(&r, line);
        const char *text = i < COMMON ? common[i] : line;
        if (keyword_parse(arena_view(memory, view_of(text)), memory, &keywords[i].keyword, &e) != 1) {
            fprintf(stderr, "match_keywords: %s: %s\n", text, e.text);
            exit(1);
        }
        fprintf(file, "%s\n", text);
    }
    if (fclose(file)) {
        perror(path);
        exit(1);
    }
    return keywords;
}

/* Returns how many texts are kept; *tweets counts all. */
static size_t match_all(const struct filter *filter, struct view texts, struct arena *scratch, size_t *tweets)
{
    size_t kept = 0;
    for (*tweets = 0; texts.length; ++*tweets) {
        const char *end = memchr(texts.at, '\n', texts.length);
        size_t length = end ? (size_t)(end - texts.at) : texts.length;
        struct post p = {.text = view_make(texts.at, length)};
        kept += filter_match(filter, scratch, &p);
        arena_reset(scratch);
        texts = view_from(texts, length + (end != NULL));
    }
    return kept;
}

static void measure(size_t count, struct view texts, const char *folder)
{
    struct arena *memory = arena_new(LINES_MEMORY), *scratch = arena_new(POST_MEMORY);
    struct filter_settings settings = {.keyword_count = count,
                                       .retweets = true,
                                       .replies = true,
                                       .quotes = true,
                                       .local_filter = FILTER_LOCAL_YES};
    struct err e = {.text = "out of memory"};
    settings.keywords = memory && scratch ? make_list(count, memory, folder) : NULL;
    int64_t began = clock_steady_us();
    struct filter *filter = settings.keywords ? filter_new(&settings, &e) : NULL;
    if (!filter) {
        fprintf(stderr, "match_keywords: %s\n", e.text);
        exit(1);
    }
    double compiled = (double)(clock_steady_us() - began) / 1000;
    int64_t best = INT64_MAX;
    size_t kept = 0, tweets = 0;
    for (int i = 0; i < ROUNDS; i++) {
        began = clock_steady_us();
        kept = match_all(filter, texts, scratch, &tweets);
        int64_t took = clock_steady_us() - began;
        best = took < best ? took : best;
    }
    printf("%9zu %12.1f %12zu %12zu %14.2f\n", count, compiled, tweets, kept, (double)best / (double)tweets);
    fflush(stdout);
    filter_free(filter);
    arena_free(scratch);
    arena_free(memory);
}

int main(int argc, char **argv)
{
    struct buffer texts = BUFFER(TEXTS_MOST);
    struct err e;
    if (argc != 3) {
        fprintf(stderr, "usage: match_keywords TEXTS FOLDER\n");
        return 2;
    }
    if (file_read(argv[1], &texts, &e)) {
        fprintf(stderr, "match_keywords: %s\n", e.text);
        return 1;
    }
    printf("%9s %12s %12s %12s %14s\n", "lines", "compile, ms", "tweets", "kept", "us a tweet");
    measure(10, buffer_view(&texts), argv[2]);
    measure(1000, buffer_view(&texts), argv[2]);
    measure(100000, buffer_view(&texts), argv[2]);
    buffer_free(&texts);
    return 0;
}
