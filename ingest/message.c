#include "ingest/message.h"

#include "base/json.h"
#include "base/json_scan.h"
#include "ingest/tweet.h"
#include "ingest/tweet_entities.h"
#include "ingest/x_part.h"

#include <stdlib.h>

enum {
    ARENA_MAXIMUM = 32 * 1024 * 1024, /* lists and lower-case copies of a 1 MiB message, with room */
    REPAIR_MAXIMUM = 3 * MESSAGE_MAXIMUM_BYTES
};

struct message_reader {
    const struct message_form *form;
    char *source;
    bool store_raw;
    struct text_worker *worker;
    struct arena *arena;
    struct buffer repaired;
    cJSON *tree; /* of the line read last */
    struct message_counts counts;
};

/* One message in hand. */
struct reading {
    const cJSON *tree;
    struct view line; /* after repair */
    struct arena *arena;
    struct message *message;
};

#define ID(r, object, ...)                                                                                   \
    event_id(r, object, (const char *const[]){__VA_ARGS__},                                                  \
             sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

struct message_reader *message_reader_new(const struct message_form *form, const char *source, bool store_raw,
                                          struct err *e)
{
    struct message_reader *r = calloc(1, sizeof *r);
    if (!r) {
        err_set(e, ERR_RETRY, "no memory for reading the messages of source %s", source);
        return NULL;
    }
    r->repaired = BUFFER(REPAIR_MAXIMUM);
    r->form = form;
    r->store_raw = store_raw;
    r->source = strdup(source);
    r->arena = arena_new(ARENA_MAXIMUM);
    if (!r->source || !r->arena) {
        err_set(e, ERR_RETRY, "no memory for reading the messages of source %s", source);
        goto failed;
    }
    r->worker = text_worker_new(e);
    if (!r->worker) {
        goto failed;
    }
    return r;
failed:
    message_reader_free(r);
    return NULL;
}

void message_reader_free(struct message_reader *r)
{
    if (!r) {
        return;
    }
    cJSON_Delete(r->tree);
    buffer_free(&r->repaired);
    arena_free(r->arena);
    text_worker_free(r->worker);
    free(r->source);
    free(r);
}

/* The id that stands at path, as a string under its last key with "_str", or as a number under the key
 * itself. */
static struct view event_id(const struct reading *r, const cJSON *object, const char *const *path,
                            size_t depth)
{
    char text_key[40] = "";
    struct view key = view_of(path[depth - 1]);
    if (key.length + sizeof "_str" > sizeof text_key) {
        return view_none();
    }
    memcpy(text_key, key.at, key.length);
    memcpy(text_key + key.length, "_str", sizeof "_str");
    return x_part_id(object, text_key, r->line, path, depth);
}

/* Each read_ function fills the post for one kind of event from the object under its key; false: it does not
 * say what such an event must say, and is unknown. */

static bool read_delete(struct reading *r, const cJSON *event)
{
    struct post *p = &r->message->post;
    const cJSON *status = json_member(event, "status"); /* one about a direct message has none */
    p->id = ID(r, status, "delete", "status", "id");
    p->author_id = ID(r, status, "delete", "status", "user_id");
    return p->id.at != NULL;
}

static bool read_scrub_geo(struct reading *r, const cJSON *event)
{
    struct post *p = &r->message->post;
    p->id = ID(r, event, "scrub_geo", "up_to_status_id");
    p->author_id = ID(r, event, "scrub_geo", "user_id");
    return p->id.at && p->author_id.at;
}

static bool read_status_withheld(struct reading *r, const cJSON *event)
{
    struct post *p = &r->message->post;
    p->id = ID(r, event, "status_withheld", "id");
    p->author_id = ID(r, event, "status_withheld", "user_id");
    p->withheld_in = tweet_strings(json_member(event, "withheld_in_countries"), r->arena);
    return p->id.at != NULL;
}

static bool read_user_withheld(struct reading *r, const cJSON *event)
{
    struct post *p = &r->message->post;
    p->author_id = ID(r, event, "user_withheld", "id");
    p->withheld_in = tweet_strings(json_member(event, "withheld_in_countries"), r->arena);
    return p->author_id.at != NULL;
}

static bool read_limit(struct reading *r, const cJSON *event)
{
    r->message->limit_track = json_number(event, "track", POST_NO_NUMBER);
    return true;
}

static bool read_warning(struct reading *r, const cJSON *event)
{
    r->message->warning_code = json_text(event, "code");
    r->message->warning_percent = json_number(event, "percent_full", POST_NO_NUMBER);
    return true;
}

static bool read_disconnect(struct reading *r, const cJSON *event)
{
    r->message->disconnect_code = json_number(event, "code", POST_NO_NUMBER);
    r->message->disconnect_why = json_text(event, "reason");
    return true;
}

static const struct event_type {
    const char *key; /* at the top of the message */
    enum post_kind kind;
    bool (*read)(struct reading *r, const cJSON *event);
} event_types[] = {
    {"delete", POST_DELETE, read_delete},
    {"limit", POST_LIMIT, read_limit},
    {"scrub_geo", POST_SCRUB_GEO, read_scrub_geo},
    {"status_withheld", POST_WITHHELD, read_status_withheld},
    {"user_withheld", POST_WITHHELD, read_user_withheld},
    {"warning", POST_WARNING, read_warning},
    {"disconnect", POST_DISCONNECT, read_disconnect},
};

void message_begin_event(struct message *m, enum post_kind kind)
{
    post_init(&m->post);
    m->post.kind = kind;
    m->post.network = VIEW("x");
    m->kind = MESSAGE_EVENT;
}

static bool read_event(const cJSON *tree, struct view line, struct arena *a, struct message *m)
{
    struct reading r = {.tree = tree, .line = line, .arena = a, .message = m};
    for (size_t i = 0; i < sizeof event_types / sizeof event_types[0]; i++) {
        const cJSON *event = json_member(tree, event_types[i].key);
        if (!cJSON_IsObject(event)) {
            continue;
        }
        message_begin_event(m, event_types[i].kind);
        if (event_types[i].read(&r, event)) {
            return true;
        }
    }
    return false;
}

const struct message_form message_form_x_v1 = {
    .is_post = tweet_is_one, .to_post = tweet_to_post, .to_event = read_event};

/* --- any API --- */

static void make_unknown(struct message_reader *r, struct message *m)
{
    message_begin_event(m, POST_UNKNOWN);
    r->counts.unknown++;
}

static void read_post(struct message_reader *r, struct view line, struct message *m)
{
    if (r->form->to_post(r->tree, line, r->worker, r->arena, &m->post, &m->why)) {
        if (m->why.kind == ERR_RETRY) {
            m->kind = MESSAGE_UNREADABLE;
            return;
        }
        make_unknown(r, m);
        return;
    }
    m->kind = MESSAGE_POST;
    if (!r->store_raw) {
        return;
    }
    if (json_scan_check(line, NULL)) {
        r->counts.raw_refused++;
    } else {
        m->post.raw = line;
    }
}

/* The tree of the line; NULL: why is filled. Trees are kept until the next message, since posts point into
 * them. */
static const cJSON *parse(struct message_reader *r, struct view line, struct err *why)
{
    const char *end = NULL;
    char last = line.at[line.length - 1];
    /* cJSON 1.7.15 reads one byte beyond a text that ends behind a comma or colon: no JSON ends so. */
    if (last != ',' && last != ':') {
        r->tree = cJSON_ParseWithLengthOpts(line.at, line.length, &end, 0);
    }
    if (r->tree && end == line.at + line.length) {
        return r->tree;
    }
    size_t at = 0;
    if (json_scan_check(line, &at) == 0) {
        err_set(why, ERR_RETRY, "cannot be read: no memory for its %zu bytes", line.length);
    } else {
        err_set(why, ERR_REJECT, "is no JSON: wrong, or nested too deep, at byte %zu of %zu", at,
                line.length);
    }
    return NULL;
}

static void read_line(struct message_reader *r, struct view line, struct message *m)
{
    struct text_repairs before = r->counts.repairs;
    if (text_repair(line, &r->repaired, &r->counts.repairs, &line)) {
        err_set(&m->why, ERR_RETRY, "no memory to repair its %zu bytes", line.length);
        return;
    }
    r->counts.repaired += memcmp(&before, &r->counts.repairs, sizeof before) != 0;
    line = view_trim(line);
    if (!line.length) {
        err_set(&m->why, ERR_REJECT, "is nothing but NUL bytes");
        return;
    }
    const cJSON *tree = parse(r, line, &m->why);
    if (!tree) {
        return;
    }
    if (r->form->is_post(tree)) {
        read_post(r, line, m);
    } else if (!r->form->to_event(tree, line, r->arena, m)) {
        make_unknown(r, m);
    }
    size_t at;
    if (m->kind == MESSAGE_EVENT && json_scan_check(line, &at)) {
        m->kind = MESSAGE_UNREADABLE;
        err_set(&m->why, ERR_REJECT, "is no JSON: wrong, or nested too deep, at byte %zu of %zu", at,
                line.length);
    } else if (m->kind == MESSAGE_EVENT) {
        m->post.body = line;
    }
}

static void count(struct message_counts *counts, enum message_kind kind)
{
    counts->keep_alives += kind == MESSAGE_KEEP_ALIVE;
    counts->posts += kind == MESSAGE_POST;
    counts->events += kind == MESSAGE_EVENT;
    counts->unreadable += kind == MESSAGE_UNREADABLE;
}

void message_read(struct message_reader *r, struct view line, int64_t received_at, struct message *m)
{
    cJSON_Delete(r->tree);
    r->tree = NULL;
    arena_reset(r->arena);
    m->kind = MESSAGE_UNREADABLE;
    m->why.text[0] = '\0';
    m->disconnect_code = m->limit_track = m->warning_percent = POST_NO_NUMBER;
    m->warning_code = m->disconnect_why = view_none();
    post_init(&m->post);
    line = view_trim(line);
    if (!line.length) {
        m->kind = MESSAGE_KEEP_ALIVE;
    } else if (line.length > MESSAGE_MAXIMUM_BYTES) {
        err_set(&m->why, ERR_REJECT, "has %zu bytes, over the limit of %d", line.length,
                MESSAGE_MAXIMUM_BYTES);
    } else {
        read_line(r, line, m);
    }
    m->post.source = view_of(r->source);
    m->post.received_at = received_at;
    count(&r->counts, m->kind);
}

const struct message_counts *message_reader_counts(const struct message_reader *r)
{
    return &r->counts;
}

const cJSON *message_reader_tree(const struct message_reader *r)
{
    return r->tree;
}

struct text_worker *message_reader_worker(struct message_reader *r)
{
    return r->worker;
}

struct arena *message_reader_arena(struct message_reader *r)
{
    return r->arena;
}
