#include "etl/steps.h"
#include "base/json.h"
#include "etl/receiver.h"
#include "text/clean.h"
#include "text/entities.h"
#include "text/lower.h"

static struct item *item_of(struct record record)
{
    return (struct item *)record.data;
}

/* The post of an item that is a post; NULL for events and rejects, which go through as they are. */
static struct post *post_of(struct record record)
{
    struct post *post = item_of(record)->post;
    return post && post->kind == POST_POST ? post : NULL;
}

/* ---- split ---- */

/* The `filtered` figure of a count event's body. */
static uint64_t filtered_of(const struct post *post)
{
    if (post->kind != POST_COUNT || view_absent(post->body)) {
        return 0;
    }
    cJSON *body = cJSON_ParseWithLength(post->body.at, post->body.length);
    int64_t filtered = json_number(body, "filtered", 0);
    cJSON_Delete(body);
    return filtered > 0 ? (uint64_t)filtered : 0;
}

int step_split(struct task *task, struct record in, void *user)
{
    (void)user;
    struct arena *a = task_arena(task);
    const struct frame frame = receiver_frame(in);
    struct item *item = arena_zeroed(a, 1, sizeof *item);
    struct post *post = arena_alloc(a, sizeof *post);
    if (!item || !post) {
        return -1;
    }
    struct err why;
    item->sequence = frame.sequence;
    item->frame = frame.payload;
    if (post_read(frame.payload, a, post, &why) == 0) {
        item->post = post;
        item->filtered = filtered_of(post);
    } else if (why.kind == ERR_REJECT) {
        item->why = arena_view(a, view_of(why.text)).at;
    } else {
        return task_fail(task, "frame %llu: %s", (unsigned long long)frame.sequence, why.text);
    }
    return task_emit(task, (struct record){item, sizeof *item});
}

/* ---- lowercase ---- */

static void lower_list(const struct text_worker *w, struct view_list *list, struct arena *a)
{
    if (!list->count) {
        return;
    }
    struct view *items = arena_zeroed(a, list->count, sizeof *items);
    for (size_t i = 0; items && i < list->count; i++) {
        items[i] = text_lower(w, list->items[i], a);
    }
    list->items = list->count ? items : list->items;
}

int step_lowercase(struct task *task, struct record in, struct record *out, void *user)
{
    (void)user;
    *out = in;
    struct post *post = post_of(in);
    if (post) {
        const struct text_worker *w = task_scratch(task);
        struct arena *a = task_arena(task);
        post->clean_text = text_lower(w, post->text, a);
        lower_list(w, &post->hashtags, a);
        lower_list(w, &post->cashtags, a);
        lower_list(w, &post->mentions, a);
    }
    return 0;
}

/* ---- clean ---- */

int step_clean(struct task *task, struct record in, struct record *out, void *user)
{
    (void)user;
    *out = in;
    struct post *post = post_of(in);
    if (post) {
        post->clean_text =
            text_clean(task_scratch(task), post->clean_text, post->links, post->mentions, task_arena(task));
    }
    return 0;
}

/* ---- enrich ---- */

/* True for networks whose posts carry no entities; lists that are there and empty were stated by the network.
 */
static bool without_entities(const struct post *post)
{
    return !post->hashtags.items && !post->cashtags.items && !post->mentions.items && !post->urls.items;
}

static struct view_list lowered_names(const struct text_worker *w, const struct text_entities *found,
                                      enum text_entity_kind kind, struct arena *a)
{
    struct view_list names = text_entity_names(found, kind, a);
    lower_list(w, &names, a);
    return names;
}

static void take_entities_of_text(const struct text_worker *w, struct post *post, struct arena *a)
{
    struct text_entities found;
    if (text_entities(post->text, a, &found) != 0 || found.count == 0) {
        return;
    }
    post->hashtags = lowered_names(w, &found, TEXT_HASHTAG, a);
    post->cashtags = lowered_names(w, &found, TEXT_CASHTAG, a);
    post->mentions = lowered_names(w, &found, TEXT_MENTION, a);
    post->urls = text_entity_names(&found, TEXT_LINK, a);
}

int step_enrich(struct task *task, struct record in, struct record *out, void *user)
{
    (void)user;
    *out = in;
    struct post *post = post_of(in);
    if (post) {
        struct text_worker *w = task_scratch(task);
        struct arena *a = task_arena(task);
        int64_t words = text_word_count(w, post->clean_text);
        post->word_count = words < 0 ? POST_NO_NUMBER : words;
        if (without_entities(post)) {
            take_entities_of_text(w, post, a);
        }
        if (!post->emoji.count) {
            post->emoji = text_emoji(w, post->text, a);
        }
    }
    return 0;
}
