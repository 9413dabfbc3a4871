#include "simulator/rule_facts.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

struct reader {
    const cJSON *data, *includes;
    struct rule_words set, texts[RULE_TEXTS];
    struct buffer urls;
};

static void add_fact(struct reader *r, char role, struct view value)
{
    if (value.length) {
        rule_words_add(&r->set, rule_text_fact(role, rule_text_hash(value)));
    }
}

static void add_text(struct reader *r, enum rule_text_kind kind, struct view text)
{
    struct rule_words *words = &r->texts[kind];
    size_t from = words->count;
    if (!text.at) {
        return;
    }
    rule_text_words(text, words);
    for (size_t i = from; i < words->count; i++) {
        rule_words_add(&r->set, rule_facts_word(kind, words->items[i]));
    }
    rule_words_add(words, 0);
}

/* The included object with that id. */
static const cJSON *included(const struct reader *r, const char *list, struct view id)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_member(r->includes, list))
    {
        if (id.at && view_equal(json_text(item, "id"), id)) {
            return item;
        }
    }
    return NULL;
}

static const cJSON *either(const cJSON *object, const char *name, const char *newer_name)
{
    const cJSON *found = json_member(object, name);
    return found ? found : json_member(object, newer_name);
}

static struct view full_text(const cJSON *post)
{
    struct view text = json_text(either(post, "note_tweet", "note_post"), "text");
    return text.at ? text : json_text(post, "text");
}

static void add_url(struct reader *r, const cJSON *url)
{
    struct view expanded = json_text(url, "expanded_url");
    add_text(r, RULE_URL, json_text(url, "url"));
    add_text(r, RULE_URL, expanded);
    add_text(r, RULE_URL, json_text(url, "unwound_url"));
    add_text(r, RULE_URL_TITLE, json_text(url, "title"));
    add_text(r, RULE_URL_DESCRIPTION, json_text(url, "description"));
    for (size_t i = 0; i < expanded.length; i++) {
        char c = expanded.at[i];
        buffer_add_byte(&r->urls, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
    }
    buffer_add_byte(&r->urls, '\n');
    struct view display = json_text(url, "display_url");
    bool picture = view_starts(display, VIEW("pic.twitter.com/")) || view_starts(display, VIEW("pic.x.com/"));
    add_fact(r, RULE_HAS, picture ? VIEW("media") : VIEW("links"));
    if (expanded.at && (memmem(expanded.at, expanded.length, "youtube.com/", 12) ||
                        memmem(expanded.at, expanded.length, "vimeo.com/", 10) ||
                        memmem(expanded.at, expanded.length, "/video/", 7))) {
        add_fact(r, RULE_HAS, VIEW("video_link"));
    }
}

static void add_entities(struct reader *r, const cJSON *entities)
{
    static const struct {
        const char *list, *member, *has;
        char role;
    } lists[] = {{"hashtags", "tag", "hashtags", RULE_HASHTAG},
                 {"cashtags", "tag", "cashtags", RULE_CASHTAG},
                 {"mentions", "username", "mentions", RULE_MENTION},
                 {"annotations", "normalized_text", NULL, RULE_ENTITY}};
    const cJSON *item;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        cJSON_ArrayForEach(item, json_member(entities, lists[i].list))
        {
            add_fact(r, lists[i].role, json_text(item, lists[i].member));
            add_fact(r, RULE_HAS, view_of(lists[i].has));
        }
    }
    cJSON_ArrayForEach(item, json_member(entities, "urls"))
    {
        add_url(r, item);
    }
}

static void add_user(struct reader *r, char role, struct view id)
{
    add_fact(r, role, id);
    add_fact(r, role, json_text(included(r, "users", id), "username"));
}

static void add_author(struct reader *r, struct rule_facts *facts)
{
    static const char *const counts[RULE_COUNTS] = {"followers_count", "following_count", "tweet_count",
                                                    "listed_count"};
    struct view id = json_text(r->data, "author_id");
    const cJSON *user = included(r, "users", id);
    add_user(r, RULE_FROM, id);
    add_text(r, RULE_BIO, json_text(user, "description"));
    add_text(r, RULE_BIO_NAME, json_text(user, "name"));
    add_text(r, RULE_BIO_LOCATION, json_text(user, "location"));
    if (json_flag(user, "verified") == 1) {
        add_fact(r, RULE_IS, VIEW("verified"));
    }
    for (size_t i = 0; i < RULE_COUNTS; i++) {
        facts->counts[i] = json_number(json_member(user, "public_metrics"), counts[i], -1);
    }
}

static void add_references(struct reader *r)
{
    struct view text = full_text(r->data), quoted = view_none();
    const cJSON *item;
    cJSON_ArrayForEach(item, either(r->data, "referenced_tweets", "referenced_posts"))
    {
        struct view type = json_text(item, "type"), id = json_text(item, "id");
        const cJSON *other = included(r, "tweets", id);
        if (view_is(type, "retweeted")) {
            add_fact(r, RULE_IS, VIEW("retweet"));
            add_fact(r, RULE_RETWEET_OF_POST, id);
            add_user(r, RULE_RETWEETS_OF, json_text(other, "author_id"));
            text = other ? full_text(other) : text;
            add_entities(r, json_member(other, "entities"));
            add_entities(r, json_member(either(other, "note_tweet", "note_post"), "entities"));
        } else if (view_is(type, "quoted")) {
            add_fact(r, RULE_IS, VIEW("quote"));
            quoted = full_text(other);
        } else if (view_is(type, "replied_to")) {
            add_fact(r, RULE_IS, VIEW("reply"));
            add_fact(r, RULE_REPLY_TO_POST, id);
        }
    }
    add_text(r, RULE_BODY, text);
    add_text(r, RULE_BODY, quoted);
}

static void add_context(struct reader *r)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_member(r->data, "context_annotations"))
    {
        const cJSON *domain = json_member(item, "domain"), *entity = json_member(item, "entity");
        struct view d = json_text(domain, "id"), n = json_text(entity, "id");
        char text[100];
        const struct view star = VIEW("*"), pairs[3][2] = {{d, n}, {d, star}, {star, n}};
        for (size_t i = 0; i < 3 && d.at && n.at; i++) {
            int length =
                snprintf(text, sizeof text, "%.*s.%.*s", VIEW_PRINT(pairs[i][0]), VIEW_PRINT(pairs[i][1]));
            if (length > 0 && (size_t)length < sizeof text) {
                add_fact(r, RULE_CONTEXT, view_make(text, (size_t)length));
            }
        }
        add_fact(r, RULE_ENTITY, json_text(entity, "name"));
    }
}

static void add_media(struct reader *r)
{
    const cJSON *item;
    if (json_member(json_member(r->data, "attachments"), "media_keys")) {
        add_fact(r, RULE_HAS, VIEW("media"));
    }
    cJSON_ArrayForEach(item, json_member(r->includes, "media"))
    {
        if (view_is(json_text(item, "type"), "photo")) {
            add_fact(r, RULE_HAS, VIEW("images"));
        }
    }
}

static bool read_numbers(const cJSON *list, double *into, int count)
{
    if (cJSON_GetArraySize(list) != count) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        const cJSON *item = cJSON_GetArrayItem(list, i);
        if (!cJSON_IsNumber(item)) {
            return false;
        }
        into[i] = item->valuedouble;
    }
    return true;
}

static void add_place(struct reader *r, struct rule_facts *facts)
{
    const cJSON *geo = json_member(r->data, "geo");
    const cJSON *place = included(r, "places", json_text(geo, "place_id"));
    double box[4];
    if (geo) {
        add_fact(r, RULE_HAS, VIEW("geo"));
    }
    add_fact(r, RULE_PLACE, json_text(geo, "place_id"));
    add_fact(r, RULE_PLACE, json_text(place, "name"));
    add_fact(r, RULE_PLACE, json_text(place, "full_name"));
    add_fact(r, RULE_COUNTRY, json_text(place, "country_code"));
    if (read_numbers(json_member(json_member(geo, "coordinates"), "coordinates"), box, 2)) {
        box[2] = box[0];
        box[3] = box[1];
        facts->placed = true;
    } else {
        facts->placed = read_numbers(json_member(json_member(place, "geo"), "bbox"), box, 4);
    }
    if (facts->placed) {
        facts->west = box[0];
        facts->south = box[1];
        facts->east = box[2];
        facts->north = box[3];
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static const uint64_t *keep(const struct rule_words *words, struct arena *memory)
{
    uint64_t *copy = arena_alloc(memory, words->count * sizeof *copy);
    if (copy && words->count) {
        memcpy(copy, words->items, words->count * sizeof *copy);
    }
    return copy;
}

static int finish(struct reader *r, struct arena *memory, struct rule_facts *facts)
{
    bool failed = r->set.failed || buffer_failed(&r->urls);
    size_t kept = 0;
    if (r->set.count) {
        qsort(r->set.items, r->set.count, sizeof *r->set.items, compare);
    }
    for (size_t i = 0; i < r->set.count; i++) {
        if (!kept || r->set.items[kept - 1] != r->set.items[i]) {
            r->set.items[kept++] = r->set.items[i];
        }
    }
    r->set.count = kept;
    facts->set = keep(&r->set, memory);
    facts->count = kept;
    for (size_t i = 0; i < RULE_TEXTS; i++) {
        failed = failed || r->texts[i].failed;
        facts->texts[i].words = keep(&r->texts[i], memory);
        facts->texts[i].count = r->texts[i].count;
        rule_words_free(&r->texts[i]);
    }
    facts->urls = arena_view(memory, buffer_view(&r->urls));
    rule_words_free(&r->set);
    buffer_free(&r->urls);
    return failed || arena_failed(memory) ? -1 : 0;
}

int rule_facts_of(const cJSON *payload, struct arena *memory, struct rule_facts *facts)
{
    struct reader r = {.data = json_member(payload, "data"),
                       .includes = json_member(payload, "includes"),
                       .urls = BUFFER(1 << 20)};
    *facts = (struct rule_facts){0};
    add_references(&r);
    add_author(&r, facts);
    add_entities(&r, json_member(r.data, "entities"));
    add_entities(&r, json_member(either(r.data, "note_tweet", "note_post"), "entities"));
    add_user(&r, RULE_TO, json_text(r.data, "in_reply_to_user_id"));
    add_fact(&r, RULE_CONVERSATION, json_text(r.data, "conversation_id"));
    add_fact(&r, RULE_LANG, json_text(r.data, "lang"));
    add_text(&r, RULE_SOURCE, json_text(r.data, "source"));
    add_context(&r);
    add_media(&r);
    add_place(&r, facts);
    facts->percentile = (unsigned)(rule_text_hash(json_text(r.data, "id")) % 100);
    return finish(&r, memory, facts);
}

bool rule_facts_has(const struct rule_facts *facts, uint64_t fact)
{
    return facts->count && bsearch(&fact, facts->set, facts->count, sizeof fact, compare);
}
