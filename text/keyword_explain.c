#include "text/keyword.h"

#include "text/characters.h"
#include "text/lower.h"
#include "text/token.h"

static void add_part(const struct keyword_part *part, struct buffer *b)
{
    static const struct {
        const char *before, *after;
    } forms[] = {[KEYWORD_WORD] = {"the word ", ""},
                 [KEYWORD_PHRASE] = {"the phrase \"", "\""},
                 [KEYWORD_HASHTAG] = {"the hashtag #", ""},
                 [KEYWORD_MENTION] = {"a mention of @", ""},
                 [KEYWORD_CASHTAG] = {"the cashtag $", ""}};
    buffer_add_text(b, forms[part->kind].before);
    buffer_add_view(b, part->text);
    buffer_add_text(b, forms[part->kind].after);
}

/* "A", "A and B", "A, B and C": the parts that are excluded, or those that are not. Returns how many. */
static size_t add_parts(const struct keyword *k, bool excluded, const char *last, struct buffer *b)
{
    size_t total = 0, done = 0;
    for (size_t i = 0; i < k->part_count; i++) {
        total += k->parts[i].excluded == excluded;
    }
    for (size_t i = 0; i < k->part_count; i++) {
        if (k->parts[i].excluded != excluded) {
            continue;
        }
        if (done) {
            buffer_add_text(b, done + 1 == total ? last : ", ");
        }
        add_part(&k->parts[i], b);
        done++;
    }
    return total;
}

static bool has_part(const struct keyword *k, bool excluded)
{
    for (size_t i = 0; i < k->part_count; i++) {
        if (k->parts[i].excluded == excluded) {
            return true;
        }
    }
    return false;
}

void keyword_explain(const struct keyword *k, struct buffer *b)
{
    if (!view_absent(k->rule)) {
        buffer_add_text(b, "the network's own rule, sent as it is: ");
        buffer_add_view(b, k->rule);
        return;
    }
    bool wanted = has_part(k, false), excluded = has_part(k, true);
    if (wanted) {
        buffer_add_text(b, "posts with ");
        size_t count = add_parts(k, false, " and ", b);
        buffer_add_text(b, count > 1 ? ", in any order" : "");
    }
    if (excluded) {
        buffer_add_text(b, wanted ? "; and, for all lines of the list, no post with "
                                  : "for all lines of the list, no post with ");
        add_parts(k, true, " or ", b);
    }
}

/* A word of a part as `track` takes it: without the punctuation around it, which the server would look for
 * too; a comma inside would mean "or", so it parts the word. */
static struct view next_term(struct view text, size_t *at)
{
    size_t start = *at;
    while (start < text.length && (text.at[start] == ',' || is_white(point_at(text, start)))) {
        utf8_next(text, &start);
    }
    size_t end = start;
    while (end < text.length && text.at[end] != ',' && !is_white(point_at(text, end))) {
        utf8_next(text, &end);
    }
    *at = end;
    struct view term = view_make(text.at + start, end - start);
    while (term.length && (unsigned char)term.at[0] < 0x80 && !is_name_point((unsigned char)term.at[0])) {
        term = view_from(term, 1);
    }
    while (term.length && (unsigned char)term.at[term.length - 1] < 0x80 &&
           !is_name_point((unsigned char)term.at[term.length - 1])) {
        term.length--;
    }
    return term;
}

static int add_term(struct buffer *b, size_t start, char sign, struct view term)
{
    size_t length = term.length + (sign ? 1 : 0), used = b->length - start;
    if (used + (used ? 1 : 0) + length > KEYWORD_TRACK_BYTES) {
        return KEYWORD_BEYOND_LENGTH;
    }
    if (used) {
        buffer_add_byte(b, ' ');
    }
    if (sign) {
        buffer_add_byte(b, sign);
    }
    buffer_add_view(b, term);
    return 0;
}

static bool has_unspaced(struct view text)
{
    for (size_t at = 0; at < text.length;) {
        if (token_point_is_unspaced(utf8_next(text, &at))) {
            return true;
        }
    }
    return false;
}

static int track_part(const struct keyword_part *part, struct buffer *b, size_t start)
{
    static const char signs[] = {[KEYWORD_HASHTAG] = '#', [KEYWORD_MENTION] = '@', [KEYWORD_CASHTAG] = '$'};
    char sign = part->kind >= KEYWORD_HASHTAG ? signs[part->kind] : 0;
    int beyond = 0;
    size_t terms = 0;
    for (size_t at = 0; at < part->text.length;) {
        struct view term = next_term(part->text, &at);
        if (term.length) {
            beyond |= add_term(b, start, sign, term);
            terms++;
        }
    }
    beyond |= part->kind == KEYWORD_PHRASE && terms > 1 ? KEYWORD_BEYOND_ORDER : 0;
    beyond |= part->kind <= KEYWORD_PHRASE && has_unspaced(part->text) ? KEYWORD_BEYOND_SCRIPT : 0;
    return beyond;
}

int keyword_track(const struct keyword *k, struct buffer *b)
{
    if (!view_absent(k->rule)) {
        return KEYWORD_BEYOND_RULE;
    }
    size_t start = b->length;
    int beyond = 0;
    for (size_t i = 0; i < k->part_count; i++) {
        beyond |= k->parts[i].excluded ? KEYWORD_BEYOND_EXCLUSION : track_part(&k->parts[i], b, start);
    }
    bool nothing = b->length == start && has_part(k, false);
    return nothing ? (beyond & ~KEYWORD_BEYOND_LENGTH) | KEYWORD_BEYOND_WORD : beyond;
}

void keyword_explain_beyond(int beyond, struct buffer *b)
{
    static const struct {
        int bit;
        const char *text;
    } texts[] = {
        {KEYWORD_BEYOND_ORDER, "the order of a phrase's words is checked here"},
        {KEYWORD_BEYOND_EXCLUSION, "what is excluded is left out here"},
        {KEYWORD_BEYOND_RULE, "this network knows no rules: the line finds nothing on it"},
        {KEYWORD_BEYOND_LENGTH, "only the first words fit into 60 bytes: the others are checked here"},
        {KEYWORD_BEYOND_SCRIPT,
         "the server finds words of a script without spaces only where they stand alone"},
        {KEYWORD_BEYOND_WORD, "no word of it fits into 60 bytes: the line finds nothing on this network"}};
    bool first = true;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (beyond & texts[i].bit) {
            buffer_add_text(b, first ? "" : "; ");
            buffer_add_text(b, texts[i].text);
            first = false;
        }
    }
}
