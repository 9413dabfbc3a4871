#include "simulator/track.h"

#include "base/json.h"
#include "base/utf8.h"
#include "text/repair.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include <unicode/uchar.h>

enum { TEXT_MAX = 128 << 20 }; /* twice the longest message: an arena pads */

/* ---- characters ---- */

static bool is_word(uint32_t c)
{
    /* A variation selector is a mark to Unicode, and here a part of an emoji. */
    return c != UTF8_BAD && c != 0xFE0F &&
           (U_GET_GC_MASK((UChar32)c) & (U_GC_L_MASK | U_GC_M_MASK | U_GC_N_MASK)) != 0;
}

static bool is_symbol(uint32_t c)
{
    /* The zero-width joiner and the variation selector hold emoji together. */
    return c != UTF8_BAD &&
           ((U_GET_GC_MASK((UChar32)c) & (U_GC_SO_MASK | U_GC_SK_MASK)) != 0 || c == 0x200D || c == 0xFE0F);
}

/* Punctuation that may stand inside a word without ending it. */
static bool is_joiner(uint32_t c)
{
    return c == '\'' || c == 0x2019 || c == '-' || c == '_' || c == '.' || c == '&' || c == '+' || c == '@' ||
           c == '#' || c == '$' || c == 0x200C || c == 0x200D;
}

static bool is_space(uint32_t c)
{
    return c != UTF8_BAD && u_isUWhiteSpace((UChar32)c);
}

static bool is_ascii_name(uint32_t c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* ---- hashes of case-folded text ---- */

static const uint64_t HASH_START = 0xCBF29CE484222325u;

static uint64_t hash_add(uint64_t hash, struct view v)
{
    for (size_t at = 0; at < v.length;) {
        size_t from = at;
        uint32_t c = utf8_next(v, &at);
        if (c == UTF8_BAD) {
            for (; from < at; from++) {
                hash = (hash ^ (unsigned char)v.at[from]) * 0x100000001B3u;
            }
            continue;
        }
        char bytes[4];
        size_t n = utf8_put((uint32_t)u_foldCase((UChar32)c, U_FOLD_CASE_DEFAULT), bytes);
        for (size_t i = 0; i < n; i++) {
            hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001B3u;
        }
    }
    return hash;
}

/* FNV-1a mixes its high bits late; splitmix64's end makes all bits count. */
static uint64_t hash_end(uint64_t z)
{
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* ---- tokens ---- */

struct collector {
    uint64_t *hashes;
    size_t count, capacity;
    struct arena *scratch; /* holds one text without its HTML escapes */
    bool failed;
};

static void emit_hash(struct collector *c, uint64_t hash)
{
    if (c->count == c->capacity) {
        size_t capacity = c->capacity ? c->capacity * 2 : 64;
        uint64_t *grown = realloc(c->hashes, capacity * sizeof *grown);
        if (!grown) {
            c->failed = true;
            return;
        }
        c->hashes = grown;
        c->capacity = capacity;
    }
    c->hashes[c->count++] = hash;
}

static void emit(struct collector *c, struct view token)
{
    if (token.length) {
        emit_hash(c, hash_end(hash_add(HASH_START, token)));
    }
}

static void emit_joined(struct collector *c, const char *before, struct view token)
{
    if (token.length) {
        emit_hash(c, hash_end(hash_add(hash_add(HASH_START, view_of(before)), token)));
    }
}

static bool starts_with_case(struct view v, const char *head)
{
    size_t n = strlen(head);
    return v.length >= n && strncasecmp(v.at, head, n) == 0;
}

/* Runs of word characters (want_symbols false) or of symbols (true), each a token. */
static void emit_runs(struct collector *c, struct view v, bool want_symbols)
{
    size_t start = 0;
    bool inside = false;
    for (size_t at = 0; at < v.length;) {
        size_t here = at;
        uint32_t point = utf8_next(v, &at);
        bool belongs = want_symbols ? is_symbol(point) : is_word(point);
        if (belongs && !inside) {
            start = here;
        } else if (!belongs && inside) {
            emit(c, view_make(v.at + start, here - start));
        }
        inside = belongs;
    }
    if (inside) {
        emit(c, view_from(v, start));
    }
}

/* A URL, with or without its protocol. */
static void emit_url(struct collector *c, struct view url)
{
    const char *protocol = starts_with_case(url, "https://") ? "https://" : "http://";
    bool has_protocol = starts_with_case(url, protocol);
    if (has_protocol) {
        url = view_from(url, strlen(protocol));
    }
    if (starts_with_case(url, "www.")) {
        url = view_from(url, 4);
    }
    /* A displayed URL is cut with an ellipsis (U+2026): then neither the whole nor the last piece is what it
     * seems. */
    bool cut = url.length >= 3 && memcmp(url.at + url.length - 3, "\xE2\x80\xA6", 3) == 0;
    if (cut) {
        while (url.length && ((unsigned char)url.at[url.length - 1] >= 0x80 ||
                              isalnum((unsigned char)url.at[url.length - 1]))) {
            url.length--;
        }
    }
    while (url.length && url.at[url.length - 1] == '/') {
        url.length--;
    }
    if (!cut) {
        emit(c, url);
        if (has_protocol) {
            emit_joined(c, protocol, url);
        }
    }
    if (!starts_with_case(url, "t.co/")) {
        emit_runs(c, url, false);
    }
}

/* "example.com", "foo.example.com/bar": labels, the last one of at least two letters, then nothing or / ? :
 */
static bool looks_like_domain(struct view v)
{
    size_t label = 0, dots = 0, i = 0;
    bool letters = true;
    for (; i < v.length; i++) {
        char c = v.at[i];
        if (c == '.') {
            if (!label) {
                return false;
            }
            dots++;
            label = 0;
            letters = true;
        } else if (is_ascii_name((unsigned char)c) || c == '-') {
            letters = letters && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'));
            label++;
        } else {
            break;
        }
    }
    return dots && label >= 2 && letters &&
           (i == v.length || v.at[i] == '/' || v.at[i] == '?' || v.at[i] == ':');
}

/* From the first to the last word character; empty if there is none. */
static struct view core_of(struct view v)
{
    size_t first = v.length, end = 0;
    for (size_t at = 0; at < v.length;) {
        size_t here = at;
        if (is_word(utf8_next(v, &at))) {
            first = here < first ? here : first;
            end = at;
        }
    }
    return end ? view_make(v.at + first, end - first) : view_make(v.at, 0);
}

/* A word without signs: its core, its parts, the symbols in and around it. */
static void emit_plain(struct collector *c, struct view v)
{
    emit_runs(c, v, true);
    struct view core = core_of(v);
    if (!core.length) {
        return;
    }
    if (looks_like_domain(core)) {
        emit_url(c, core);
        return;
    }
    emit(c, core);
    size_t start = 0;
    bool split = false;
    for (size_t at = 0; at < core.length;) {
        size_t here = at;
        uint32_t point = utf8_next(core, &at);
        if (!is_word(point) && !is_joiner(point)) {
            emit(c, core_of(view_make(core.at + start, here - start)));
            start = at;
            split = true;
        }
    }
    if (split) {
        emit(c, core_of(view_from(core, start)));
    }
}

/* The sign of a #tag, @name or $CASH at *at that something follows: its name's end goes to *end. */
static const char *sign_at(struct view v, size_t at, size_t *name, size_t *end)
{
    size_t next = at;
    uint32_t sign = utf8_next(v, &next);
    const char *plain = sign == '#' || sign == 0xFF03   ? "#"
                        : sign == '@' || sign == 0xFF20 ? "@"
                        : sign == '$'                   ? "$"
                                                        : NULL;
    if (!plain) {
        return NULL;
    }
    *name = *end = next;
    while (next < v.length) {
        uint32_t c = utf8_next(v, &next);
        bool belongs = *plain == '#'   ? is_word(c) || c == '_'
                       : *plain == '@' ? is_ascii_name(c)
                                       : u_isalpha((UChar32)c);
        if (!belongs) {
            break;
        }
        *end = next;
    }
    return *end > *name ? plain : NULL;
}

/* A word between white space that holds no URL. */
static void emit_word(struct collector *c, struct view v)
{
    size_t start = 0;
    bool after_word = false;
    for (size_t at = 0; at < v.length;) {
        size_t name, end;
        const char *sign = after_word ? NULL : sign_at(v, at, &name, &end);
        if (sign) {
            emit_plain(c, view_make(v.at + start, at - start));
            emit(c, view_make(v.at + name, end - name));
            emit_joined(c, sign, view_make(v.at + name, end - name));
            start = at = end;
            after_word = true;
            continue;
        }
        uint32_t point = utf8_next(v, &at);
        after_word = is_word(point) || point == '_';
    }
    emit_plain(c, view_from(v, start));
}

static bool is_url_byte(char c)
{
    return c > ' ' && c < 0x7F && !strchr("\"<>", c);
}

/* A word between white space: what stands before a URL, the URL, what follows it. */
static void emit_with_urls(struct collector *c, struct view v)
{
    for (size_t i = 0; i + 7 < v.length; i++) {
        struct view rest = view_from(v, i);
        if (!starts_with_case(rest, "http://") && !starts_with_case(rest, "https://")) {
            continue;
        }
        size_t length = 0;
        while (length < rest.length && is_url_byte(rest.at[length])) {
            length++;
        }
        while (length && strchr(".,!?:;'()[]{}", rest.at[length - 1])) {
            length--;
        }
        emit_word(c, view_make(v.at, i));
        emit_url(c, view_make(rest.at, length));
        v = view_from(rest, length);
        i = (size_t)-1;
    }
    emit_word(c, v);
}

static void emit_text(struct collector *c, struct view text)
{
    arena_reset(c->scratch);
    struct view v = text_unescape_html(text, c->scratch);
    c->failed = c->failed || arena_failed(c->scratch);
    size_t start = 0;
    for (size_t at = 0; at < v.length;) {
        size_t here = at;
        if (is_space(utf8_next(v, &at))) {
            emit_with_urls(c, view_make(v.at + start, here - start));
            start = at;
        }
    }
    if (v.at) {
        emit_with_urls(c, view_from(v, start));
    }
}

static void emit_list(struct collector *c, const cJSON *entities, const char *list, const char *key,
                      const char *sign)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_member(entities, list))
    {
        struct view value = json_text(item, key);
        if (!sign) {
            emit_url(c, value.at ? value : VIEW(""));
        } else if (value.at) {
            emit(c, value);
            emit_joined(c, sign, value);
        }
    }
}

static void emit_entities(struct collector *c, const cJSON *entities)
{
    static const char *const links[] = {"urls", "media"};
    for (size_t i = 0; i < 2; i++) {
        emit_list(c, entities, links[i], "expanded_url", NULL);
        emit_list(c, entities, links[i], "display_url", NULL);
    }
    emit_list(c, entities, "hashtags", "text", "#");
    emit_list(c, entities, "user_mentions", "screen_name", "@");
    emit_list(c, entities, "symbols", "text", "$");
}

static void emit_one(struct collector *c, const cJSON *tweet)
{
    const cJSON *extended = json_member(tweet, "extended_tweet");
    emit_text(c, json_text(tweet, "text"));
    emit_text(c, json_text(extended, "full_text"));
    emit_entities(c, json_member(tweet, "entities"));
    emit_entities(c, json_member(extended, "entities"));
}

static int compare_hashes(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

int track_tokens_of(const cJSON *tweet, struct arena *memory, struct track_tokens *tokens)
{
    struct collector c = {.scratch = arena_new(TEXT_MAX)};
    if (!c.scratch) {
        return -1;
    }
    const cJSON *retweeted = json_member(tweet, "retweeted_status");
    emit_one(&c, tweet);
    emit_one(&c, retweeted);
    emit_one(&c, json_member(retweeted, "quoted_status"));
    emit_one(&c, json_member(tweet, "quoted_status"));
    size_t kept = 0;
    if (c.count) {
        qsort(c.hashes, c.count, sizeof *c.hashes, compare_hashes);
        for (size_t i = 0; i < c.count; i++) {
            if (!kept || c.hashes[kept - 1] != c.hashes[i]) {
                c.hashes[kept++] = c.hashes[i];
            }
        }
    }
    uint64_t *copy = arena_alloc(memory, kept * sizeof *copy);
    if (copy && kept) {
        memcpy(copy, c.hashes, kept * sizeof *copy);
    }
    *tokens = (struct track_tokens){copy, kept};
    free(c.hashes);
    arena_free(c.scratch);
    return c.failed || !copy ? -1 : 0;
}

/* ---- phrases ---- */

enum { TERMS_MAX = TRACK_PHRASE_BYTES / 2 + 1 };

struct phrase {
    uint64_t terms[TERMS_MAX];
    size_t count;
};

struct track {
    size_t count;
    struct phrase phrases[];
};

static void compile_phrase(struct phrase *p, struct view text)
{
    while (text.length) {
        const char *space = memchr(text.at, ' ', text.length);
        size_t length = space ? (size_t)(space - text.at) : text.length;
        if (length && p->count < TERMS_MAX) {
            p->terms[p->count++] = hash_end(hash_add(HASH_START, view_make(text.at, length)));
        }
        text = view_from(text, space ? length + 1 : length);
    }
}

struct track *track_compile(const char *value, int *status)
{
    size_t count = 1;
    for (const char *c = value; *c; c++) {
        count += *c == ',';
    }
    if (count > TRACK_PHRASES) {
        *status = 413;
        return NULL;
    }
    struct track *track = calloc(1, sizeof *track + count * sizeof *track->phrases);
    if (!track) {
        *status = 500;
        return NULL;
    }
    struct view rest = view_of(value);
    for (size_t i = 0; i < count; i++) {
        const char *comma = memchr(rest.at, ',', rest.length);
        size_t length = comma ? (size_t)(comma - rest.at) : rest.length;
        struct view phrase = view_trim(view_make(rest.at, length));
        if (phrase.length < 1 || phrase.length > TRACK_PHRASE_BYTES) {
            *status = 406;
            free(track);
            return NULL;
        }
        compile_phrase(&track->phrases[track->count++], phrase);
        rest = view_from(rest, length + 1);
    }
    return track;
}

static bool has_token(const struct track_tokens *tokens, uint64_t term)
{
    size_t low = 0, high = tokens->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (tokens->hashes[middle] < term) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < tokens->count && tokens->hashes[low] == term;
}

bool track_match(const struct track *track, const struct track_tokens *tokens)
{
    for (size_t i = 0; i < track->count; i++) {
        const struct phrase *p = &track->phrases[i];
        size_t found = 0;
        while (found < p->count && has_token(tokens, p->terms[found])) {
            found++;
        }
        if (found == p->count) {
            return true;
        }
    }
    return false;
}

void track_free(struct track *track)
{
    free(track);
}
