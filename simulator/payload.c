#include "simulator/payload.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/number.h"
#include "base/utf8.h"
#include "simulator/fresh.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { EDIT_EVERY = 37, WITHHELD_EVERY = 41, EDIT_MINUTES = 30 };

struct making {
    const struct payload_options *options;
    cJSON *users, *tweets, *places, *media, *errors;
};

/* ---- small parts ---- */

static void put(cJSON *object, const char *key, struct view value)
{
    char *copy = view_copy(value);
    if (copy) {
        cJSON_AddStringToObject(object, key, copy);
        free(copy);
    }
}

/* A member as it is, unless it is absent, null or an empty text. */
static void copy_member(const cJSON *from, const char *key, cJSON *to, const char *new_key)
{
    const cJSON *value = json_member(from, key);
    if (value && !(cJSON_IsString(value) && !*value->valuestring)) {
        cJSON_AddItemToObject(to, new_key, cJSON_Duplicate(value, true));
    }
}

static void put_time(cJSON *object, const char *key, int64_t wall_ms)
{
    char text[CLOCK_TEXT_SIZE];
    cJSON_AddStringToObject(object, key, clock_format(wall_ms, text));
}

/* "Wed Oct 10 20:19:24 +0000 2018"; the names are English whatever the locale of the machine. */
static bool read_created_at(const cJSON *object, int64_t *wall_ms)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const cJSON *member = json_member(object, "created_at");
    char month[4];
    int day, hour, minute, second, year;
    if (!cJSON_IsString(member) || sscanf(member->valuestring, "%*3s %3s %d %d:%d:%d +0000 %d", month, &day,
                                          &hour, &minute, &second, &year) != 6) {
        return false;
    }
    const char *at = strstr(months, month);
    if (!at || day < 1 || day > 31 || year < 2006 || year > 9999) {
        return false;
    }
    *wall_ms = clock_from_date(year, (int)(at - months) / 3 + 1, day, hour, minute, second, 0);
    return true;
}

static bool has_id(const cJSON *list, const char *key, struct view id)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        if (view_equal(json_text(item, key), id)) {
            return true;
        }
    }
    return false;
}

/* ---- users ---- */

static cJSON *user_of(const cJSON *user)
{
    static const char *const counts[][2] = {{"followers_count", "followers_count"},
                                            {"friends_count", "following_count"},
                                            {"statuses_count", "tweet_count"},
                                            {"listed_count", "listed_count"}};
    cJSON *u = cJSON_CreateObject(), *metrics = cJSON_CreateObject();
    int64_t created;
    put(u, "id", json_text(user, "id_str"));
    copy_member(user, "name", u, "name");
    copy_member(user, "screen_name", u, "username");
    if (read_created_at(user, &created)) {
        put_time(u, "created_at", created);
    }
    copy_member(user, "location", u, "location");
    copy_member(user, "description", u, "description");
    copy_member(user, "url", u, "url");
    copy_member(user, "profile_image_url_https", u, "profile_image_url");
    copy_member(user, "protected", u, "protected");
    copy_member(user, "verified", u, "verified");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        copy_member(user, counts[i][0], metrics, counts[i][1]);
    }
    cJSON_AddItemToObject(u, "public_metrics", metrics);
    return u;
}

/* Users that are only named (in a mention, as the one answered) have no more than their names. */
static void include_user(struct making *m, const cJSON *user)
{
    struct view id = json_text(user, "id_str");
    if (id.length && json_text(user, "screen_name").at && !has_id(m->users, "id", id)) {
        cJSON_AddItemToArray(m->users, user_of(user));
    }
}

/* ---- entities ---- */

static void put_range(cJSON *into, const cJSON *entity)
{
    const cJSON *indices = json_member(entity, "indices");
    const cJSON *start = cJSON_GetArrayItem(indices, 0), *end = cJSON_GetArrayItem(indices, 1);
    if (start && end) {
        cJSON_AddItemToObject(into, "start", cJSON_Duplicate(start, false));
        cJSON_AddItemToObject(into, "end", cJSON_Duplicate(end, false));
    }
}

static void media_key_of(const cJSON *media, char key[40])
{
    struct view type = json_text(media, "type"), id = json_text(media, "id_str");
    int kind = view_is(type, "video") ? 7 : view_is(type, "animated_gif") ? 16 : 3;
    snprintf(key, 40, "%d_%.*s", kind, VIEW_PRINT(id));
}

static cJSON *entity_list(cJSON *entities, const char *name)
{
    cJSON *list = cJSON_GetObjectItemCaseSensitive(entities, name);
    return list ? list : cJSON_AddArrayToObject(entities, name);
}

static void add_tags(const cJSON *from, const char *name, cJSON *entities, const char *new_name,
                     const char *key, const char *new_key)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_member(from, name))
    {
        cJSON *e = cJSON_CreateObject();
        put_range(e, item);
        copy_member(item, key, e, new_key);
        if (strcmp(new_name, "mentions") == 0) {
            copy_member(item, "id_str", e, "id");
        }
        cJSON_AddItemToArray(entity_list(entities, new_name), e);
    }
}

static void add_urls(const cJSON *from, const char *name, cJSON *entities)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_member(from, name))
    {
        cJSON *e = cJSON_CreateObject();
        put_range(e, item);
        copy_member(item, "url", e, "url");
        copy_member(item, "expanded_url", e, "expanded_url");
        copy_member(item, "display_url", e, "display_url");
        if (strcmp(name, "media") == 0) {
            char key[40];
            media_key_of(item, key);
            cJSON_AddStringToObject(e, "media_key", key);
        }
        cJSON_AddItemToArray(entity_list(entities, "urls"), e);
    }
}

/* Without any entity the attribute is left out. */
static void put_entities(const cJSON *from, cJSON *into)
{
    cJSON *entities = cJSON_CreateObject();
    add_tags(from, "hashtags", entities, "hashtags", "text", "tag");
    add_tags(from, "symbols", entities, "cashtags", "text", "tag");
    add_tags(from, "user_mentions", entities, "mentions", "screen_name", "username");
    add_urls(from, "urls", entities);
    add_urls(from, "media", entities);
    if (entities && entities->child) {
        cJSON_AddItemToObject(into, "entities", entities);
    } else {
        cJSON_Delete(entities);
    }
}

/* ---- media, places ---- */

static void put_media(struct making *m, const cJSON *extended, cJSON *data)
{
    const cJSON *item, *list = json_member(extended, "media");
    if (!cJSON_GetArraySize(list)) {
        return;
    }
    cJSON *keys = cJSON_AddArrayToObject(cJSON_AddObjectToObject(data, "attachments"), "media_keys");
    cJSON_ArrayForEach(item, list)
    {
        char key[40];
        media_key_of(item, key);
        cJSON_AddItemToArray(keys, cJSON_CreateString(key));
        if (has_id(m->media, "media_key", view_of(key))) {
            continue;
        }
        cJSON *media = cJSON_CreateObject();
        bool photo = view_is(json_text(item, "type"), "photo");
        cJSON_AddStringToObject(media, "media_key", key);
        copy_member(item, "type", media, "type");
        copy_member(item, "media_url_https", media, photo ? "url" : "preview_image_url");
        cJSON_AddItemToArray(m->media, media);
    }
}

static void put_box(const cJSON *place, cJSON *geo)
{
    const cJSON *corner,
        *ring = cJSON_GetArrayItem(json_member(json_member(place, "bounding_box"), "coordinates"), 0);
    double box[4] = {180, 90, -180, -90};
    cJSON_ArrayForEach(corner, ring)
    {
        for (int i = 0; i < 2; i++) {
            const cJSON *number = cJSON_GetArrayItem(corner, i);
            double value = cJSON_IsNumber(number) ? number->valuedouble : 0;
            box[i] = value < box[i] ? value : box[i];
            box[i + 2] = value > box[i + 2] ? value : box[i + 2];
        }
    }
    cJSON_AddStringToObject(geo, "type", "Feature");
    if (box[0] <= box[2]) {
        cJSON_AddItemToObject(geo, "bbox", cJSON_CreateDoubleArray(box, 4));
    }
    cJSON_AddObjectToObject(geo, "properties");
}

static void put_geo(struct making *m, const cJSON *tweet, cJSON *data)
{
    static const char *const members[] = {"id", "full_name", "name", "country", "country_code", "place_type"};
    const cJSON *place = json_member(tweet, "place"), *point = json_member(tweet, "coordinates");
    struct view id = json_text(place, "id");
    if (!id.at && !point) {
        return;
    }
    cJSON *geo = cJSON_AddObjectToObject(data, "geo");
    if (id.at) {
        put(geo, "place_id", id);
    }
    if (point) {
        cJSON_AddItemToObject(geo, "coordinates", cJSON_Duplicate(point, true));
    }
    if (!id.at || has_id(m->places, "id", id)) {
        return;
    }
    cJSON *p = cJSON_CreateObject();
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        copy_member(place, members[i], p, members[i]);
    }
    put_box(place, cJSON_AddObjectToObject(p, "geo"));
    cJSON_AddItemToArray(m->places, p);
}

/* ---- the post ---- */

static void put_metrics(const cJSON *tweet, cJSON *data)
{
    static const char *const counts[][2] = {{"retweet_count", "retweet_count"},
                                            {"reply_count", "reply_count"},
                                            {"favorite_count", "like_count"},
                                            {"quote_count", "quote_count"}};
    cJSON *metrics = cJSON_AddObjectToObject(data, "public_metrics");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        int64_t count = json_number(tweet, counts[i][0], 0);
        cJSON_AddNumberToObject(metrics, counts[i][1], count > 0 ? (double)count : 0);
    }
    cJSON_AddNumberToObject(metrics, "bookmark_count", 0);
    cJSON_AddNumberToObject(metrics, "impression_count", 0);
}

static void put_edits(const struct making *m, uint64_t id, int64_t created_ms, cJSON *data)
{
    cJSON *history = cJSON_AddArrayToObject(data, "edit_history_tweet_ids");
    /* By a part of the id that has nothing to do with its time; snowflakes only. */
    bool edit = m->options->embellish && id > FRESH_OLDEST_ID && (id >> 22) % EDIT_EVERY == 0;
    char text[24];
    if (edit) {
        /* The first version was posted 61 seconds before. */
        snprintf(text, sizeof text, "%llu", (unsigned long long)(id - (UINT64_C(61000) << 22)));
        cJSON_AddItemToArray(history, cJSON_CreateString(text));
    }
    snprintf(text, sizeof text, "%llu", (unsigned long long)id);
    cJSON_AddItemToArray(history, cJSON_CreateString(text));
    cJSON *controls = cJSON_AddObjectToObject(data, "edit_controls");
    cJSON_AddNumberToObject(controls, "edits_remaining", edit ? 4 : 5);
    cJSON_AddBoolToObject(controls, "is_edit_eligible", !json_member(data, "in_reply_to_user_id"));
    put_time(controls, "editable_until", created_ms + (int64_t)EDIT_MINUTES * 60000);
}

static void put_withheld(const struct making *m, const cJSON *tweet, uint64_t id, cJSON *data)
{
    const cJSON *countries = json_member(tweet, "withheld_in_countries");
    static const char *const invented[] = {"DE", "AR"};
    cJSON *codes = cJSON_GetArraySize(countries) ? cJSON_Duplicate(countries, true)
                   : m->options->embellish && (id >> 22) % WITHHELD_EVERY == 0
                       ? cJSON_CreateStringArray(invented, 2)
                       : NULL;
    if (codes) {
        cJSON *withheld = cJSON_AddObjectToObject(data, "withheld");
        cJSON_AddBoolToObject(withheld, "copyright", json_flag(tweet, "withheld_copyright") == 1);
        cJSON_AddItemToObject(withheld, "country_codes", codes);
    }
}

/* A text that v1.1 cut at 140 stands whole in v2, up to the length from which it is a note. */
static void put_text(struct making *m, const cJSON *tweet, cJSON *data)
{
    const cJSON *extended = json_member(tweet, "extended_tweet");
    struct view full = json_text(extended, "full_text");
    bool note = full.at && utf8_count(full) > m->options->note_above;
    const cJSON *shown = full.at && !note ? extended : tweet;
    put(data, "text", full.at && !note ? full : json_text(tweet, "text"));
    copy_member(shown, "display_text_range", data, "display_text_range");
    put_entities(json_member(shown, "entities"), data);
    if (note) {
        cJSON *whole = cJSON_AddObjectToObject(data, "note_tweet");
        put(whole, "text", full);
        put_entities(json_member(extended, "entities"), whole);
    }
    const cJSON *media = full.at ? json_member(extended, "extended_entities") : NULL;
    put_media(m, media ? media : json_member(tweet, "extended_entities"), data);
}

static cJSON *add_reference(cJSON *data, const char *type, struct view id)
{
    cJSON *list = cJSON_GetObjectItemCaseSensitive(data, "referenced_tweets");
    cJSON *one = cJSON_CreateObject();
    list = list ? list : cJSON_AddArrayToObject(data, "referenced_tweets");
    cJSON_AddStringToObject(one, "type", type);
    put(one, "id", id);
    cJSON_AddItemToArray(list, one);
    return one;
}

static void put_references(const cJSON *tweet, cJSON *data)
{
    struct view retweeted = json_text(json_member(tweet, "retweeted_status"), "id_str");
    struct view quoted = json_text(tweet, "quoted_status_id_str");
    struct view answered = json_text(tweet, "in_reply_to_status_id_str");
    if (retweeted.at) {
        add_reference(data, "retweeted", retweeted);
        return; /* what the original quotes or answers is the original's */
    }
    if (quoted.at) {
        add_reference(data, "quoted", quoted);
    }
    if (answered.at) {
        add_reference(data, "replied_to", answered);
    }
}

static void include_named_users(struct making *m, const cJSON *tweet)
{
    const cJSON *item, *extended = json_member(tweet, "extended_tweet");
    cJSON_ArrayForEach(item,
                       json_member(json_member(extended ? extended : tweet, "entities"), "user_mentions"))
    {
        include_user(m, item);
    }
}

static cJSON *post_of(struct making *m, const cJSON *tweet)
{
    struct view id = json_text(tweet, "id_str"), answered = json_text(tweet, "in_reply_to_status_id_str");
    const cJSON *user = json_member(tweet, "user");
    uint64_t number;
    int64_t created = 0;
    if (!id.at || number_parse_unsigned(id, &number) < 0 || !json_text(user, "id_str").at) {
        return NULL;
    }
    if (number > FRESH_OLDEST_ID) {
        created = fresh_time_of(number);
    } else if (!read_created_at(tweet, &created)) {
        return NULL;
    }
    cJSON *data = cJSON_CreateObject();
    put(data, "id", id);
    put(data, "author_id", json_text(user, "id_str"));
    put_time(data, "created_at", created);
    put(data, "conversation_id", answered.at ? answered : id);
    copy_member(tweet, "in_reply_to_user_id_str", data, "in_reply_to_user_id");
    copy_member(tweet, "lang", data, "lang");
    copy_member(tweet, "possibly_sensitive", data, "possibly_sensitive");
    cJSON_AddStringToObject(data, "reply_settings", "everyone");
    put_text(m, tweet, data);
    put_references(tweet, data);
    put_metrics(tweet, data);
    put_edits(m, number, created, data);
    put_withheld(m, tweet, number, data);
    put_geo(m, tweet, data);
    include_user(m, user);
    return data;
}

/* ---- the payload ---- */

static void add_missing(struct making *m, struct view id)
{
    cJSON *error = cJSON_CreateObject();
    char text[120];
    snprintf(text, sizeof text, "Could not find tweet with referenced_tweets.id: [%.*s].", VIEW_PRINT(id));
    put(error, "value", id);
    cJSON_AddStringToObject(error, "detail", text);
    cJSON_AddStringToObject(error, "title", "Not Found Error");
    cJSON_AddStringToObject(error, "resource_type", "tweet");
    cJSON_AddStringToObject(error, "parameter", "referenced_tweets.id");
    put(error, "resource_id", id);
    cJSON_AddStringToObject(error, "type", "https://api.twitter.com/2/problems/resource-not-found");
    cJSON_AddItemToArray(m->errors, error);
}

static void include_tweet(struct making *m, const cJSON *tweet, struct view id)
{
    cJSON *post = tweet ? post_of(m, tweet) : NULL;
    if (post) {
        cJSON_AddItemToArray(m->tweets, post);
    } else {
        add_missing(m, id);
    }
}

static void include_references(struct making *m, const cJSON *tweet)
{
    const cJSON *retweeted = json_member(tweet, "retweeted_status");
    struct view quoted = json_text(tweet, "quoted_status_id_str");
    struct view answered = json_text(tweet, "in_reply_to_status_id_str");
    if (retweeted) {
        include_tweet(m, retweeted, json_text(retweeted, "id_str"));
        include_named_users(m, retweeted);
        return;
    }
    if (quoted.at) {
        include_tweet(m, json_member(tweet, "quoted_status"), quoted);
    }
    if (answered.at && !view_equal(answered, quoted)) {
        cJSON *found = m->options->find ? m->options->find(m->options->context, answered) : NULL;
        include_tweet(m, found, answered);
        cJSON_Delete(found);
    }
    struct view user = json_text(tweet, "in_reply_to_user_id_str");
    if (user.at && json_text(tweet, "in_reply_to_screen_name").at && !has_id(m->users, "id", user)) {
        cJSON *u = cJSON_CreateObject();
        put(u, "id", user);
        copy_member(tweet, "in_reply_to_screen_name", u, "name");
        copy_member(tweet, "in_reply_to_screen_name", u, "username");
        cJSON_AddItemToArray(m->users, u);
    }
}

static void attach(cJSON *to, const char *key, cJSON *list)
{
    if (list && list->child) {
        cJSON_AddItemToObject(to, key, list);
    } else {
        cJSON_Delete(list);
    }
}

cJSON *payload_of(const cJSON *tweet, const struct payload_options *options)
{
    struct making m = {.options = options,
                       .users = cJSON_CreateArray(),
                       .tweets = cJSON_CreateArray(),
                       .places = cJSON_CreateArray(),
                       .media = cJSON_CreateArray(),
                       .errors = cJSON_CreateArray()};
    cJSON *payload = cJSON_CreateObject();
    cJSON *data = post_of(&m, tweet);
    if (data) {
        include_references(&m, tweet);
        include_named_users(&m, tweet);
        cJSON_AddItemToObject(payload, "data", data);
    }
    cJSON *includes = cJSON_CreateObject();
    attach(includes, "media", m.media);
    attach(includes, "users", m.users);
    attach(includes, "tweets", m.tweets);
    attach(includes, "places", m.places);
    attach(payload, "includes", includes);
    attach(payload, "errors", m.errors);
    if (!data) {
        cJSON_Delete(payload);
        return NULL;
    }
    return payload;
}

bool payload_is(const cJSON *json)
{
    const cJSON *data = json_member(json, "data");
    return json_text(data, "id").at && json_text(data, "text").at;
}
