#include "simulator/fields.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/json_scan.h"
#include "base/number.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAMES_MAX = 40, IDS_MAX = 200 };

/* The names of each list; a name's bit is its place. What is always there comes first. */
static const char *const NAMES[FIELDS_KINDS][NAMES_MAX] = {
    {"id",
     "text",
     "edit_history_tweet_ids",
     "article",
     "attachments",
     "author_id",
     "card_uri",
     "community_id",
     "context_annotations",
     "conversation_id",
     "created_at",
     "display_text_range",
     "edit_controls",
     "entities",
     "geo",
     "in_reply_to_user_id",
     "lang",
     "media_metadata",
     "non_public_metrics",
     "note_tweet",
     "organic_metrics",
     "paid_partnership",
     "possibly_sensitive",
     "promoted_metrics",
     "public_metrics",
     "referenced_tweets",
     "reply_settings",
     "scopes",
     "source",
     "withheld",
     "suggested_source_links"},
    {"id",
     "name",
     "username",
     "affiliation",
     "connection_status",
     "created_at",
     "description",
     "entities",
     "is_identity_verified",
     "location",
     "most_recent_tweet_id",
     "parody",
     "pinned_tweet_id",
     "profile_banner_url",
     "profile_image_url",
     "protected",
     "public_metrics",
     "receives_your_dm",
     "subscription",
     "subscription_type",
     "url",
     "verified",
     "verified_followers_count",
     "verified_type",
     "withheld"},
    {"id", "full_name", "contained_within", "country", "country_code", "geo", "name", "place_type"},
    {"media_key", "type", "alt_text", "duration_ms", "height", "non_public_metrics", "organic_metrics",
     "preview_image_url", "promoted_metrics", "public_metrics", "url", "variants", "width"},
    {"id", "options", "duration_minutes", "end_datetime", "voting_status"}};

static const unsigned ALWAYS[FIELDS_KINDS] = {3, 3, 2, 2, 2};

static const char *const PARAMETERS[FIELDS_KINDS] = {"tweet.fields", "user.fields", "place.fields",
                                                     "media.fields", "poll.fields"};

enum expansion {
    EXPAND_AUTHOR,
    EXPAND_REFERENCES,
    EXPAND_REFERENCE_AUTHORS,
    EXPAND_ANSWERED_USER,
    EXPAND_MENTIONS,
    EXPAND_MEDIA,
    EXPAND_POLLS,
    EXPAND_PLACE,
    EXPAND_EDITS,
    EXPAND_NOTE_MENTIONS
};

/* Expansions and the attribute of a post that each one brings. */
static const char *const EXPANSIONS[NAMES_MAX] = {"author_id",
                                                  "referenced_tweets.id",
                                                  "referenced_tweets.id.author_id",
                                                  "in_reply_to_user_id",
                                                  "entities.mentions.username",
                                                  "attachments.media_keys",
                                                  "attachments.poll_ids",
                                                  "geo.place_id",
                                                  "edit_history_tweet_ids",
                                                  "entities.note.mentions.username",
                                                  "article.cover_media",
                                                  "article.media_entities",
                                                  "attachments.media_source_tweet",
                                                  "referenced_tweets.id.attachments.media_keys"};

/* The newer spellings; fields may be asked for by either. */
static const char *const SPELLINGS[][2] = {{"edit_history_tweet_ids", "edit_history_post_ids"},
                                           {"referenced_tweets", "referenced_posts"},
                                           {"note_tweet", "note_post"}};

static struct view old_name(struct view name)
{
    for (size_t i = 0; i < sizeof SPELLINGS / sizeof *SPELLINGS; i++) {
        if (view_is(name, SPELLINGS[i][1])) {
            return view_of(SPELLINGS[i][0]);
        }
    }
    return name;
}

static struct view spelled(const struct fields *f, struct view name)
{
    for (size_t i = 0; f->newer_names && i < sizeof SPELLINGS / sizeof *SPELLINGS; i++) {
        if (view_is(name, SPELLINGS[i][0])) {
            return view_of(SPELLINGS[i][1]);
        }
    }
    return name;
}

static int place_of(const char *const *names, struct view name)
{
    for (int i = 0; i < NAMES_MAX && names[i]; i++) {
        if (view_is(name, names[i])) {
            return i;
        }
    }
    return -1;
}

/* ---- the parameters ---- */

void fields_add_error(struct buffer *errors, const char *name, const char *value, const char *message)
{
    buffer_add_text(errors, errors->length ? ",{\"parameters\":{" : "{\"parameters\":{");
    json_add_string(errors, view_of(name));
    buffer_add_text(errors, ":[");
    json_add_string(errors, view_of(value));
    buffer_add_text(errors, "]},\"message\":");
    json_add_string(errors, view_of(message));
    buffer_add_byte(errors, '}');
}

static void add_unknown(struct buffer *errors, const struct parameter *p, const char *const *names)
{
    struct buffer message = BUFFER(8 << 10);
    if (names) {
        buffer_print(&message, "The `%s` query parameter value [%.100s] is not one of [", p->name, p->value);
        for (size_t i = 0; i < NAMES_MAX && names[i]; i++) {
            buffer_print(&message, "%s%s", i ? "," : "", names[i]);
        }
    } else {
        buffer_print(&message,
                     "The query parameter [%.100s] is not one of "
                     "[backfill_minutes,start_time,end_time,tweet.fields,expansions,media.fields,poll.fields,"
                     "user.fields,place.fields",
                     p->name);
    }
    buffer_add_byte(&message, ']');
    const char *text = buffer_string(&message);
    fields_add_error(errors, p->name, p->value, text ? text : "");
    buffer_free(&message);
}

static uint64_t read_list(const struct parameter *p, const char *const *names, struct buffer *errors)
{
    uint64_t bits = 0;
    struct view rest = view_of(p->value);
    bool wrong = !rest.length;
    while (rest.length) {
        const char *comma = memchr(rest.at, ',', rest.length);
        size_t length = comma ? (size_t)(comma - rest.at) : rest.length;
        int place = place_of(names, old_name(view_make(rest.at, length)));
        wrong = wrong || place < 0;
        bits |= place < 0 ? 0 : UINT64_C(1) << place;
        rest = view_from(rest, length + 1);
    }
    if (wrong) {
        add_unknown(errors, p, names);
    }
    return bits;
}

/* YYYY-MM-DDTHH:mm:ssZ */
static int64_t read_time(const struct parameter *p, struct buffer *errors)
{
    struct view text = view_of(p->value);
    int64_t wall_ms = 0;
    if (text.length != sizeof "2026-07-01T00:00:00Z" - 1 || text.at[text.length - 1] != 'Z' ||
        clock_parse(text, &wall_ms) < 0) {
        fields_add_error(errors, p->name, p->value, "The time must be of the form YYYY-MM-DDTHH:mm:ssZ");
    }
    return wall_ms;
}

static void read_parameter(const struct parameter *p, struct fields *f, struct buffer *errors)
{
    for (size_t i = 0; i < FIELDS_KINDS; i++) {
        if (strcmp(p->name, PARAMETERS[i]) == 0) {
            f->asked[i] |= read_list(p, NAMES[i], errors);
            return;
        }
    }
    int64_t minutes;
    if (strcmp(p->name, "expansions") == 0) {
        f->expansions |= (uint32_t)read_list(p, EXPANSIONS, errors);
    } else if (strcmp(p->name, "backfill_minutes") == 0) {
        if (number_parse(view_of(p->value), 0, 5, &minutes) < 0) {
            fields_add_error(errors, p->name, p->value,
                             "The `backfill_minutes` query parameter value must be between 0 and 5");
        } else {
            f->backfill_minutes = (int)minutes;
        }
    } else if (strcmp(p->name, "start_time") == 0) {
        f->start_ms = read_time(p, errors);
    } else if (strcmp(p->name, "end_time") == 0) {
        f->end_ms = read_time(p, errors);
    } else {
        add_unknown(errors, p, NULL);
    }
}

static bool expands(const struct fields *f, enum expansion expansion)
{
    return f->all || (f->expansions >> (unsigned)expansion & 1) != 0;
}

static void ask_also(struct fields *f, enum expansion expansion, const char *name)
{
    if (expands(f, expansion)) {
        f->asked[FIELDS_TWEET] |= UINT64_C(1) << place_of(NAMES[FIELDS_TWEET], view_of(name));
    }
}

int fields_read(const struct parameters *p, struct fields *fields, struct buffer *errors)
{
    size_t before = errors->length;
    for (size_t i = 0; i < FIELDS_KINDS; i++) {
        fields->asked[i] |= (UINT64_C(1) << ALWAYS[i]) - 1;
    }
    for (size_t i = 0; i < p->count; i++) {
        read_parameter(&p->items[i], fields, errors);
    }
    ask_also(fields, EXPAND_AUTHOR, "author_id");
    ask_also(fields, EXPAND_REFERENCES, "referenced_tweets");
    ask_also(fields, EXPAND_REFERENCE_AUTHORS, "referenced_tweets");
    ask_also(fields, EXPAND_ANSWERED_USER, "in_reply_to_user_id");
    ask_also(fields, EXPAND_MENTIONS, "entities");
    ask_also(fields, EXPAND_MEDIA, "attachments");
    ask_also(fields, EXPAND_POLLS, "attachments");
    ask_also(fields, EXPAND_PLACE, "geo");
    ask_also(fields, EXPAND_NOTE_MENTIONS, "note_tweet");
    return errors->length == before ? 0 : -1;
}

/* ---- the cut ---- */

/* Behind the value at `at`; text.length when it never ends. */
static size_t skip_value(struct view text, size_t at)
{
    size_t depth = 0;
    for (; at < text.length; at++) {
        char c = text.at[at];
        if (c == '"') {
            for (at++; at < text.length && text.at[at] != '"'; at++) {
                at += text.at[at] == '\\';
            }
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (!depth) {
                return at;
            }
            depth--;
        } else if (c == ',' && !depth) {
            return at;
        }
    }
    return text.length;
}

/* The next element of an array; *at is 0 before the first call. False at the end. */
static bool next_element(struct view array, size_t *at, struct view *element)
{
    if (!array.length || array.at[0] != '[' || *at >= array.length || array.at[*at] == ']') {
        return false;
    }
    size_t from = *at + 1, end = skip_value(array, from);
    *element = view_trim(view_make(array.at + from, end - from));
    *at = end;
    return element->length > 0;
}

/* A string as it stands between its quotes: ids and names need no decoding. */
static struct view bare(struct view value)
{
    return value.length >= 2 && value.at[0] == '"' ? view_make(value.at + 1, value.length - 2) : view_none();
}

struct ids {
    struct view items[IDS_MAX];
    size_t count;
};

static void add_id(struct ids *ids, struct view id)
{
    if (id.length && ids->count < IDS_MAX) {
        ids->items[ids->count++] = id;
    }
}

static bool has_id(const struct ids *ids, struct view id)
{
    for (size_t i = 0; i < ids->count; i++) {
        if (view_equal(ids->items[i], id)) {
            return true;
        }
    }
    return false;
}

struct cut {
    const struct fields *fields;
    struct buffer *into;
    struct ids users, tweets, names; /* what of includes is wanted */
};

/* True before the first member that was written behind `start`. */
static void add_comma(struct cut *c, size_t start)
{
    if (c->into->length != start) {
        buffer_add_byte(c->into, ',');
    }
}

static void add_member(struct cut *c, size_t start, struct view key, struct view value)
{
    add_comma(c, start);
    buffer_add_byte(c->into, '"');
    buffer_add_view(c->into, key);
    buffer_add_text(c->into, "\":");
    buffer_add_view(c->into, value);
}

static void add_object(struct cut *c, struct view object, enum fields_kind kind)
{
    struct view key, value;
    size_t at = 0;
    buffer_add_byte(c->into, '{');
    size_t start = c->into->length;
    while (json_scan_next(object, &at, &key, &value) == 1) {
        struct view name = old_name(key);
        int place = place_of(NAMES[kind], name);
        if (c->fields->all || (place >= 0 && (c->fields->asked[kind] >> place & 1))) {
            add_member(c, start, spelled(c->fields, name), value);
        }
    }
    buffer_add_byte(c->into, '}');
}

static struct view member_of(struct view object, const char *name, const char *newer)
{
    struct view found = json_scan_member(object, name);
    return found.at ? found : json_scan_member(object, newer);
}

static void want_mentions(struct cut *c, struct view entities)
{
    struct view list = json_scan_member(entities, "mentions"), item;
    for (size_t at = 0; next_element(list, &at, &item);) {
        add_id(&c->names, bare(json_scan_member(item, "username")));
    }
}

static void find_wanted(struct cut *c, struct view data, struct view includes)
{
    const struct fields *f = c->fields;
    struct view item, list = member_of(data, "referenced_tweets", "referenced_posts");
    struct ids references = {.count = 0};
    for (size_t at = 0; next_element(list, &at, &item);) {
        add_id(&references, bare(json_scan_member(item, "id")));
    }
    if (expands(f, EXPAND_AUTHOR)) {
        add_id(&c->users, bare(json_scan_member(data, "author_id")));
    }
    if (expands(f, EXPAND_ANSWERED_USER)) {
        add_id(&c->users, bare(json_scan_member(data, "in_reply_to_user_id")));
    }
    if (expands(f, EXPAND_MENTIONS)) {
        want_mentions(c, json_scan_member(data, "entities"));
    }
    if (expands(f, EXPAND_NOTE_MENTIONS)) {
        want_mentions(c, json_scan_member(member_of(data, "note_tweet", "note_post"), "entities"));
    }
    /* Authors of referenced posts come with the posts themselves. */
    if (expands(f, EXPAND_REFERENCES) || expands(f, EXPAND_REFERENCE_AUTHORS)) {
        c->tweets = references;
    }
    list = json_scan_member(includes, "tweets");
    for (size_t at = 0; expands(f, EXPAND_REFERENCE_AUTHORS) && next_element(list, &at, &item);) {
        if (has_id(&references, bare(json_scan_member(item, "id")))) {
            add_id(&c->users, bare(json_scan_member(item, "author_id")));
        }
    }
}

static bool wanted(const struct cut *c, enum fields_kind kind, struct view object)
{
    const struct fields *f = c->fields;
    if (f->all) {
        return true;
    }
    struct view id = bare(json_scan_member(object, "id"));
    switch (kind) {
    case FIELDS_TWEET:
        return has_id(&c->tweets, id);
    case FIELDS_USER:
        return has_id(&c->users, id) || has_id(&c->names, bare(json_scan_member(object, "username")));
    case FIELDS_PLACE:
        return expands(f, EXPAND_PLACE);
    case FIELDS_MEDIA:
        return expands(f, EXPAND_MEDIA);
    case FIELDS_POLL:
    case FIELDS_KINDS:
        break;
    }
    return expands(f, EXPAND_POLLS);
}

static void add_includes(struct cut *c, struct view includes)
{
    static const char *const lists[FIELDS_KINDS] = {"tweets", "users", "places", "media", "polls"};
    struct buffer *into = c->into;
    size_t before = into->length;
    buffer_add_text(into, ",\"includes\":{");
    size_t start = into->length;
    for (size_t i = 0; i < FIELDS_KINDS; i++) {
        struct view list = json_scan_member(includes, lists[i]), item;
        size_t begin = into->length, first = 0;
        for (size_t at = 0; next_element(list, &at, &item);) {
            if (!wanted(c, (enum fields_kind)i, item)) {
                continue;
            }
            if (!first) {
                add_comma(c, start);
                buffer_print(into, "\"%s\":[", lists[i]);
                first = into->length;
            }
            add_comma(c, first);
            add_object(c, item, (enum fields_kind)i);
        }
        if (into->length != begin) {
            buffer_add_byte(into, ']');
        }
    }
    if (into->length == start && !buffer_failed(into)) {
        into->length = before;
    } else {
        buffer_add_byte(into, '}');
    }
}

/* An error about an expansion is for who asked for that expansion. */
static void add_errors(struct cut *c, struct view errors, struct view extra)
{
    struct view item;
    size_t first = 0;
    if (extra.at) {
        buffer_add_text(c->into, ",\"errors\":[");
        first = c->into->length;
        buffer_add_view(c->into, extra);
    }
    for (size_t at = 0; next_element(errors, &at, &item);) {
        struct view parameter = bare(json_scan_member(item, "parameter"));
        int place = parameter.at ? place_of(EXPANSIONS, parameter) : -1;
        if (place >= 0 && !expands(c->fields, (enum expansion)place)) {
            continue;
        }
        if (!first) {
            buffer_add_text(c->into, ",\"errors\":[");
            first = c->into->length;
        }
        add_comma(c, first);
        buffer_add_view(c->into, item);
    }
    if (first) {
        buffer_add_byte(c->into, ']');
    }
}

void fields_project(const struct fields *fields, struct view payload, struct view matching_rules,
                    struct view extra_error, struct buffer *into)
{
    struct cut c = {.fields = fields, .into = into};
    struct view data = json_scan_member(payload, "data"), includes = json_scan_member(payload, "includes");
    find_wanted(&c, data, includes);
    buffer_add_text(into, "{\"data\":");
    add_object(&c, data, FIELDS_TWEET);
    if (includes.at) {
        add_includes(&c, includes);
    }
    add_errors(&c, json_scan_member(payload, "errors"), extra_error);
    if (matching_rules.at) {
        buffer_add_text(into, ",\"matching_rules\":");
        buffer_add_view(into, matching_rules);
    }
    buffer_add_byte(into, '}');
}
