#include "ingest/tweet_entities.h"

#include "base/json.h"
#include "base/utf8.h"
#include "ingest/tweet.h"
#include "ingest/x_part.h"
#include "text/entities.h"
#include "text/lower.h"
#include "text/repair.h"

#include <strings.h>

enum { LINKS_MOST = 100 /* each costs a walk over the text */ };

/* A list in the making: at most `most` items, each value once. */
struct list {
    struct view *items;
    size_t count, most;
};

static struct list list_make(struct arena *a, size_t most)
{
    if (most > TWEET_LIST_MOST) {
        most = TWEET_LIST_MOST;
    }
    struct view *items = most ? arena_zeroed(a, most, sizeof *items) : NULL;
    return (struct list){items, 0, items ? most : 0};
}

static void list_add(struct list *l, struct view v)
{
    if (!v.length || l->count == l->most) {
        return;
    }
    for (size_t i = 0; i < l->count; i++) {
        if (view_equal(l->items[i], v)) {
            return;
        }
    }
    l->items[l->count++] = v;
}

static struct view_list list_done(struct list l)
{
    return (struct view_list){l.count ? l.items : NULL, l.count};
}

/* Member `key` of an object if it is an array that holds something. */
static const cJSON *array_of(const cJSON *object, const char *key, size_t *count)
{
    const cJSON *array = json_member(object, key);
    *count = 0;
    if (!cJSON_IsArray(array)) {
        return NULL;
    }
    for (const cJSON *item = array->child; item && *count < TWEET_LIST_MOST; item = item->next) {
        (*count)++;
    }
    return *count ? array : NULL;
}

/* Words with a sign: the sign goes, if the payload has it at all, and capitals become small. */
static struct view_list words_of(const cJSON *entities, const char *key, const char *member, char sign,
                                 struct text_worker *worker, struct arena *a)
{
    size_t count;
    const cJSON *array = array_of(entities, key, &count);
    struct list l = list_make(a, count);
    for (const cJSON *item = array ? array->child : NULL; item; item = item->next) {
        struct view word = json_text(item, member);
        if (word.length && word.at[0] == sign) {
            word = view_from(word, 1);
        }
        list_add(&l, text_lower(worker, word, a));
    }
    return list_done(l);
}

/* The first of these members that says something. */
static struct view first_text(const cJSON *item, const char *const members[3])
{
    struct view text = view_none();
    for (size_t i = 0; i < 3 && members[i] && !text.length; i++) {
        text = json_text(item, members[i]);
    }
    return text;
}

static struct view_list addresses_of(const cJSON *entities, const char *key, const char *const members[3],
                                     struct arena *a)
{
    size_t count;
    const cJSON *array = array_of(entities, key, &count);
    struct list l = list_make(a, count);
    for (const cJSON *item = array ? array->child : NULL; item; item = item->next) {
        list_add(&l, first_text(item, members));
    }
    return list_done(l);
}

/* The part of the text that an entity's indices (v1.1) or start and end (v2) name; absent when they name
 * none. */
static struct view slice_of(const cJSON *entity, struct view text)
{
    const cJSON *indices = json_member(entity, "indices");
    const cJSON *from = cJSON_IsArray(indices) ? indices->child : json_member(entity, "start");
    const cJSON *to = cJSON_IsArray(indices) ? (from ? from->next : NULL) : json_member(entity, "end");
    if (!from || !to || !cJSON_IsNumber(from) || !cJSON_IsNumber(to) || !(from->valuedouble >= 0) ||
        !(to->valuedouble > from->valuedouble) || !(to->valuedouble <= (double)text.length)) {
        return view_none();
    }
    size_t start = utf8_offset(text, (size_t)from->valuedouble);
    struct view rest = view_from(text, start);
    size_t length = utf8_offset(rest, (size_t)to->valuedouble - (size_t)from->valuedouble);
    return length ? view_make(rest.at, length) : view_none();
}

static bool has_scheme(struct view link)
{
    return (link.length >= 7 && strncasecmp(link.at, "http://", 7) == 0) ||
           (link.length >= 8 && strncasecmp(link.at, "https://", 8) == 0);
}

/* The link as it stands in the text. Where the indices name something else than the entity's url (a repaired
 * text may have lost characters), the url counts if it stands in the text at all: a wrong piece of text must
 * not be taken for a link. */
static struct view link_of(const cJSON *entity, struct view text)
{
    struct view url = json_text(entity, "url");
    if (has_scheme(url)) {
        return view_none();
    }
    struct view slice = slice_of(entity, text);
    if (view_absent(url) || view_equal(slice, url)) {
        return slice;
    }
    return url.length && memmem(text.at, text.length, url.at, url.length) ? url : view_none();
}

static void add_links(struct list *l, const cJSON *array, struct view text, struct arena *a)
{
    size_t seen = 0;
    for (const cJSON *item = array ? array->child : NULL; item && seen < LINKS_MOST;
         item = item->next, seen++) {
        struct view link = link_of(item, text);
        if (link.length && !has_scheme(link)) {
            list_add(l, text_unescape_html(link, a));
        }
    }
}

static struct view_list links_of(const cJSON *entities, struct view text, struct arena *a)
{
    size_t urls, media;
    const cJSON *url_array = array_of(entities, "urls", &urls);
    const cJSON *media_array = array_of(entities, "media", &media);
    struct list l = list_make(a, urls + media);
    add_links(&l, url_array, text, a);
    add_links(&l, media_array, text, a);
    return list_done(l);
}

/* An empty list that is there: the payload names none, which is not the same as having no entities. */
static void state_empty(bool stated, struct view_list *list)
{
    static const struct view nothing[1];
    if (stated && !list->count) {
        *list = (struct view_list){nothing, 0};
    }
}

const struct tweet_entities_form tweet_entities_v1 = {.hashtags = {"hashtags", "text"},
                                                      .cashtags = {"symbols", "text"},
                                                      .mentions = {"user_mentions", "screen_name"},
                                                      .addresses = {"expanded_url", "url"},
                                                      .media = {"media_url_https", "media_url"}};

const struct tweet_entities_form tweet_entities_v2 = {.hashtags = {"hashtags", "tag"},
                                                      .cashtags = {"cashtags", "tag"},
                                                      .mentions = {"mentions", "username"},
                                                      .addresses = {"expanded_url", "unwound_url", "url"},
                                                      .left_out_is_empty = true};

void tweet_entities(const struct tweet_entities_form *form, const cJSON *holder, struct view text,
                    struct text_worker *worker, struct arena *a, struct post *p)
{
    const cJSON *entities = json_member(holder, "entities");
    p->hashtags = words_of(entities, form->hashtags[0], form->hashtags[1], '#', worker, a);
    p->cashtags = words_of(entities, form->cashtags[0], form->cashtags[1], '$', worker, a);
    p->mentions = words_of(entities, form->mentions[0], form->mentions[1], '@', worker, a);
    p->urls = addresses_of(entities, "urls", form->addresses, a);
    bool stated = form->left_out_is_empty || cJSON_IsObject(entities);
    state_empty(stated, &p->hashtags);
    state_empty(stated, &p->cashtags);
    state_empty(stated, &p->mentions);
    state_empty(stated, &p->urls);
    if (form->media[0]) {
        p->media = addresses_of(json_member(holder, "extended_entities"), "media", form->media, a);
    }
    p->links = links_of(entities, text, a);
}

void tweet_text_store(const struct tweet_entities_form *form, const struct tweet_text *text,
                      struct text_worker *worker, struct arena *a, struct post *p)
{
    struct view plain = text_unescape_html(text->escaped, a);
    if (text->retweeted.at && plain.at) {
        plain = x_part_retweet(a, text->retweeted, plain);
    }
    p->text = plain;
    p->text_source = view_of(text->source);
    p->emoji = text_emoji(worker, plain, a);
    tweet_entities(form, text->holder, text->escaped, worker, a, p);
}

struct view_list tweet_strings(const cJSON *array, struct arena *a)
{
    struct list l = {NULL, 0, 0};
    if (cJSON_IsArray(array)) {
        l = list_make(a, TWEET_LIST_MOST);
        for (const cJSON *item = array->child; item; item = item->next) {
            list_add(&l, cJSON_IsString(item) ? view_of(item->valuestring) : view_none());
        }
    }
    return list_done(l);
}
