/* ingest/source_condition.c - how a source is, for who looks at it from outside. */
#include "base/clock.h"
#include "ingest/source_parts.h"

#include <stdio.h>

void source_note_error(struct source *s, const char *why)
{
    snprintf(s->last_error, sizeof s->last_error, "%.399s", why);
    s->error_at = clock_wall_ms();
}

struct source_condition source_condition(const struct source *s)
{
    struct source_condition c = {.state = s->state,
                                 .since = s->opened_at,
                                 .next_attempt = CLOCK_NONE,
                                 .error = s->last_error,
                                 .error_at = s->error_at};
    bool waits = s->state == SOURCE_WAITING || s->state == SOURCE_DOWN;
    if (s->state == SOURCE_STREAMING) {
        c.since = s->counts.streaming_since;
    } else if (s->state == SOURCE_STOPPED) {
        c.since = s->error_at == CLOCK_NONE ? s->opened_at : s->error_at;
    } else if (s->outage.open) {
        c.since = s->outage.began_wall;
    }
    if (waits && uv_is_active((const uv_handle_t *)&s->wait_timer)) {
        int64_t left = (int64_t)uv_timer_get_due_in(&s->wait_timer), speed = clock_test_speed();
        c.next_attempt = clock_wall_ms() + left * (speed ? speed : 1);
    }
    return c;
}
