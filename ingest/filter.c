#include "ingest/filter.h"

#include "config/language.h"
#include "ingest/sample.h"
#include "text/entities.h"
#include "text/lower.h"
#include "text/matcher.h"
#include "text/worker.h"

#include <stdlib.h>

enum {
    TRACK_MAXIMUM = 4096,              /* of one phrase; it has 60 bytes */
    LINES_MAXIMUM = 512 * 1024 * 1024, /* lower-case copies of all lines and their wider forms */
    HANDLE_MAXIMUM = 50                /* bytes of the name in "RT @name: "; X's have 15 */
};

/* The matcher knows `count` lines as written, and behind them the wider forms in which some were asked for.
 */
struct filter {
    enum filter_server server;
    const struct filter_settings *settings;
    struct arena *arena;
    struct matcher *matcher;
    struct view *lines; /* in lower case */
    size_t count;
    bool wants; /* at least one line can match a post */
};

/* What a server asked with `phrase` looks for: all its terms, in any order. */
static struct keyword wider_keyword(struct view phrase, struct arena *a)
{
    struct keyword wide = {.line = phrase};
    struct keyword_part *parts = arena_zeroed(a, phrase.length / 2 + 1, sizeof *parts);
    for (size_t at = 0; parts && at < phrase.length;) {
        const char *space = memchr(phrase.at + at, ' ', phrase.length - at);
        size_t end = space ? (size_t)(space - phrase.at) : phrase.length;
        struct view term = view_make(phrase.at + at, end - at);
        char sign = term.length > 1 ? term.at[0] : 0;
        enum keyword_kind kind = sign == '#'   ? KEYWORD_HASHTAG
                                 : sign == '@' ? KEYWORD_MENTION
                                 : sign == '$' ? KEYWORD_CASHTAG
                                               : KEYWORD_WORD;
        if (term.length) {
            parts[wide.part_count++] =
                (struct keyword_part){.kind = kind, .text = kind == KEYWORD_WORD ? term : view_from(term, 1)};
        }
        at = end + 1;
    }
    wide.parts = parts;
    return wide;
}

static bool wants_something(const struct keyword *k)
{
    for (size_t i = 0; i < k->part_count; i++) {
        if (!k->parts[i].excluded) {
            return true;
        }
    }
    return false;
}

/* Fills all[] with the lines and the wider forms behind them; returns how many. */
static size_t collect(struct filter *f, struct keyword *all, struct buffer *phrase)
{
    size_t count = f->count;
    for (size_t i = 0; i < f->count; i++) {
        all[i] = f->settings->keywords[i].keyword;
        f->wants = f->wants || wants_something(&all[i]);
        buffer_reset(phrase);
        int beyond = f->server == FILTER_SERVER_TRACK ? keyword_track(&all[i], phrase) : 0;
        if (phrase->length && (beyond & (KEYWORD_BEYOND_ORDER | KEYWORD_BEYOND_LENGTH))) {
            all[count++] = wider_keyword(arena_view(f->arena, buffer_view(phrase)), f->arena);
        }
    }
    return count;
}

static int compile(struct filter *f, struct err *e)
{
    struct buffer phrase = BUFFER(TRACK_MAXIMUM);
    struct text_worker *worker = text_worker_new(e);
    int result = -1;
    if (!worker) {
        goto done;
    }
    struct keyword *all = arena_zeroed(f->arena, f->count * 2 + 1, sizeof *all);
    f->lines = arena_zeroed(f->arena, f->count + 1, sizeof *f->lines);
    if (!all || !f->lines) {
        err_set(e, ERR_RETRY, "no memory for %zu keywords", f->count);
        goto done;
    }
    for (size_t i = 0; i < f->count; i++) {
        f->lines[i] = text_lower(worker, f->settings->keywords[i].keyword.line, f->arena);
    }
    size_t count = collect(f, all, &phrase);
    if (arena_failed(f->arena) || buffer_failed(&phrase)) {
        err_set(e, ERR_RETRY, "no memory for %zu keywords", f->count);
        goto done;
    }
    f->matcher = matcher_new(all, count, e);
    result = f->matcher ? 0 : -1;
done:
    buffer_free(&phrase);
    text_worker_free(worker);
    return result;
}

struct filter *filter_new(const struct filter_settings *settings, struct err *e)
{
    return filter_new_for(FILTER_SERVER_TRACK, settings, e);
}

struct filter *filter_new_for(enum filter_server server, const struct filter_settings *settings,
                              struct err *e)
{
    struct filter *f = calloc(1, sizeof *f);
    struct arena *arena = arena_new(LINES_MAXIMUM);
    if (!f || !arena) {
        free(f);
        arena_free(arena);
        err_set(e, ERR_RETRY, "no memory for %zu keywords", settings->keyword_count);
        return NULL;
    }
    f->server = server;
    f->settings = settings;
    f->arena = arena;
    f->count = settings->keyword_count;
    if (compile(f, e)) {
        filter_free(f);
        return NULL;
    }
    return f;
}

void filter_free(struct filter *f)
{
    if (!f) {
        return;
    }
    matcher_free(f->matcher);
    arena_free(f->arena);
    free(f);
}

/* The mentions, and the name in front of a retweet's text: the payload's entities count in the original's
 * text and so do not name it. */
static struct view_list mentions_of(const struct post *p, struct arena *a)
{
    const char *colon = NULL;
    if (p->is_retweet == 1 && view_starts(p->text, VIEW("RT @"))) {
        size_t most = p->text.length - 4 < HANDLE_MAXIMUM ? p->text.length - 4 : HANDLE_MAXIMUM;
        colon = memchr(p->text.at + 4, ':', most);
    }
    struct view *items = colon ? arena_zeroed(a, p->mentions.count + 1, sizeof *items) : NULL;
    if (!items) {
        return p->mentions;
    }
    if (p->mentions.count) {
        memcpy(items, p->mentions.items, p->mentions.count * sizeof *items);
    }
    items[p->mentions.count] = view_make(p->text.at + 4, (size_t)(colon - p->text.at) - 4);
    return (struct view_list){items, p->mentions.count + 1};
}

static void add_once(struct view_list *list, struct view *items, struct view line)
{
    for (size_t i = 0; i < list->count; i++) {
        if (view_equal(items[i], line)) {
            return;
        }
    }
    items[list->count++] = line;
}

static int compare_lines(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* The lines that are known to match and those that the matcher found, in the list's order; *wider: a wider
 * form matched. */
static size_t *lines_of(const struct filter *f, const struct matcher_result *result, struct arena *a,
                        const size_t *known, size_t *count, bool *wider)
{
    size_t used = 0, most = result->matched_count + *count;
    size_t *lines = most ? arena_zeroed(a, most, sizeof *lines) : NULL;
    for (size_t i = 0; lines && i < result->matched_count; i++) {
        if (result->matched[i] < f->count) {
            lines[used++] = result->matched[i];
        } else {
            *wider = true;
        }
    }
    for (size_t i = 0; lines && i < *count; i++) {
        if (known[i] < f->count) {
            lines[used++] = known[i];
        }
    }
    if (lines && *count) {
        qsort(lines, used, sizeof *lines, compare_lines);
    }
    *count = used;
    return lines;
}

/* Sets p->keywords; *wider: a wider form matched. */
static void set_keywords(const struct filter *f, const struct matcher_result *result, struct arena *a,
                         struct post *p, const size_t *known, size_t count, bool *wider)
{
    const size_t *lines = lines_of(f, result, a, known, &count, wider);
    struct view *items = count ? arena_zeroed(a, count, sizeof *items) : NULL;
    struct view_list list = {items, 0};
    for (size_t i = 0; items && i < count; i++) {
        add_once(&list, items, f->lines[lines[i]]);
    }
    p->keywords = (struct view_list){list.count ? items : NULL, list.count};
}

static bool switches_allow(const struct filter_settings *s, const struct post *p)
{
    return (s->retweets || p->is_retweet != 1) && (s->replies || p->is_reply != 1) &&
           (s->quotes || p->is_quote != 1);
}

static bool language_allowed(const struct filter_settings *s, const struct post *p)
{
    for (size_t i = 0; i < s->language_count; i++) {
        if (language_wants(s->languages[i], p->lang)) {
            return true;
        }
    }
    return s->language_count == 0;
}

/* What the network named; where it names nothing at all (a compatible server may leave entities out), what
 * the text itself shows. */
static struct matcher_input input_of(const struct post *p, struct arena *a)
{
    struct matcher_input input = {.text = p->text,
                                  .hashtags = p->hashtags,
                                  .mentions = mentions_of(p, a),
                                  .cashtags = p->cashtags,
                                  .urls = p->urls};
    struct text_entities found;
    bool stated = p->hashtags.items || p->mentions.items || p->cashtags.items || p->urls.items;
    if (!stated && text_entities(p->text, a, &found) == 0) {
        input.hashtags = text_entity_names(&found, TEXT_HASHTAG, a);
        input.mentions = text_entity_names(&found, TEXT_MENTION, a);
        input.cashtags = text_entity_names(&found, TEXT_CASHTAG, a);
    }
    return input;
}

bool filter_in_sample(const struct filter *f, const struct post *p)
{
    uint32_t share = f->settings->sample;
    return share == 0 || sample_has(share, p->network, p->id);
}

bool filter_match(const struct filter *f, struct arena *a, struct post *p)
{
    return filter_match_known(f, a, p, NULL, 0);
}

bool filter_match_known(const struct filter *f, struct arena *a, struct post *p, const size_t *known,
                        size_t count)
{
    const struct filter_settings *s = f->settings;
    p->keywords = (struct view_list){NULL, 0};
    if (!filter_in_sample(f, p)) {
        return false;
    }
    struct matcher_input input = input_of(p, a);
    struct matcher_result result;
    bool wider = false;
    if (matcher_match(f->matcher, &input, a, &result)) {
        return true;
    }
    set_keywords(f, &result, a, p, known, count, &wider);
    bool matched = p->keywords.count > 0;
    if (count) {
        return true;
    }
    switch (s->local_filter) {
    case FILTER_LOCAL_NO:
        return true;
    case FILTER_LOCAL_YES:
        return (matched || !f->wants) && !result.excluded_count && switches_allow(s, p) &&
               language_allowed(s, p);
    default:
        return f->server == FILTER_SERVER_RULES ||
               (f->server == FILTER_SERVER_RULES_PART && !result.excluded_count) ||
               (f->server == FILTER_SERVER_TRACK && !result.excluded_count && switches_allow(s, p) &&
                (matched || !wider));
    }
}

/* True when `phrase` is among those already in the parameter. */
static bool asked_already(struct view track, struct view phrase)
{
    while (track.length) {
        const char *comma = memchr(track.at, ',', track.length);
        size_t end = comma ? (size_t)(comma - track.at) : track.length;
        if (view_equal(view_make(track.at, end), phrase)) {
            return true;
        }
        track = view_from(track, end + 1);
    }
    return false;
}

static void add_item(struct buffer *list, size_t start, struct view item)
{
    struct view before = view_from(buffer_view(list), start);
    if (item.length && !asked_already(before, item)) {
        if (before.length) {
            buffer_add_byte(list, ',');
        }
        buffer_add_view(list, item);
    }
}

void filter_track(const struct filter *f, struct buffer *track)
{
    size_t start = track->length;
    struct buffer phrase = BUFFER(TRACK_MAXIMUM);
    for (size_t i = 0; i < f->count; i++) {
        buffer_reset(&phrase);
        keyword_track(&f->settings->keywords[i].keyword, &phrase);
        add_item(track, start, buffer_view(&phrase));
    }
    track->failed = track->failed || buffer_failed(&phrase);
    buffer_free(&phrase);
}

void filter_languages(const struct filter *f, struct buffer *languages)
{
    size_t start = languages->length;
    for (size_t i = 0; i < f->settings->language_count; i++) {
        char spellings[LANGUAGE_SPELLINGS][LANGUAGE_SIZE];
        size_t count = language_spellings(f->settings->languages[i], spellings);
        for (size_t k = 0; k < count; k++) {
            add_item(languages, start, view_of(spellings[k]));
        }
    }
}
