/* tests/fuzz/text_entities.c - any bytes as a post's text: entities lie in it in order, cleaning and folding
 * give UTF-8, and the text read as a keyword finds itself. */
#include "base/utf8.h"
#include "text/clean.h"
#include "text/entities.h"
#include "text/lower.h"
#include "text/matcher.h"

#include <stdlib.h>

enum { TEXT_MOST = 64 * 1024, ARENA_MOST = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_entities(struct view text, struct arena *a)
{
    struct text_entities found;
    require(text_entities(text, a, &found) == 0);
    size_t before = 0;
    for (size_t i = 0; i < found.count; i++) {
        const struct text_entity *e = &found.items[i];
        require(e->start >= before && e->end > e->start && e->end <= text.length);
        require(e->name.length > 0 && e->name.at >= text.at + e->start &&
                e->name.at + e->name.length == text.at + e->end);
        require(utf8_valid(e->name));
        before = e->end;
    }
}

/* The text in pieces, as lists of a payload would have them. */
static struct view_list pieces(struct view text, struct arena *a)
{
    enum { PIECE = 7, MOST = 64 };
    struct view *items = arena_zeroed(a, MOST, sizeof *items);
    size_t count = 0;
    for (size_t at = 0; items && at < text.length && count < MOST; at += PIECE) {
        size_t rest = text.length - at;
        items[count++] = view_make(text.at + at, rest < PIECE ? rest : PIECE);
    }
    return (struct view_list){items, count};
}

static void check_clean(struct text_worker *w, struct view text, struct arena *a)
{
    const struct view_list none = {NULL, 0}, listed = pieces(text, a);
    struct view clean = text_clean(w, text, none, none, a);
    require(clean.at != NULL && utf8_valid(clean));
    require(clean.length == 0 || (clean.at[0] != ' ' && clean.at[clean.length - 1] != ' '));
    require(text_word_count(w, clean) >= 0);
    struct view less = text_clean(w, text, listed, listed, a);
    require(less.at != NULL && utf8_valid(less) && less.length <= 3 * text.length);
    struct view folded = text_fold(text, a);
    require(utf8_valid(folded) && view_equal(folded, text_fold(folded, a)));
    struct view_list emoji = text_emoji(w, text, a);
    for (size_t i = 0; i < emoji.count; i++) {
        require(emoji.items[i].at >= text.at &&
                emoji.items[i].at + emoji.items[i].length <= text.at + text.length);
    }
}

/* A keyword of words and phrases alone is found in its own line. */
static void check_keyword(struct view text, struct arena *a)
{
    struct keyword k;
    struct err e;
    if (keyword_parse(text, a, &k, &e) != 1) {
        return;
    }
    struct buffer b = BUFFER(1 << 20);
    keyword_explain(&k, &b);
    buffer_reset(&b);
    keyword_explain_beyond(keyword_track(&k, &b), &b);
    struct matcher *m = matcher_new(&k, 1, &e);
    require(m != NULL);
    struct matcher_input input = {.text = k.line};
    struct matcher_result result;
    require(matcher_match(m, &input, a, &result) == 0 && result.matched_count <= 1 &&
            result.excluded_count <= 1);
    bool one_word = k.part_count == 1 && !k.parts[0].excluded && k.parts[0].kind <= KEYWORD_PHRASE;
    require(!one_word || result.matched_count == 1);
    matcher_free(m);
    buffer_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e;
    if (size > TEXT_MOST) {
        return 0;
    }
    struct view text = view_make(size ? (const char *)data : "", size);
    struct arena *a = arena_new(ARENA_MOST);
    struct text_worker *w = text_worker_new(&e);
    require(a && w);
    check_entities(text, a);
    check_clean(w, text, a);
    check_keyword(text, a);
    text_worker_free(w);
    arena_free(a);
    return 0;
}
