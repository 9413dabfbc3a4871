#include "ingest/rules_parts.h"

#include "base/utf8.h"
#include "config/language.h"
#include "text/entities.h"
#include "text/lower.h"

#include <stdlib.h>

enum { NAME_MOST = 15 /* characters of a name on X */ };

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

size_t rule_length_of(struct view value)
{
    size_t length = 0;
    for (size_t at = 0; at < value.length;) {
        uint32_t point = utf8_next(value, &at);
        length += point > 0xFFFF && point != UTF8_BAD ? 2 : 1;
    }
    return length;
}

/* --- one part of a line --- */

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool all_plain(struct view text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (!is_plain(text.at[i])) {
            return false;
        }
    }
    return text.length > 0;
}

/* [a-z0-9_], what names on X are made of. */
static bool is_name(struct view text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (!is_plain(text.at[i]) && text.at[i] != '_') {
            return false;
        }
    }
    return text.length > 0;
}

/* These are read as operators, or refused because they might be meant so. */
static bool is_reserved(struct view word)
{
    return view_is(word, "or") || view_is(word, "and") || view_is(word, "not");
}

/* A quoted phrase; what would end or break it becomes a space, which to the network is the same gap. */
static void add_quoted(struct buffer *b, struct view text)
{
    bool gap = false;
    buffer_add_byte(b, '"');
    size_t start = b->length;
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c <= ' ' || c == '"' || c == '\\' || c == 0x7F) {
            gap = b->length > start;
            continue;
        }
        if (gap) {
            buffer_add_byte(b, ' ');
            gap = false;
        }
        buffer_add_byte(b, (char)c);
    }
    buffer_add_byte(b, '"');
}

static bool is_hashtag(struct view word, struct arena *a)
{
    struct buffer tag = BUFFER(word.length + 1);
    struct text_entities found;
    buffer_add_byte(&tag, '#');
    buffer_add_view(&tag, word);
    struct view whole = buffer_view(&tag);
    bool right = !buffer_failed(&tag) && text_entities(whole, a, &found) == 0 && found.count == 1 &&
                 found.items[0].kind == TEXT_HASHTAG && found.items[0].end == whole.length;
    buffer_free(&tag);
    return right;
}

/* The forms of a part, each `minus` or not, with `between` between them; returns how many. */
static size_t add_part(struct rules_writer *w, const struct keyword_part *part, const char *minus,
                       const char *between)
{
    struct view text = text_lower(w->worker, text_compose(part->text, w->arena), w->arena);
    struct buffer *b = &w->text;
    size_t start = b->length;
    buffer_add_text(b, minus);
    switch (part->kind) {
    case KEYWORD_HASHTAG:
        buffer_add_byte(b, '#');
        buffer_add_view(b, text);
        return 1;
    case KEYWORD_CASHTAG:
        buffer_add_byte(b, '$');
        buffer_add_view(b, text);
        return 1;
    case KEYWORD_MENTION:
        if (!is_name(text)) {
            b->length = start; /* a name of another network */
            return 0;
        }
        buffer_add_byte(b, '@');
        buffer_add_view(b, text);
        return 1;
    case KEYWORD_PHRASE:
        add_quoted(b, text);
        return 1;
    case KEYWORD_WORD:
    default:
        break;
    }
    size_t forms = 1;
    if (all_plain(text) && !is_reserved(text)) {
        buffer_add_view(b, text);
    } else {
        add_quoted(b, text);
    }
    if (is_hashtag(text, w->arena)) {
        buffer_print(b, "%s%s#%.*s", between, minus, VIEW_PRINT(text));
        forms++;
    }
    if (is_name(text) && text.length <= NAME_MOST) {
        buffer_print(b, "%s%s@%.*s", between, minus, VIEW_PRINT(text));
        forms++;
    }
    return forms;
}

struct view rules_write_exclusion(struct rules_writer *w, const struct keyword_part *part)
{
    buffer_reset(&w->text);
    return add_part(w, part, "-", " ") ? arena_view(w->arena, buffer_view(&w->text)) : view_none();
}

/* --- a line --- */

static int compare_views(const void *a, const void *b)
{
    return view_compare(*(const struct view *)a, *(const struct view *)b);
}

/* One wanted part as a text of its own, in brackets where it has several forms and others stand beside it. */
static struct view write_part(struct rules_writer *w, const struct keyword_part *part, bool alone)
{
    buffer_reset(&w->text);
    if (!alone) {
        buffer_add_byte(&w->text, '(');
    }
    size_t forms = add_part(w, part, "", " OR ");
    if (!alone) {
        buffer_add_byte(&w->text, ')');
    }
    struct view text = buffer_view(&w->text);
    if (!alone && forms == 1) {
        text = view_make(text.at + 1, text.length - 2);
    }
    return forms ? arena_view(w->arena, text) : view_none();
}

struct view rules_write_line(struct rules_writer *w, const struct keyword *k)
{
    size_t wanted = 0, count = 0;
    for (size_t i = 0; i < k->part_count; i++) {
        wanted += !k->parts[i].excluded;
    }
    struct view *texts = wanted ? arena_zeroed(w->arena, wanted, sizeof *texts) : NULL;
    for (size_t i = 0; texts && i < k->part_count; i++) {
        if (!k->parts[i].excluded) {
            texts[count] = write_part(w, &k->parts[i], wanted == 1);
            if (view_absent(texts[count++])) {
                return view_none();
            }
        }
    }
    if (count < 2) {
        return count ? texts[0] : view_none();
    }
    /* Words in another order, or twice, ask for the same. */
    qsort(texts, count, sizeof *texts, compare_views);
    buffer_reset(&w->text);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !view_equal(texts[i], texts[i - 1])) {
            buffer_add_text(&w->text, i ? " " : "");
            buffer_add_view(&w->text, texts[i]);
        }
    }
    return arena_view(w->arena, buffer_view(&w->text));
}

/* --- languages and switches --- */

/* The codes that X takes behind lang: (API document, section 5.4, both lists) and those that it puts into
 * posts for what is no language. Another code makes the whole rule invalid. */
static const char *const x_languages[] = {
    "am", "ar", "bg", "bn",    "bo",    "bs",  "ca",  "ckb", "cs",  "cy",  "da",      "de",  "dv",
    "el", "en", "es", "et",    "eu",    "fa",  "fi",  "fr",  "gu",  "hi",  "hi-Latn", "hr",  "ht",
    "hu", "hy", "in", "is",    "it",    "iw",  "ja",  "ka",  "km",  "kn",  "ko",      "lo",  "lt",
    "lv", "ml", "mr", "my",    "ne",    "nl",  "no",  "or",  "pa",  "pl",  "ps",      "pt",  "ro",
    "ru", "sd", "si", "sk",    "sl",    "sr",  "sv",  "ta",  "te",  "th",  "tl",      "tr",  "ug",
    "uk", "ur", "vi", "zh-CN", "zh-TW", "und", "qam", "qct", "qht", "qme", "qst",     "zxx", "art"};

size_t rules_write_conditions(struct rules_writer *w, const struct filter_settings *filter)
{
    size_t asked = 0, left_out = 0;
    struct buffer *b = &w->text;
    size_t start = b->length;
    bool taken[COUNT(x_languages)] = {false};
    for (size_t i = 0; i < filter->language_count; i++) {
        bool found = false;
        for (size_t k = 0; k < COUNT(x_languages); k++) {
            bool wanted = language_wants(filter->languages[i], view_of(x_languages[k]));
            found = found || wanted;
            if (wanted && !taken[k]) {
                taken[k] = true;
                buffer_print(b, "%slang:%s", asked++ ? " OR " : " (", x_languages[k]);
            }
        }
        left_out += !found;
    }
    if (asked > 1) {
        buffer_add_byte(b, ')');
    } else if (asked && !buffer_failed(b)) {
        memmove(b->data + start + 1, b->data + start + 2, b->length - start - 2); /* one needs no bracket */
        b->length--;
    }
    buffer_add_text(b, filter->retweets ? "" : " -is:retweet");
    buffer_add_text(b, filter->replies ? "" : " -is:reply");
    buffer_add_text(b, filter->quotes ? "" : " -is:quote");
    return left_out;
}
