#include "simulator/playlist.h"

#include "base/file.h"
#include "base/json.h"
#include "simulator/payload.h"
#include "text/repair.h"

#include <stdlib.h>

/* id -> index, open addressing; an index of 0 is an empty place (indices are kept plus one). */
struct id_place {
    uint64_t id;
    size_t index_plus_one;
};

struct playlist {
    struct buffer bytes, control_bytes;
    struct playlist_message *messages;
    size_t count, broken, tweets;
    int64_t start_ms;
    struct arena *memory;
    struct id_place *ids;
    size_t id_mask;
};

/* The next line that is not empty, without its end; absent: no more. */
static struct view next_line(struct view *rest)
{
    while (rest->length) {
        const char *end = memchr(rest->at, '\n', rest->length);
        size_t length = end ? (size_t)(end - rest->at) : rest->length;
        struct view line = view_trim(view_make(rest->at, length));
        *rest = view_from(*rest, end ? length + 1 : length);
        if (line.length) {
            return line;
        }
    }
    return view_none();
}

static size_t count_lines(struct view bytes)
{
    size_t count = 0;
    while (next_line(&bytes).at) {
        count++;
    }
    return count;
}

/* What cJSON fails on is repaired in a copy for reading; what is sent stays as it is. */
static int read_message(struct playlist *list, struct playlist_message *m, struct buffer *scratch,
                        struct err *e)
{
    if (m->text.length > PLAYLIST_MESSAGE_MAX) {
        return err_set(e, ERR_FATAL, "a message is longer than %zu bytes", (size_t)PLAYLIST_MESSAGE_MAX);
    }
    struct text_repairs repairs = {0};
    struct view clean;
    if (text_repair(m->text, scratch, &repairs, &clean) < 0) {
        return err_set(e, ERR_FATAL, "memory is out");
    }
    cJSON *json = cJSON_ParseWithLength(clean.at, clean.length);
    list->broken += !json;
    m->tweet = json_text(json, "text").at && json_member(json, "user");
    list->tweets += m->tweet;
    m->payload = !m->tweet && payload_is(json);
    int result = m->payload ? fresh_find_payload(m->text, list->memory, &m->places)
                            : fresh_find(m->text, list->memory, &m->places);
    if (result == 0 && m->tweet) {
        result = selection_facts_of(json, list->memory, &m->facts);
    }
    cJSON_Delete(json);
    return result < 0 ? err_set(e, ERR_FATAL, "memory is out") : 0;
}

static int read_messages(struct playlist *list, struct err *e)
{
    struct buffer scratch = BUFFER(3 * PLAYLIST_MESSAGE_MAX);
    int result = 0;
    for (size_t i = 0; i < list->count && result == 0; i++) {
        result = read_message(list, &list->messages[i], &scratch, e);
    }
    buffer_free(&scratch);
    return result;
}

static size_t id_slot(const struct playlist *list, uint64_t id)
{
    size_t slot = (size_t)(id * 0x9E3779B97F4A7C15u >> 20) & list->id_mask;
    while (list->ids[slot].index_plus_one && list->ids[slot].id != id) {
        slot = (slot + 1) & list->id_mask;
    }
    return slot;
}

static int index_ids(struct playlist *list, struct err *e)
{
    size_t size = 64;
    while (size < list->count * 2) {
        size *= 2;
    }
    list->ids = calloc(size, sizeof *list->ids);
    if (!list->ids) {
        return err_set(e, ERR_FATAL, "memory is out");
    }
    list->id_mask = size - 1;
    for (size_t i = 0; i < list->count; i++) {
        uint64_t id =
            list->messages[i].tweet || list->messages[i].payload ? list->messages[i].places.own_id : 0;
        if (!id) {
            continue;
        }
        if (!list->start_ms) {
            list->start_ms = fresh_time_of(id);
        }
        size_t slot = id_slot(list, id);
        if (!list->ids[slot].index_plus_one) {
            list->ids[slot] = (struct id_place){id, i + 1};
        }
    }
    return 0;
}

/* After each message of the first list as many of the second as keep both in step. */
static void interleave(struct playlist *list, size_t first_count, size_t second_count)
{
    struct view first = buffer_view(&list->bytes), second = buffer_view(&list->control_bytes);
    size_t taken = 0;
    for (size_t i = 1; i <= first_count; i++) {
        list->messages[list->count++].text = next_line(&first);
        for (size_t due = i * second_count / first_count; taken < due; taken++) {
            list->messages[list->count++].text = next_line(&second);
        }
    }
}

struct playlist *playlist_from(struct buffer *lines, const char *control_path, struct err *e)
{
    struct playlist *list = calloc(1, sizeof *list);
    if (!list) {
        err_set(e, ERR_FATAL, "memory is out");
        return NULL;
    }
    list->bytes = *lines;
    *lines = BUFFER(lines->maximum);
    list->control_bytes = BUFFER(PLAYLIST_BYTES_MAX);
    if (control_path && file_read(control_path, &list->control_bytes, e) < 0) {
        goto fail;
    }
    size_t first = count_lines(buffer_view(&list->bytes)),
           second = count_lines(buffer_view(&list->control_bytes));
    if (!first) {
        err_set(e, ERR_FATAL, "there is no message in it: one JSON object a line is needed");
        goto fail;
    }
    list->memory = arena_new((size_t)8 << 30);
    list->messages = calloc(first + second, sizeof *list->messages);
    if (!list->memory || !list->messages) {
        err_set(e, ERR_FATAL, "memory is out");
        goto fail;
    }
    interleave(list, first, second);
    if (read_messages(list, e) < 0 || index_ids(list, e) < 0) {
        goto fail;
    }
    return list;
fail:
    playlist_free(list);
    return NULL;
}

struct playlist *playlist_load(const char *path, const char *control_path, struct err *e)
{
    struct buffer bytes = BUFFER(PLAYLIST_BYTES_MAX);
    struct playlist *list = NULL;
    if (file_read(path, &bytes, e) == 0) {
        list = playlist_from(&bytes, control_path, e);
        if (!list) {
            err_wrap(e, "%s", path);
        }
    }
    buffer_free(&bytes);
    return list;
}

size_t playlist_count(const struct playlist *list)
{
    return list->count;
}

const struct playlist_message *playlist_at(const struct playlist *list, size_t index)
{
    return &list->messages[index];
}

size_t playlist_find(const struct playlist *list, uint64_t id)
{
    /* An empty place holds 0, and 0 - 1 is SIZE_MAX. */
    return list->ids[id_slot(list, id)].index_plus_one - 1;
}

int64_t playlist_start_ms(const struct playlist *list)
{
    return list->start_ms;
}

size_t playlist_broken(const struct playlist *list)
{
    return list->broken;
}

size_t playlist_tweets(const struct playlist *list)
{
    return list->tweets;
}

void playlist_free(struct playlist *list)
{
    if (list) {
        buffer_free(&list->bytes);
        buffer_free(&list->control_bytes);
        free(list->messages);
        free(list->ids);
        arena_free(list->memory);
        free(list);
    }
}
