#include "ingest/tweet.h"

#include "base/clock.h"
#include "base/json.h"
#include "ingest/tweet_entities.h"
#include "ingest/x_part.h"

#include <stdio.h>

/* One tweet on its way to a post. */
struct reading {
    const cJSON *tweet;    /* as delivered */
    const cJSON *original; /* of a retweet; NULL for everything else */
    const cJSON *body;     /* the original if it has a text, else the tweet */
    struct view line;
    struct text_worker *worker;
    struct arena *arena;
    struct post *post;
};

#define PATH(...)       ((const char *const[]){__VA_ARGS__})
#define PATH_DEPTH(...) (sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))
#define ID(r, object, text_key, ...)                                                                         \
    x_part_id(object, text_key, (r)->line, PATH(__VA_ARGS__), PATH_DEPTH(__VA_ARGS__))

static int month_number(struct view name)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12; i++) {
        if (memcmp(name.at, names + 3 * i, 3) == 0) {
            return i + 1;
        }
    }
    return 0;
}

int64_t tweet_time(struct view text)
{
    /* "Wed Oct 10 20:19:24 +0000 2018" is rewritten as RFC 3339, whose reader checks every figure. */
    int64_t wall_ms;
    char rewritten[40];
    if (text.length != 30 || text.at[3] != ' ' || text.at[7] != ' ' || text.at[10] != ' ' ||
        text.at[19] != ' ' || text.at[25] != ' ') {
        return CLOCK_NONE;
    }
    const char *at = text.at;
    int n = snprintf(rewritten, sizeof rewritten, "%.4s-%02d-%.2sT%.8s%.3s:%.2s", at + 26,
                     month_number(view_from(text, 4)), at + 8, at + 11, at + 20, at + 23);
    return clock_parse(view_make(rewritten, (size_t)n), &wall_ms) ? CLOCK_NONE : wall_ms;
}

static bool has_text(const cJSON *tweet)
{
    return !view_absent(json_text(x_part_object(tweet, "extended_tweet"), "full_text")) ||
           !view_absent(json_text(tweet, "full_text")) || !view_absent(json_text(tweet, "text"));
}

bool tweet_is_one(const cJSON *message)
{
    bool named = json_member(message, "id_str") || json_member(message, "id");
    return named &&
           (has_text(message) ||
            (cJSON_IsObject(message) && cJSON_GetObjectItemCaseSensitive(message, "in_reply_to_status_id")));
}

/* The longest text of `body`, with its HTML escapes, and the object whose entities count in it. */
static struct view longest_text(const cJSON *body, const cJSON **holder, const char **source)
{
    const cJSON *extended = x_part_object(body, "extended_tweet");
    struct view text = json_text(extended, "full_text");
    if (text.at) {
        *holder = extended;
        *source = "extended_tweet";
        return text;
    }
    *holder = body;
    *source = "text";
    text = json_text(body, "full_text");
    if (!text.at) {
        text = json_text(body, "text");
        *source = json_flag(body, "truncated") == 1 ? "cut" : "text";
    }
    return text;
}

/* Chooses the body, then text, text_source, emoji and everything the entities name. A retweet whose original
 * has no text or no name keeps its text as delivered. */
static bool read_text(struct reading *r)
{
    struct view name = x_part_text(x_part_object(r->original, "user"), "screen_name");
    bool whole = r->original && name.at && has_text(r->original);
    r->body = whole ? r->original : r->tweet;
    struct tweet_text text = {.retweeted = whole ? name : view_none()};
    text.escaped = longest_text(r->body, &text.holder, &text.source);
    if (!text.escaped.at) {
        return false;
    }
    if (r->original && !whole && x_part_is_cut(text.escaped)) {
        text.source = "cut";
    }
    tweet_text_store(&tweet_entities_v1, &text, r->worker, r->arena, r->post);
    return true;
}

static void read_author(struct reading *r)
{
    const cJSON *user = x_part_object(r->tweet, "user");
    struct post *p = r->post;
    p->author_id = ID(r, user, "id_str", "user", "id");
    p->author_handle = x_part_text(user, "screen_name");
    p->author_name = json_text(user, "name");
    p->author_followers = x_part_count(user, "followers_count");
    p->author_following = x_part_count(user, "friends_count");
    p->author_posts = x_part_count(user, "statuses_count");
    p->author_verified = json_flag(user, "verified");
    p->author_created_at = tweet_time(json_text(user, "created_at"));
}

static struct view quoted_id(const struct reading *r)
{
    const cJSON *quoted = x_part_object(r->body, "quoted_status");
    struct view id;
    if (r->body == r->tweet) {
        id = ID(r, r->body, "quoted_status_id_str", "quoted_status_id");
        return id.at ? id : ID(r, quoted, "id_str", "quoted_status", "id");
    }
    id = ID(r, r->body, "quoted_status_id_str", "retweeted_status", "quoted_status_id");
    return id.at ? id : ID(r, quoted, "id_str", "retweeted_status", "quoted_status", "id");
}

static void read_relations(struct reading *r)
{
    struct post *p = r->post;
    p->is_retweet = r->original != NULL;
    if (r->original) {
        const cJSON *author = x_part_object(r->original, "user");
        p->retweet_of = ID(r, r->original, "id_str", "retweeted_status", "id");
        p->retweet_author = ID(r, author, "id_str", "retweeted_status", "user", "id");
    }
    p->quote_of = quoted_id(r);
    p->is_quote = p->quote_of.at || x_part_object(r->body, "quoted_status") ||
                  json_flag(r->body, "is_quote_status") == 1;
    p->reply_to = ID(r, r->tweet, "in_reply_to_status_id_str", "in_reply_to_status_id");
    p->reply_to_author = ID(r, r->tweet, "in_reply_to_user_id_str", "in_reply_to_user_id");
    p->is_reply = p->reply_to.at != NULL;
}

static void read_place(struct reading *r)
{
    const cJSON *place = x_part_object(r->tweet, "place");
    r->post->place = x_part_text(place, "full_name");
    r->post->country = x_part_text(place, "country_code");
    x_part_point(x_part_object(r->tweet, "coordinates"), r->post);
}

static void read_rest(struct reading *r)
{
    const cJSON *t = r->tweet;
    struct post *p = r->post;
    p->lang = x_part_language(x_part_text(t, "lang"));
    p->likes = x_part_count(t, "favorite_count");
    p->retweets = x_part_count(t, "retweet_count");
    p->replies = x_part_count(t, "reply_count");
    p->quotes = x_part_count(t, "quote_count");
    p->sensitive = json_flag(t, "possibly_sensitive");
    p->withheld_in = tweet_strings(json_member(t, "withheld_in_countries"), r->arena);
    p->app = x_part_app(t, r->arena);
}

int tweet_to_post(const cJSON *tweet, struct view line, struct text_worker *worker, struct arena *a,
                  struct post *p, struct err *e)
{
    struct reading r = {.tweet = tweet,
                        .original = x_part_object(tweet, "retweeted_status"),
                        .line = line,
                        .worker = worker,
                        .arena = a,
                        .post = p};
    post_init(p);
    p->network = VIEW("x");
    p->id = ID(&r, tweet, "id_str", "id");
    if (!p->id.at) {
        return err_set(e, ERR_REJECT, "tweet: no id of at most 19 digits in `id_str` or `id`");
    }
    p->created_at = x_part_created_at(p->id, tweet_time(json_text(tweet, "created_at")));
    if (p->created_at == CLOCK_NONE) {
        return err_set(e, ERR_REJECT, "tweet %.*s: its id holds no time and `created_at` is none",
                       VIEW_PRINT(p->id));
    }
    if (!read_text(&r)) {
        return err_set(e, ERR_REJECT, "tweet %.*s: no text", VIEW_PRINT(p->id));
    }
    read_author(&r);
    read_relations(&r);
    read_place(&r);
    read_rest(&r);
    if (arena_failed(a)) {
        return err_set(e, ERR_RETRY, "tweet %.*s: no memory for it", VIEW_PRINT(p->id));
    }
    return 0;
}
