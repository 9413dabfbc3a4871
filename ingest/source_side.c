/* One configuration's stream: opened, and given back when nothing of it is on the loop any more. */
#include "ingest/source_keys.h"
#include "ingest/source_parts.h"

#include <stdlib.h>

enum { MOST_BACKLOG = 1024 * 1024 /* libcurl hands over at most 16 KiB at once; the rest is safety */ };

static void side_free(struct source_side *side)
{
    if (side->protocol_state) {
        side->source->protocol->close(side->protocol_state);
    }
    ingest_lines_free(side->lines);
    buffer_free(&side->held);
    buffer_free(&side->backlog);
    free(side);
}

static void on_in_force(void *user, const struct version *version)
{
    struct source_side *side = user;
    struct source *s = side->source;
    if (s->events.in_force && !s->stopping && !side->closing) {
        s->events.in_force(s->events.user, s, version);
    }
}

struct source_side *source_side_open(struct source *s, const struct source_settings *settings, struct err *e)
{
    struct source_side *side = calloc(1, sizeof *side);
    if (!side) {
        err_set(e, ERR_RETRY, "memory is out");
        return NULL;
    }
    side->source = s;
    side->settings = settings;
    side->held = BUFFER(LINES_MESSAGE_LIMIT + 2);
    side->backlog = BUFFER(MOST_BACKLOG);
    side->protocol_state = s->protocol->open(settings, e);
    if (!side->protocol_state) {
        side_free(side);
        return NULL;
    }
    if (s->protocol->watch) {
        s->protocol->watch(side->protocol_state, on_in_force, side);
    }
    side->lines = ingest_lines_new(LINES_MESSAGE_LIMIT);
    if (!side->lines) {
        err_set(e, ERR_RETRY, "memory is out");
    }
    side->http = side->lines ? source_side_stream(side, e) : NULL;
    if (!side->http) {
        side_free(side);
        return NULL;
    }
    side->streamed_before = source_keys_known(s->protocol, side->protocol_state, s->options.streamed_path);
    side->parts = s->protocol->quit ? 2 : 1;
    side->following = s->sides;
    s->sides = side;
    s->handles++;
    return side;
}

static void on_part_closed(void *user)
{
    struct source_side *side = user;
    struct source *s = side->source;
    if (--side->parts) {
        return;
    }
    for (struct source_side **at = &s->sides; *at; at = &(*at)->following) {
        if (*at == side) {
            *at = side->following;
            break;
        }
    }
    side_free(side);
    source_part_closed(s);
}

void source_side_close(struct source_side *side)
{
    if (!side || side->closing) {
        return;
    }
    side->closing = true;
    if (side->source->protocol->quit) {
        side->source->protocol->quit(side->protocol_state, on_part_closed, side);
    }
    http_stream_free(side->http, on_part_closed, side);
}

bool source_side_is_empty(const struct source_side *side)
{
    return !side->held.length && !side->backlog.length;
}

const struct source_settings *source_side_settings(const struct source_side *side)
{
    const struct source_protocol *protocol = side->source->protocol;
    return protocol->goes_by ? protocol->goes_by(side->protocol_state) : side->settings;
}
