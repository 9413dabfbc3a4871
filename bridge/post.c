/* bridge/post.c - a post as one line of JSON and back, both driven by the table of fields.
 *
 * Writing goes straight into the buffer. Reading lets cJSON make a tree, walks its members once and looks
 * each key up beginning at the field after the last one found: lines that post_write made come in the table's
 * order, so a whole line costs one walk over the table. `raw` and `body` must survive byte for byte, which no
 * tree can do: they are cut out of the source text. Strings are copied to the arena, because the tree goes at
 * the end.
 */
#include "bridge/post.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/json_scan.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>

const char *const post_kind_names[POST_KIND_COUNT] = {"post",  "delete",   "scrub_geo",  "withheld",
                                                      "limit", "warning",  "disconnect", "gap",
                                                      "count", "keywords", "unknown"};

/* clang-format off */
#define FIELD(column, kind, uses) \
    {.name = #column, .type = (kind), .offset = offsetof(struct post, column), .use = (uses)}
#define BOTH(column, kind) FIELD(column, kind, POST_ON_BRIDGE | POST_IN_TABLE)

const struct post_field post_fields[] = {
    BOTH(network, POST_TEXT),
    BOTH(id, POST_TEXT),
    BOTH(created_at, POST_TIME),
    BOTH(source, POST_TEXT),
    BOTH(received_at, POST_TIME),
    BOTH(author_id, POST_TEXT),
    BOTH(author_handle, POST_TEXT),
    BOTH(author_name, POST_TEXT),
    BOTH(author_followers, POST_NUMBER),
    BOTH(author_following, POST_NUMBER),
    BOTH(author_posts, POST_NUMBER),
    BOTH(author_verified, POST_FLAG),
    BOTH(author_created_at, POST_TIME),
    BOTH(lang, POST_TEXT),
    BOTH(text, POST_TEXT),
    BOTH(text_source, POST_TEXT),
    FIELD(clean_text, POST_TEXT, POST_IN_TABLE),
    BOTH(hashtags, POST_LIST),
    BOTH(cashtags, POST_LIST),
    BOTH(mentions, POST_LIST),
    BOTH(urls, POST_LIST),
    BOTH(media, POST_LIST),
    BOTH(keywords, POST_LIST),
    BOTH(topics, POST_LIST),
    BOTH(rules, POST_LIST),
    BOTH(emoji, POST_LIST),
    FIELD(links, POST_LIST, POST_ON_BRIDGE),
    BOTH(is_retweet, POST_FLAG),
    BOTH(is_quote, POST_FLAG),
    BOTH(is_reply, POST_FLAG),
    BOTH(retweet_of, POST_TEXT),
    BOTH(retweet_author, POST_TEXT),
    BOTH(quote_of, POST_TEXT),
    BOTH(reply_to, POST_TEXT),
    BOTH(reply_to_author, POST_TEXT),
    BOTH(conversation_id, POST_TEXT),
    BOTH(edit_of, POST_TEXT),
    BOTH(likes, POST_NUMBER),
    BOTH(retweets, POST_NUMBER),
    BOTH(replies, POST_NUMBER),
    BOTH(quotes, POST_NUMBER),
    BOTH(app, POST_TEXT),
    BOTH(sensitive, POST_FLAG),
    BOTH(place, POST_TEXT),
    BOTH(country, POST_TEXT),
    BOTH(latitude, POST_REAL),
    BOTH(longitude, POST_REAL),
    FIELD(word_count, POST_NUMBER, POST_IN_TABLE),
    FIELD(sentiment, POST_REAL, POST_IN_TABLE),
    BOTH(withheld_in, POST_LIST),
    BOTH(raw, POST_JSON),
};
/* clang-format on */

enum { FIELD_COUNT = sizeof post_fields / sizeof post_fields[0] };

const size_t post_field_count = FIELD_COUNT;

/* Not in the table, since it is no column of roost.posts. */
static const struct post_field body_field = {
    .name = "body", .type = POST_JSON, .offset = offsetof(struct post, body), .use = POST_ON_BRIDGE};

#define MEMBER(type, p, f) ((type *)(void *)((char *)(p) + (f)->offset))
#define VALUE(type, p, f)  (*(const type *)(const void *)((const char *)(p) + (f)->offset))

/* POST_NO_NUMBER and CLOCK_NONE are the same value. */
static void field_clear(struct post *p, const struct post_field *f)
{
    switch (f->type) {
    case POST_TEXT:
    case POST_JSON:
        *MEMBER(struct view, p, f) = view_none();
        break;
    case POST_LIST:
        *MEMBER(struct view_list, p, f) = (struct view_list){NULL, 0};
        break;
    case POST_NUMBER:
    case POST_TIME:
        *MEMBER(int64_t, p, f) = POST_NO_NUMBER;
        break;
    case POST_FLAG:
        *MEMBER(int, p, f) = POST_NO_FLAG;
        break;
    case POST_REAL:
        *MEMBER(double, p, f) = NAN;
        break;
    }
}

void post_init(struct post *p)
{
    p->kind = POST_POST;
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        field_clear(p, &post_fields[i]);
    }
    p->body = view_none();
}

static void write_key(struct buffer *b, const char *name)
{
    buffer_append(b, ",\"", 2);
    buffer_add_text(b, name);
    buffer_append(b, "\":", 2);
}

static void write_text(struct buffer *b, const char *name, struct view v)
{
    if (v.at) {
        write_key(b, name);
        json_add_string(b, v);
    }
}

static void write_list(struct buffer *b, const char *name, struct view_list list)
{
    if (!list.items) {
        return;
    }
    write_key(b, name);
    buffer_add_byte(b, '[');
    for (size_t i = 0; i < list.count; i++) {
        if (i) {
            buffer_add_byte(b, ',');
        }
        json_add_string(b, list.items[i].at ? list.items[i] : VIEW(""));
    }
    buffer_add_byte(b, ']');
}

static void write_time(struct buffer *b, const char *name, int64_t wall_ms)
{
    if (wall_ms == CLOCK_NONE) {
        return;
    }
    char text[CLOCK_TEXT_SIZE];
    write_key(b, name);
    buffer_add_byte(b, '"');
    buffer_add_text(b, clock_format(wall_ms, text));
    buffer_add_byte(b, '"');
}

/* JSON text as it is, on one line: a line break outside a string is white space, and inside one it cannot be.
 */
static void write_json(struct buffer *b, const char *name, struct view v)
{
    char *at = NULL;
    if (v.at) {
        write_key(b, name);
        at = buffer_reserve(b, v.length);
    }
    if (!at) {
        return;
    }
    for (size_t i = 0; i < v.length; i++) {
        at[i] = v.at[i] == '\n' || v.at[i] == '\r' ? ' ' : v.at[i];
    }
    b->length += v.length;
}

static void write_number(struct buffer *b, const char *name, int64_t number)
{
    if (number != POST_NO_NUMBER) {
        write_key(b, name);
        buffer_add_number(b, number);
    }
}

static void write_flag(struct buffer *b, const char *name, int flag)
{
    if (flag != POST_NO_FLAG) {
        write_key(b, name);
        buffer_add_text(b, flag ? "true" : "false");
    }
}

static void write_real(struct buffer *b, const char *name, double real)
{
    if (isfinite(real)) {
        write_key(b, name);
        buffer_print(b, "%.17g", real); /* 17 digits bring every double back */
    }
}

static void write_field(struct buffer *b, const struct post *p, const struct post_field *f)
{
    switch (f->type) {
    case POST_TEXT:
        write_text(b, f->name, VALUE(struct view, p, f));
        break;
    case POST_JSON:
        write_json(b, f->name, VALUE(struct view, p, f));
        break;
    case POST_LIST:
        write_list(b, f->name, VALUE(struct view_list, p, f));
        break;
    case POST_NUMBER:
        write_number(b, f->name, VALUE(int64_t, p, f));
        break;
    case POST_TIME:
        write_time(b, f->name, VALUE(int64_t, p, f));
        break;
    case POST_FLAG:
        write_flag(b, f->name, VALUE(int, p, f));
        break;
    case POST_REAL:
        write_real(b, f->name, VALUE(double, p, f));
        break;
    }
}

void post_write(struct buffer *b, const struct post *p)
{
    buffer_add_text(b, "{\"v\":");
    buffer_add_number(b, POST_VERSION);
    write_text(b, "kind", view_of(post_kind_names[p->kind]));
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (post_fields[i].use & POST_ON_BRIDGE) {
            write_field(b, p, &post_fields[i]);
        }
    }
    write_field(b, p, &body_field);
    buffer_add_byte(b, '}');
}

static bool read_text(const cJSON *item, struct arena *a, struct view *into)
{
    if (!cJSON_IsString(item)) {
        return false;
    }
    *into = arena_view(a, view_of(item->valuestring));
    return true;
}

static bool read_list(const cJSON *item, struct arena *a, struct view_list *into)
{
    if (!cJSON_IsArray(item)) {
        return false;
    }
    size_t count = 0;
    for (const cJSON *element = item->child; element; element = element->next) {
        count++;
    }
    struct view *items = arena_zeroed(a, count ? count : 1, sizeof *items);
    count = 0;
    for (const cJSON *element = item->child; items && element; element = element->next) {
        if (!read_text(element, a, &items[count++])) {
            return false;
        }
    }
    *into = (struct view_list){items, count};
    return true;
}

static bool read_number(const cJSON *item, int64_t *into)
{
    double value = cJSON_IsNumber(item) ? item->valuedouble : NAN;
    if (!(fabs(value) <= 9007199254740992.0) || floor(value) != value) {
        return false;
    }
    *into = (int64_t)value;
    return true;
}

static bool read_flag(const cJSON *item, int *into)
{
    *into = cJSON_IsTrue(item) ? 1 : 0;
    return cJSON_IsBool(item);
}

static bool read_real(const cJSON *item, double *into)
{
    *into = item->valuedouble;
    return cJSON_IsNumber(item) && isfinite(*into);
}

/* The member's own bytes; they go to jsonb columns, so they must be JSON for PostgreSQL too. */
static bool read_json(const char *name, struct view json, struct arena *a, struct view *into)
{
    struct view value = json_scan_member(json, name);
    if (json_scan_check(value, NULL)) {
        return false;
    }
    *into = arena_view(a, value);
    return true;
}

static bool read_field(const struct post_field *f, const cJSON *item, struct view json, struct arena *a,
                       struct post *p)
{
    if (cJSON_IsNull(item)) {
        return true;
    }
    switch (f->type) {
    case POST_TEXT:
        return read_text(item, a, MEMBER(struct view, p, f));
    case POST_JSON:
        return read_json(f->name, json, a, MEMBER(struct view, p, f));
    case POST_LIST:
        return read_list(item, a, MEMBER(struct view_list, p, f));
    case POST_NUMBER:
        return read_number(item, MEMBER(int64_t, p, f));
    case POST_TIME:
        return cJSON_IsString(item) && !clock_parse(view_of(item->valuestring), MEMBER(int64_t, p, f));
    case POST_FLAG:
        return read_flag(item, MEMBER(int, p, f));
    case POST_REAL:
        return read_real(item, MEMBER(double, p, f));
    }
    return false;
}

/* The field of a key, sought from *next on and then from the start; NULL: not known, or not of the bridge. */
static const struct post_field *find_field(const char *key, size_t *next)
{
    for (size_t tried = 0; tried < FIELD_COUNT; tried++) {
        size_t i = *next + tried < FIELD_COUNT ? *next + tried : *next + tried - FIELD_COUNT;
        const char *name = post_fields[i].name;
        if (name[0] == key[0] && strcmp(name, key) == 0) {
            *next = i + 1 < FIELD_COUNT ? i + 1 : 0;
            return post_fields[i].use & POST_ON_BRIDGE ? &post_fields[i] : NULL;
        }
    }
    return strcmp(body_field.name, key) == 0 ? &body_field : NULL;
}

/* The byte at which a member's value stands; 0 when it cannot be found (its key is written with escapes). */
static size_t place_of(const char *name, struct view json)
{
    struct view value = json_scan_member(json, name);
    return value.at ? (size_t)(value.at - json.at) : 0;
}

static int wrong_type(const struct post_field *f, struct view json, struct err *e)
{
    static const char *const wanted[] = {[POST_TEXT] = "a string",
                                         [POST_LIST] = "a list of strings",
                                         [POST_NUMBER] = "a whole number within 2^53",
                                         [POST_FLAG] = "true or false",
                                         [POST_REAL] = "a number",
                                         [POST_TIME] = "a time (RFC 3339)",
                                         [POST_JSON] = "JSON"};
    return err_set(e, ERR_REJECT, "post: the field \"%s\" at byte %zu is not %s", f->name,
                   place_of(f->name, json), wanted[f->type]);
}

static int read_members(const cJSON *tree, struct view json, struct arena *a, struct post *p, struct err *e)
{
    size_t next = 0;
    for (const cJSON *item = tree->child; item; item = item->next) {
        const struct post_field *f = find_field(item->string, &next);
        if (f && !read_field(f, item, json, a, p)) {
            return wrong_type(f, json, e);
        }
    }
    if (p->kind == POST_POST && !p->text.at) {
        p->text = VIEW("");
    }
    return arena_failed(a) ? err_set(e, ERR_RETRY, "post: no memory for a post of %zu bytes", json.length)
                           : 0;
}

static int read_kind(const cJSON *tree, struct view json, struct post *p, struct err *e)
{
    int64_t version = json_number(tree, "v", 0);
    if (version != POST_VERSION) {
        return err_set(e, ERR_REJECT,
                       "post: version %lld, but this roost reads version %d: is one service older?",
                       (long long)version, POST_VERSION);
    }
    struct view kind = json_text(tree, "kind");
    for (size_t i = 0; i < POST_KIND_COUNT; i++) {
        if (view_is(kind, post_kind_names[i])) {
            p->kind = (enum post_kind)i;
            return 0;
        }
    }
    return err_set(e, ERR_REJECT, "post: \"kind\" at byte %zu is none that this roost knows",
                   place_of("kind", json));
}

/* An escape \u0000 (an even number of backslashes before it) or a NUL byte: both would cut strings short in
 * cJSON. */
static bool holds_nul(struct view json)
{
    if (memchr(json.at, '\0', json.length)) {
        return true;
    }
    struct view rest = json;
    for (const char *hit; (hit = memmem(rest.at, rest.length, "\\u0000", 6));
         rest = view_from(json, (size_t)(hit + 6 - json.at))) {
        const char *start = hit;
        while (start > json.at && start[-1] == '\\') {
            start--;
        }
        if ((hit - start) % 2 == 0) {
            return true;
        }
    }
    return false;
}

/* What can be said without a tree. The object must end at the view's last byte: cJSON 1.7.15 reads one byte
 * beyond a text that ends behind a comma. */
static int check_bytes(struct view *json, struct err *e)
{
    *json = view_trim(*json);
    if (json->length > POST_MAXIMUM_BYTES) {
        return err_set(e, ERR_REJECT, "post: %zu bytes, over the limit of %d", json->length,
                       POST_MAXIMUM_BYTES);
    }
    if (json->length < 2 || json->at[0] != '{' || json->at[json->length - 1] != '}') {
        return err_set(e, ERR_REJECT, "post: no whole JSON object in these %zu bytes", json->length);
    }
    if (!utf8_valid(*json)) {
        return err_set(e, ERR_REJECT, "post: the JSON is not UTF-8");
    }
    if (holds_nul(*json)) {
        return err_set(e, ERR_REJECT, "post: the JSON holds U+0000, which no text may");
    }
    return 0;
}

int post_read(struct view json, struct arena *a, struct post *p, struct err *e)
{
    post_init(p);
    if (check_bytes(&json, e)) {
        return -1;
    }
    const char *end = NULL;
    cJSON *tree = cJSON_ParseWithLengthOpts(json.at, json.length, &end, 0);
    if (!tree || end != json.at + json.length) {
        /* cJSON does not tell bad JSON from no memory, and a good post must not become a reject. What is JSON
         * and has no surrogate escapes (cJSON refuses lone ones) is something that it can read. */
        bool memory = !tree && json_scan_check(json, NULL) == 0 && !memmem(json.at, json.length, "\\ud", 3) &&
                      !memmem(json.at, json.length, "\\uD", 3);
        cJSON_Delete(tree);
        if (memory) {
            return err_set(e, ERR_RETRY, "post: no memory for a post of %zu bytes", json.length);
        }
        return err_set(e, ERR_REJECT, "post: no JSON, at byte %zu of %zu", end ? (size_t)(end - json.at) : 0,
                       json.length);
    }
    int result = read_kind(tree, json, p, e);
    if (!result) {
        result = read_members(tree, json, a, p, e);
    }
    cJSON_Delete(tree);
    return result;
}
