#include "simulator/posts.h"

#include "base/json.h"
#include "base/number.h"
#include "simulator/payload.h"
#include "text/repair.h"

#include <stdlib.h>

enum { NOTE_ABOVE = 280, NOTE_ABOVE_IN_SAMPLE = 140 };

struct posts {
    const struct playlist *list;
    struct posts_item *items;
    size_t count;
    struct arena *memory;
    struct buffer scratch; /* of text_repair */
};

static cJSON *read_json(struct posts *p, struct view text)
{
    struct text_repairs repairs = {0};
    struct view clean;
    if (text_repair(text, &p->scratch, &repairs, &clean) < 0) {
        return NULL;
    }
    return cJSON_ParseWithLength(clean.at, clean.length);
}

static cJSON *find_tweet(void *context, struct view id)
{
    struct posts *p = context;
    uint64_t number;
    size_t index = number_parse_unsigned(id, &number) == 0 ? playlist_find(p->list, number) : SIZE_MAX;
    return index == SIZE_MAX ? NULL : read_json(p, playlist_at(p->list, index)->text);
}

static int make_item(struct posts *p, size_t index, const struct payload_options *options)
{
    const struct playlist_message *m = playlist_at(p->list, index);
    struct posts_item *item = &p->items[index];
    if (!m->tweet && !m->payload) {
        return 0;
    }
    cJSON *json = read_json(p, m->text), *made = m->tweet && json ? payload_of(json, options) : NULL;
    const cJSON *payload = m->tweet ? made : json;
    char *text = made ? cJSON_PrintUnformatted(made) : NULL;
    int result = 0;
    if (payload && (text || m->payload)) {
        item->payload = m->payload ? m->text : arena_view(p->memory, view_of(text));
        item->places = m->places;
        result = rule_facts_of(payload, p->memory, &item->facts);
        if (result == 0 && !m->payload) {
            result = item->payload.at ? fresh_find_payload(item->payload, p->memory, &item->places) : -1;
        }
        p->count++;
    }
    cJSON_free(text);
    cJSON_Delete(made);
    cJSON_Delete(json);
    return result;
}

struct posts *posts_make(const struct playlist *list, bool embellish, struct err *e)
{
    struct posts *p = calloc(1, sizeof *p);
    if (!p) {
        err_set(e, ERR_RETRY, "memory is out");
        return NULL;
    }
    struct payload_options options = {.note_above = embellish ? NOTE_ABOVE_IN_SAMPLE : NOTE_ABOVE,
                                      .embellish = embellish,
                                      .find = find_tweet,
                                      .context = p};
    p->list = list;
    p->scratch = BUFFER(3 * PLAYLIST_MESSAGE_MAX);
    p->memory = arena_new((size_t)16 << 30);
    p->items = calloc(playlist_count(list), sizeof *p->items);
    int result = p->memory && p->items ? 0 : -1;
    for (size_t i = 0; result == 0 && i < playlist_count(list); i++) {
        result = make_item(p, i, &options);
    }
    if (result < 0) {
        err_set(e, ERR_RETRY, "memory is out");
        posts_free(p);
        return NULL;
    }
    buffer_free(&p->scratch);
    return p;
}

const struct posts_item *posts_at(const struct posts *posts, size_t index)
{
    return &posts->items[index];
}

size_t posts_count(const struct posts *posts)
{
    return posts->count;
}

void posts_free(struct posts *posts)
{
    if (posts) {
        buffer_free(&posts->scratch);
        arena_free(posts->memory);
        free(posts->items);
        free(posts);
    }
}
