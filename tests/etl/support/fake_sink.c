#include "fake_sink.h"
#include "etl/thread.h"

#include <stdio.h>
#include <stdlib.h>

void fake_sink_open(struct sink *s)
{
    *s = (struct sink){.times = calloc(FAKE_ROWS, 1)};
    pthread_mutex_init(&s->lock, NULL);
    thread_condition_init(&s->changed);
}

void fake_sink_close(struct sink *s)
{
    free(s->times);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
}

unsigned fake_sink_count(struct sink *s, const unsigned *figure)
{
    pthread_mutex_lock(&s->lock);
    unsigned value = *figure;
    pthread_mutex_unlock(&s->lock);
    return value;
}

static void keep_text(char *into, size_t size, struct view text)
{
    snprintf(into, size, "%.*s", VIEW_PRINT(text));
}

static void commit(struct sink *s, const struct load *load)
{
    s->commits++;
    for (size_t i = 0; i < load->part_count; i++) {
        const struct load_part *part = &load->parts[i];
        for (size_t k = 0; k < part->post_count; k++) {
            s->times[part->posts[k].sequence % FAKE_ROWS] += part->posts[k].sequence > s->position;
            keep_text(s->last_text, sizeof s->last_text, part->posts[k].post->text);
            keep_text(s->last_clean, sizeof s->last_clean, part->posts[k].post->clean_text);
        }
        for (size_t k = 0; k < part->reject_count; k++) {
            keep_text(s->last_why, sizeof s->last_why, view_of(part->rejects[k].why));
        }
        s->posts += part->post_count;
        s->events += part->event_count;
        s->rejects += part->reject_count;
        s->filtered += part->filtered;
        s->received += part->received;
        keep_text(s->spool, sizeof s->spool, part->spool);
        s->position = part->last_sequence;
    }
}

static int answer(struct sink *s, enum fake_answer what, struct err *e)
{
    switch (what) {
    case FAKE_FATAL:
        return err_set(e, ERR_FATAL, "no schema: run `roost migrate`");
    case FAKE_HANG:
        while (!s->stopped) {
            thread_wait(&s->changed, &s->lock, THREAD_NEVER);
        }
        return err_set(e, ERR_RETRY, "interrupted");
    case FAKE_OK:
        return 0;
    default:
        return err_set(e, ERR_RETRY, "not reached");
    }
}

static int fake_position(struct sink *s, const char *consumer, struct view spool, uint64_t *sequence,
                         struct err *e)
{
    (void)consumer;
    pthread_mutex_lock(&s->lock);
    s->position_calls++;
    enum fake_answer what = s->next_position < 16 ? s->positions[s->next_position++] : FAKE_OK;
    *sequence = s->spool[0] == '\0' || view_is(spool, s->spool) ? s->position : 0;
    int result = answer(s, what, e);
    pthread_mutex_unlock(&s->lock);
    return result;
}

static int fake_latest(struct sink *s, const char *consumer, struct sink_latest *latest, struct err *e)
{
    (void)consumer;
    pthread_mutex_lock(&s->lock);
    *latest = (struct sink_latest){.sequence = s->position};
    snprintf(latest->spool, sizeof latest->spool, "%.32s", s->spool);
    int result = answer(s, s->latest_calls++ ? FAKE_OK : s->first_latest, e);
    pthread_mutex_unlock(&s->lock);
    return result;
}

static int fake_write(struct sink *s, const struct load *load, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    s->write_calls++;
    enum fake_answer what = s->next_write < 16 ? s->writes[s->next_write++] : FAKE_OK;
    if (what == FAKE_OK) {
        what = s->always;
    }
    if (what == FAKE_OK || what == FAKE_LOST_ANSWER) {
        commit(s, load);
    }
    if (what == FAKE_MOVED) {
        s->position += 1000000;
    }
    int result = answer(s, what, e);
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return result;
}

static void fake_stop(struct sink *s)
{
    pthread_mutex_lock(&s->lock);
    s->stopped = true;
    s->stop_calls++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

const struct sink_type fake_sink_type = {
    .position = fake_position, .latest = fake_latest, .write = fake_write, .stop = fake_stop};
