#include "ingest/x_v2_post.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/json_scan.h"
#include "ingest/tweet.h"
#include "ingest/tweet_entities.h"
#include "ingest/x_part.h"

enum {
    REFERENCES_MOST = 16, /* a post has at most two */
    MEDIA_MOST = 16,      /* a post has at most four; each costs a walk over includes.media */
    NAME_MOST = 50        /* bytes of a username; X's have 15 */
};

/* One message on its way to a post. */
struct reading {
    const cJSON *message, *data, *includes;
    struct view retweet_of;
    const cJSON *original; /* of a retweet, as includes has it; NULL: no retweet, or it is not there */
    const cJSON *body;     /* what text, entities and media are taken from: the original, or data */
    struct view line;
    struct text_worker *worker;
    struct arena *arena;
    struct post *post;
};

#define DATA_ID(r, key) x_part_id((r)->data, key, (r)->line, (const char *const[]){"data", key}, 2)

static const cJSON *first_item(const cJSON *object, const char *key)
{
    const cJSON *array = json_member(object, key);
    return cJSON_IsArray(array) ? array->child : NULL;
}

/* The list of one of two names: the tweet's and the OpenAPI's. */
static const cJSON *first_of(const cJSON *object, const char *key, const char *other)
{
    const cJSON *item = first_item(object, key);
    return item ? item : first_item(object, other);
}

/* The item whose member `key` is `value`; NULL: none. */
static const cJSON *find(const cJSON *item, const char *key, struct view value)
{
    for (; item && value.at; item = item->next) {
        if (view_equal(json_text(item, key), value)) {
            return item;
        }
    }
    return NULL;
}

static const cJSON *included(const struct reading *r, const char *list, const char *key, struct view value)
{
    return find(first_item(r->includes, list), key, value);
}

/* The post that `post` retweets, quotes or answers; absent: none. */
static struct view reference(const cJSON *post, const char *type)
{
    const cJSON *item = first_of(post, "referenced_tweets", "referenced_posts");
    for (size_t n = 0; item && n < REFERENCES_MOST; item = item->next, n++) {
        struct view id = json_text(item, "id");
        if (view_is(json_text(item, "type"), type) && x_part_is_id(id)) {
            return id;
        }
    }
    return view_none();
}

static const cJSON *note_of(const cJSON *post)
{
    const cJSON *note = x_part_object(post, "note_tweet");
    note = note ? note : x_part_object(post, "note_post");
    return view_absent(json_text(note, "text")) ? NULL : note;
}

/* The longest text of `post`, with its HTML escapes, and the object whose entities belong to it; absent: it
 * has none. */
static struct view longest_text(const cJSON *post, const cJSON **holder, const char **source)
{
    const cJSON *note = note_of(post);
    *holder = note ? note : post;
    *source = note ? "note_tweet" : "text";
    return json_text(*holder, "text");
}

static bool has_text(const cJSON *post)
{
    return note_of(post) || !view_absent(json_text(post, "text"));
}

bool x_v2_post_is_one(const cJSON *message)
{
    const cJSON *data = x_part_object(message, "data");
    return json_member(data, "id") && has_text(data);
}

static bool is_name(struct view v)
{
    for (size_t i = 0; i < v.length; i++) {
        char c = v.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_')) {
            return false;
        }
    }
    return v.length > 0;
}

/* The name in the delivered text's "RT @name: "; absent when it begins otherwise. */
static struct view name_in_text(const cJSON *data)
{
    struct view text = json_text(data, "text");
    if (!view_starts(text, VIEW("RT @"))) {
        return view_none();
    }
    struct view rest = view_from(text, 4);
    const char *colon = memchr(rest.at, ':', rest.length < NAME_MOST ? rest.length : NAME_MOST);
    struct view name = view_make(rest.at, colon ? (size_t)(colon - rest.at) : 0);
    return is_name(name) ? name : view_none();
}

/* Chooses the body, then text, text_source, emoji and everything the entities name. */
static bool read_text(struct reading *r)
{
    const cJSON *author = included(r, "users", "id", json_text(r->original, "author_id"));
    struct view name = x_part_text(author, "username");
    name = name.at ? name : name_in_text(r->data);
    bool whole = r->original && name.at && has_text(r->original);
    r->body = whole ? r->original : r->data;
    struct tweet_text text = {.retweeted = whole ? name : view_none()};
    text.escaped = longest_text(r->body, &text.holder, &text.source);
    if (!text.escaped.at) {
        return false;
    }
    if (r->retweet_of.at && !whole && x_part_is_cut(text.escaped)) {
        text.source = "cut";
    }
    tweet_text_store(&tweet_entities_v2, &text, r->worker, r->arena, r->post);
    return true;
}

static int64_t time_of(const cJSON *object)
{
    int64_t wall_ms;
    struct view text = json_text(object, "created_at");
    return text.at && clock_parse(text, &wall_ms) == 0 ? wall_ms : CLOCK_NONE;
}

static void read_author(struct reading *r)
{
    struct post *p = r->post;
    p->author_id = DATA_ID(r, "author_id");
    const cJSON *user = included(r, "users", "id", p->author_id);
    const cJSON *metrics = x_part_object(user, "public_metrics");
    p->author_handle = x_part_text(user, "username");
    p->author_name = json_text(user, "name");
    p->author_followers = x_part_count(metrics, "followers_count");
    p->author_following = x_part_count(metrics, "following_count");
    p->author_posts = x_part_count(metrics, "tweet_count");
    if (p->author_posts == POST_NO_NUMBER) {
        p->author_posts = x_part_count(metrics, "post_count");
    }
    p->author_verified = json_flag(user, "verified");
    p->author_created_at = time_of(user);
}

static void read_relations(struct reading *r)
{
    struct post *p = r->post;
    p->is_retweet = r->retweet_of.at != NULL;
    p->retweet_of = r->retweet_of;
    struct view author = json_text(r->original, "author_id");
    p->retweet_author = x_part_is_id(author) ? author : view_none();
    p->quote_of = reference(r->body, "quoted");
    if (!p->quote_of.at) {
        p->quote_of = reference(r->data, "quoted");
    }
    p->is_quote = p->quote_of.at != NULL;
    p->reply_to = reference(r->data, "replied_to");
    p->is_reply = p->reply_to.at != NULL;
    p->reply_to_author = DATA_ID(r, "in_reply_to_user_id");
    p->conversation_id = DATA_ID(r, "conversation_id");
    const cJSON *first = first_of(r->data, "edit_history_tweet_ids", "edit_history_post_ids");
    struct view oldest = cJSON_IsString(first) ? view_of(first->valuestring) : view_none();
    if (x_part_is_id(oldest) && !view_equal(oldest, p->id)) {
        p->edit_of = oldest;
    }
}

/* The addresses of what `post` attaches, as far as includes has it: of a video its picture, as in v1.1. */
static struct view_list media_of(const struct reading *r, const cJSON *post)
{
    const cJSON *key = first_item(x_part_object(post, "attachments"), "media_keys");
    struct view *items = key ? arena_zeroed(r->arena, MEDIA_MOST, sizeof *items) : NULL;
    size_t count = 0;
    for (size_t n = 0; items && key && n < MEDIA_MOST; key = key->next, n++) {
        struct view name = cJSON_IsString(key) ? view_of(key->valuestring) : view_none();
        const cJSON *media = included(r, "media", "media_key", name);
        struct view address = x_part_text(media, "url");
        address = address.at ? address : x_part_text(media, "preview_image_url");
        bool again = !address.at;
        for (size_t i = 0; i < count && !again; i++) {
            again = view_equal(items[i], address);
        }
        if (!again) {
            items[count++] = address;
        }
    }
    return (struct view_list){count ? items : NULL, count};
}

static void read_media(struct reading *r)
{
    r->post->media = media_of(r, r->body);
    if (!r->post->media.count && r->body != r->data) {
        r->post->media = media_of(r, r->data); /* a retweet attaches what its original does */
    }
}

static void read_place(struct reading *r)
{
    const cJSON *geo = x_part_object(r->data, "geo");
    const cJSON *place = included(r, "places", "id", json_text(geo, "place_id"));
    r->post->place = x_part_text(place, "full_name");
    r->post->country = x_part_text(place, "country_code");
    x_part_point(x_part_object(geo, "coordinates"), r->post);
}

/* Ids of rules came as numbers too, which only the line has whole. */
static void read_rules(struct reading *r)
{
    const cJSON *array = json_member(r->message, "matching_rules");
    int count = cJSON_IsArray(array) ? cJSON_GetArraySize(array) : 0;
    size_t most = count < TWEET_LIST_MOST ? (size_t)count : TWEET_LIST_MOST, used = 0, at = 0;
    struct view *rules = most ? arena_zeroed(r->arena, most, sizeof *rules) : NULL;
    struct view list = json_scan_member(r->line, "matching_rules"), element;
    const cJSON *item = rules ? array->child : NULL;
    for (size_t n = 0; item && n < most; item = item->next, n++) {
        struct view name = x_part_text(item, "tag");
        bool there = json_scan_element(list, &at, &element) == 1;
        if (!name.at && there) {
            name = x_part_id(item, "id", element, (const char *const[]){"id"}, 1);
        }
        if (name.at) {
            rules[used++] = name;
        }
    }
    r->post->rules = (struct view_list){used ? rules : NULL, used};
}

static void read_rest(struct reading *r)
{
    struct post *p = r->post;
    const cJSON *metrics = x_part_object(r->data, "public_metrics");
    p->lang = x_part_language(x_part_text(r->data, "lang"));
    p->likes = x_part_count(metrics, "like_count");
    p->retweets = x_part_count(metrics, "retweet_count");
    p->replies = x_part_count(metrics, "reply_count");
    p->quotes = x_part_count(metrics, "quote_count");
    p->sensitive = json_flag(r->data, "possibly_sensitive");
    p->withheld_in =
        tweet_strings(json_member(x_part_object(r->data, "withheld"), "country_codes"), r->arena);
    p->app = x_part_app(r->data, r->arena); /* not sent since December 2022; archives have it */
}

int x_v2_post_read(const cJSON *message, struct view line, struct text_worker *worker, struct arena *a,
                   struct post *p, struct err *e)
{
    struct reading r = {.message = message,
                        .data = x_part_object(message, "data"),
                        .includes = x_part_object(message, "includes"),
                        .line = line,
                        .worker = worker,
                        .arena = a,
                        .post = p};
    post_init(p);
    p->network = VIEW("x");
    p->id = DATA_ID(&r, "id");
    if (!p->id.at) {
        return err_set(e, ERR_REJECT, "post: no id of at most 19 digits in `data.id`");
    }
    p->created_at = x_part_created_at(p->id, time_of(r.data));
    if (p->created_at == CLOCK_NONE) {
        return err_set(e, ERR_REJECT, "post %.*s: its id holds no time and `created_at` is none",
                       VIEW_PRINT(p->id));
    }
    r.retweet_of = reference(r.data, "retweeted");
    r.original = find(first_of(r.includes, "tweets", "posts"), "id", r.retweet_of);
    if (!read_text(&r)) {
        return err_set(e, ERR_REJECT, "post %.*s: no text", VIEW_PRINT(p->id));
    }
    read_author(&r);
    read_relations(&r);
    read_media(&r);
    read_place(&r);
    read_rules(&r);
    read_rest(&r);
    if (arena_failed(a)) {
        return err_set(e, ERR_RETRY, "post %.*s: no memory for it", VIEW_PRINT(p->id));
    }
    return 0;
}
