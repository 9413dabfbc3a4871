#include "bridge/gap.h"

#include "base/clock.h"
#include "base/json.h"

void gap_write(struct buffer *body, const struct gap *gap)
{
    char from[CLOCK_TEXT_SIZE], to[CLOCK_TEXT_SIZE];
    buffer_print(body, "{\"started_at\":\"%s\",\"ended_at\":\"%s\",\"cause\":\"%s\",\"detail\":",
                 clock_format(gap->from, from), clock_format(gap->to, to), gap->cause);
    json_add_string(body, view_of(gap->detail));
    if (gap->undelivered >= 0) {
        buffer_print(body, ",\"undelivered\":%lld", (long long)gap->undelivered);
    }
    if (gap->first) {
        buffer_print(body, ",\"first\":%llu,\"last\":%llu", (unsigned long long)gap->first,
                     (unsigned long long)gap->last);
    }
    buffer_add_byte(body, '}');
}

void gap_event(struct post *event, const char *source, const struct buffer *body)
{
    post_init(event);
    event->kind = POST_GAP;
    event->source = view_of(source);
    event->received_at = clock_wall_ms();
    event->body = buffer_view(body);
}
