#include "simulator/sample_json.h"

#include "base/utf8.h"
#include "simulator/fresh.h"

#include <stdio.h>
#include <stdlib.h>

static void add_unit(struct buffer *into, unsigned unit)
{
    buffer_print(into, "\\u%04x", unit);
}

void sample_json_string(struct buffer *into, struct view text)
{
    if (!text.at) {
        buffer_add_text(into, "null");
        return;
    }
    buffer_add_byte(into, '"');
    for (size_t at = 0; at < text.length;) {
        uint32_t c = utf8_next(text, &at);
        if (c == '"' || c == '\\' || c == '/') {
            buffer_add_byte(into, '\\');
            buffer_add_byte(into, (char)c);
        } else if (c == '\n' || c == '\r' || c == '\t') {
            buffer_add_text(into, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
        } else if (c >= 0x10000 && c != UTF8_BAD) {
            add_unit(into, 0xD800 + ((c - 0x10000) >> 10));
            add_unit(into, 0xDC00 + ((c - 0x10000) & 0x3FF));
        } else if (c < 0x20 || c >= 0x7F || c == '<' || c == '>' || c == '{' || c == '}') {
            add_unit(into, c == UTF8_BAD ? 0xFFFD : c);
        } else {
            buffer_add_byte(into, (char)c);
        }
    }
    buffer_add_byte(into, '"');
}

static void add_string(struct buffer *into, const char *key, struct view value)
{
    buffer_print(into, "\"%s\":", key);
    sample_json_string(into, value);
    buffer_add_byte(into, ',');
}

static void add_flag(struct buffer *into, const char *key, bool value)
{
    buffer_print(into, "\"%s\":%s,", key, value ? "true" : "false");
}

void sample_json_id(struct buffer *into, const char *key, uint64_t id)
{
    unsigned long long number = id;
    if (id) {
        buffer_print(into, "\"%s\":%llu,\"%s_str\":\"%llu\",", key, number, key, number);
    } else {
        buffer_print(into, "\"%s\":null,\"%s_str\":null,", key, key);
    }
}

static void add_created_at(struct buffer *into, int64_t ms)
{
    buffer_add_text(into, "\"created_at\":\"");
    fresh_add_created_at(into, ms);
    buffer_add_text(into, "\",");
}

void sample_json_user(const struct sample_user *user, struct buffer *into)
{
    buffer_add_byte(into, '{');
    sample_json_id(into, "id", user->id);
    add_string(into, "name", view_of(user->name));
    add_string(into, "screen_name", view_of(user->handle));
    add_string(into, "location",
               user->place < SAMPLE_PLACE_COUNT ? view_of(SAMPLE_PLACE[user->place].full_name) : view_none());
    buffer_add_text(into, "\"url\":null,\"description\":");
    char about[80];
    snprintf(about, sizeof about, "Here since the beginning <3 | %u friends & counting / %s", user->friends,
             SAMPLE_LANGUAGE[user->language].code);
    sample_json_string(into, view_of(about));
    buffer_add_text(into, ",\"translator_type\":\"none\",\"protected\":false,");
    add_flag(into, "verified", user->verified);
    buffer_print(into,
                 "\"followers_count\":%u,\"friends_count\":%u,\"listed_count\":%u,\"favourites_count\":%u,"
                 "\"statuses_count\":%u,",
                 user->followers, user->friends, user->listed, user->favourites, user->statuses);
    add_created_at(into, user->created_ms);
    buffer_add_text(into, "\"utc_offset\":null,\"time_zone\":null,\"geo_enabled\":true,\"lang\":null,"
                          "\"contributors_enabled\":false,\"is_translator\":false,"
                          "\"profile_background_color\":\"F5F8FA\",\"profile_background_image_url\":\"\","
                          "\"profile_background_image_url_https\":\"\",\"profile_background_tile\":false,"
                          "\"profile_link_color\":\"1DA1F2\",\"profile_sidebar_border_color\":\"C0DEED\","
                          "\"profile_sidebar_fill_color\":\"DDEEF6\",\"profile_text_color\":\"333333\","
                          "\"profile_use_background_image\":true,");
    buffer_print(into,
                 "\"profile_image_url\":\"http:\\/\\/images.example.org\\/%s_normal.jpg\","
                 "\"profile_image_url_https\":\"https:\\/\\/images.example.org\\/%s_normal.jpg\","
                 "\"default_profile\":true,\"default_profile_image\":false,\"following\":null,"
                 "\"follow_request_sent\":null,\"notifications\":null,\"withheld_in_countries\":[]}",
                 user->handle, user->handle);
}

/* ---- entities ---- */

static void add_indices(struct buffer *into, const struct sample_entity *e)
{
    buffer_print(into, "\"indices\":[%u,%u]", e->start, e->end);
}

static void add_media(struct buffer *into, const struct sample_entity *e)
{
    /* A media id is as large as a tweet's; the link tells them apart well enough. */
    uint64_t id = UINT64_C(1500000000000000000);
    for (const char *c = e->text; *c; c++) {
        id += (uint64_t)(unsigned char)*c * 7919 * (uint64_t)(c - e->text + 1);
    }
    buffer_add_byte(into, '{');
    sample_json_id(into, "id", id);
    add_indices(into, e);
    buffer_print(into,
                 ",\"media_url\":\"http:\\/\\/images.example.org\\/media\\/%s.jpg\","
                 "\"media_url_https\":\"https:\\/\\/images.example.org\\/media\\/%s.jpg\",",
                 e->text + 13, e->text + 13);
    add_string(into, "url", view_of(e->text));
    add_string(into, "display_url", view_of(e->display));
    add_string(into, "expanded_url", view_of(e->expanded));
    buffer_add_text(into, "\"type\":\"photo\",\"sizes\":{\"thumb\":{\"w\":150,\"h\":150,\"resize\":\"crop\"},"
                          "\"large\":{\"w\":1024,\"h\":768,\"resize\":\"fit\"}}}");
}

static void add_entity(struct buffer *into, const struct sample_maker *m, const struct sample_entity *e)
{
    switch (e->kind) {
    case SAMPLE_HASHTAG:
    case SAMPLE_CASHTAG:
        buffer_add_byte(into, '{');
        add_string(into, "text", view_of(e->text));
        break;
    case SAMPLE_MENTION:
        buffer_add_byte(into, '{');
        add_string(into, "screen_name", view_of(m->users[e->user].handle));
        add_string(into, "name", view_of(m->users[e->user].name));
        sample_json_id(into, "id", m->users[e->user].id);
        break;
    case SAMPLE_URL:
        buffer_add_byte(into, '{');
        add_string(into, "url", view_of(e->text));
        add_string(into, "expanded_url", view_of(e->expanded));
        add_string(into, "display_url", view_of(e->display));
        break;
    case SAMPLE_MEDIA:
        add_media(into, e);
        return;
    }
    add_indices(into, e);
    buffer_add_byte(into, '}');
}

static bool has_kind(const struct sample_text *t, enum sample_entity_kind kind)
{
    for (size_t i = 0; i < t->entity_count; i++) {
        if (t->entities[i].kind == kind) {
            return true;
        }
    }
    return false;
}

static void add_list(struct buffer *into, const struct sample_maker *m, const struct sample_text *t,
                     const char *key, enum sample_entity_kind kind)
{
    bool first = true;
    buffer_print(into, "\"%s\":[", key);
    for (size_t i = 0; i < t->entity_count; i++) {
        if (t->entities[i].kind == kind) {
            buffer_add_text(into, first ? "" : ",");
            add_entity(into, m, &t->entities[i]);
            first = false;
        }
    }
    buffer_add_byte(into, ']');
}

/* "entities":{...} and, with media, "extended_entities":{...} */
static void add_entities(struct buffer *into, const struct sample_maker *m, const struct sample_text *t)
{
    buffer_add_text(into, "\"entities\":{");
    add_list(into, m, t, "hashtags", SAMPLE_HASHTAG);
    buffer_add_byte(into, ',');
    add_list(into, m, t, "urls", SAMPLE_URL);
    buffer_add_byte(into, ',');
    add_list(into, m, t, "user_mentions", SAMPLE_MENTION);
    buffer_add_byte(into, ',');
    add_list(into, m, t, "symbols", SAMPLE_CASHTAG);
    if (has_kind(t, SAMPLE_MEDIA)) {
        buffer_add_byte(into, ',');
        add_list(into, m, t, "media", SAMPLE_MEDIA);
        buffer_add_text(into, "},\"extended_entities\":{");
        add_list(into, m, t, "media", SAMPLE_MEDIA);
    }
    buffer_add_byte(into, '}');
}

/* ---- places ---- */

static void add_degrees(struct buffer *into, int32_t value)
{
    buffer_print(into, "%s%d.%04d", value < 0 ? "-" : "", abs(value) / 10000, abs(value) % 10000);
}

static void add_pair(struct buffer *into, int32_t first, int32_t second)
{
    buffer_add_byte(into, '[');
    add_degrees(into, first);
    buffer_add_byte(into, ',');
    add_degrees(into, second);
    buffer_add_byte(into, ']');
}

static void add_geo(struct buffer *into, struct sample_maker *m, const struct sample_tweet *t)
{
    const struct sample_place *p = t->place < SAMPLE_PLACE_COUNT ? &SAMPLE_PLACE[t->place] : NULL;
    if (!p) {
        buffer_add_text(into, "\"geo\":null,\"coordinates\":null,\"place\":null,");
        return;
    }
    if (t->has_point) {
        int32_t lon = p->west + (int32_t)sample_pick(m, (uint64_t)(p->east - p->west));
        int32_t lat = p->south + (int32_t)sample_pick(m, (uint64_t)(p->north - p->south));
        buffer_add_text(into, "\"geo\":{\"type\":\"Point\",\"coordinates\":");
        add_pair(into, lat, lon);
        buffer_add_text(into, "},\"coordinates\":{\"type\":\"Point\",\"coordinates\":");
        add_pair(into, lon, lat);
        buffer_add_text(into, "},");
    } else {
        buffer_add_text(into, "\"geo\":null,\"coordinates\":null,");
    }
    buffer_print(
        into,
        "\"place\":{\"id\":\"%s\",\"url\":\"https:\\/\\/api.twitter.com\\/1.1\\/geo\\/id\\/%s.json\","
        "\"place_type\":\"city\",",
        p->id, p->id);
    add_string(into, "name", view_of(p->name));
    add_string(into, "full_name", view_of(p->full_name));
    add_string(into, "country_code", view_of(p->country_code));
    add_string(into, "country", view_of(p->country));
    buffer_add_text(into, "\"bounding_box\":{\"type\":\"Polygon\",\"coordinates\":[[");
    int32_t corners[4][2] = {
        {p->west, p->south}, {p->west, p->north}, {p->east, p->north}, {p->east, p->south}};
    for (size_t i = 0; i < 4; i++) {
        buffer_add_text(into, i ? "," : "");
        add_pair(into, corners[i][0], corners[i][1]);
    }
    buffer_add_text(into, "]]},\"attributes\":{}},");
}

/* ---- the tweet ---- */

static void add_display_range(struct buffer *into, const struct sample_text *t)
{
    buffer_print(into, "\"display_text_range\":[%u,%u],", t->display_start, t->display_end);
}

/* The text that old clients see: cut, with a link to the tweet itself. */
static void make_short(struct sample_text *cut, const struct sample_tweet *t, struct sample_maker *m)
{
    sample_text_start(cut);
    sample_text_add_cut(cut, t->text, SAMPLE_TEXT_SHORT - 24);
    sample_text_add(cut, VIEW(" "));
    cut->display_start = t->text->display_start;
    char expanded[80];
    snprintf(expanded, sizeof expanded, "https://twitter.com/i/web/status/%llu", (unsigned long long)t->id);
    unsigned start = cut->points;
    struct sample_entity *e =
        cut->entity_count < SAMPLE_ENTITIES ? &cut->entities[cut->entity_count++] : NULL;
    char link[24];
    sample_text_link(m, link);
    sample_text_add(cut, view_of(link));
    if (e) {
        *e = (struct sample_entity){.kind = SAMPLE_URL, .start = start, .end = cut->points};
        snprintf(e->text, sizeof e->text, "%s", link);
        snprintf(e->expanded, sizeof e->expanded, "%s", expanded);
        snprintf(e->display, sizeof e->display, "twitter.com/i/web/status/1\u2026");
    }
}

static void add_quote(struct buffer *into, const struct sample_tweet *t)
{
    if (t->quoted_id) {
        unsigned long long id = t->quoted_id;
        buffer_print(into, "\"quoted_status_id\":%llu,\"quoted_status_id_str\":\"%llu\",", id, id);
        if (t->quoted.at) {
            buffer_add_text(into, "\"quoted_status\":");
            buffer_add_view(into, t->quoted);
            buffer_add_byte(into, ',');
        }
    }
    add_flag(into, "is_quote_status", t->quoted_id != 0);
}

static void add_extended(struct buffer *into, const struct sample_maker *m, const struct sample_text *t)
{
    buffer_add_text(into, "\"extended_tweet\":{");
    add_string(into, "full_text", buffer_view(&t->bytes));
    add_display_range(into, t);
    add_entities(into, m, t);
    buffer_add_text(into, "},");
}

static void add_tail(struct buffer *into, const struct sample_tweet *t, const struct sample_text *shown,
                     bool nested)
{
    buffer_add_text(into, ",\"favorited\":false,\"retweeted\":false,");
    if (t->sensitive || has_kind(shown, SAMPLE_URL) || has_kind(shown, SAMPLE_MEDIA)) {
        add_flag(into, "possibly_sensitive", t->sensitive);
    }
    buffer_print(into, "\"filter_level\":\"%s\",\"lang\":\"%s\"", t->medium ? "medium" : "low",
                 SAMPLE_LANGUAGE[t->language].code);
    if (!nested) {
        buffer_print(into, ",\"timestamp_ms\":\"%lld\"", (long long)t->ms);
    }
    buffer_add_byte(into, '}');
}

void sample_json_tweet(const struct sample_tweet *t, struct sample_maker *m, bool nested, struct buffer *into)
{
    struct sample_text cut = {0};
    bool truncated = !t->retweeted.at && t->text->points > SAMPLE_TEXT_SHORT;
    if (truncated) {
        make_short(&cut, t, m);
    }
    const struct sample_text *shown = truncated ? &cut : t->text;
    buffer_add_byte(into, '{');
    add_created_at(into, t->ms);
    sample_json_id(into, "id", t->id);
    add_string(into, "text", buffer_view(&shown->bytes));
    if (shown->display_start || shown->display_end != shown->points) {
        add_display_range(into, shown);
    }
    add_string(into, "source", t->source);
    add_flag(into, "truncated", truncated);
    sample_json_id(into, "in_reply_to_status_id", t->reply_to);
    sample_json_id(into, "in_reply_to_user_id", t->reply_to_user);
    add_string(into, "in_reply_to_screen_name", view_of(t->reply_to_handle));
    buffer_add_text(into, "\"user\":");
    sample_json_user(&m->users[t->user], into);
    buffer_add_byte(into, ',');
    add_geo(into, m, t);
    buffer_add_text(into, "\"contributors\":null,");
    if (t->retweeted.at) {
        buffer_add_text(into, "\"retweeted_status\":");
        buffer_add_view(into, t->retweeted);
        buffer_add_byte(into, ',');
    }
    add_quote(into, t);
    if (truncated) {
        add_extended(into, m, t->text);
    }
    buffer_print(into, "\"quote_count\":%u,\"reply_count\":%u,\"retweet_count\":%u,\"favorite_count\":%u,",
                 t->counts.quotes, t->counts.replies, t->counts.retweets, t->counts.likes);
    add_entities(into, m, shown);
    add_tail(into, t, shown, nested);
    sample_text_free(&cut);
}
