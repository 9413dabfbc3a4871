#include "etl/loader.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/watchdog.h"
#include "etl/thread.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { BACK_OFF_FIRST_MS = 100, BACK_OFF_MOST_MS = 5000 }; /* design, section 3 */

/* What a sink is asked to do; lies on the asker's stack, who waits until it is done. */
struct request {
    struct request *next;
    const struct load *load; /* NULL: something is asked */
    bool look;
    struct sink_latest *latest; /* not NULL: it is asked for, and the position too */
    struct view spool;
    uint64_t sequence;
    bool done;
    int result;
    struct err error;
    struct load_outcome outcome;
};

/* How far a sink is in one spool. Only its thread uses it. */
struct known {
    char *spool;
    uint64_t sequence;
};

struct sink_thread {
    struct loader *loader;
    struct loader_sink sink;
    struct log_context log;
    pthread_t thread;
    struct request *first, **end;
    bool busy; /* with a request */
    bool away; /* said so; this and `condition` are written under the loader's lock */
    struct loader_condition condition;
    struct known *known;
    size_t known_count;
};

struct loader {
    const char *consumer;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping, ending, cut_off; /* cut_off: the sinks' stop was called */
    int64_t stop_deadline;
    struct sink_thread *threads;
    size_t count, started;
    struct load_outcome outcome;
    void (*changed_user)(void *user);
    void *user;
};

/* ---- on a sink's thread ---- */

bool loader_stopping(struct loader *l)
{
    pthread_mutex_lock(&l->lock);
    bool stopping = l->stopping;
    pthread_mutex_unlock(&l->lock);
    return stopping;
}

/* Sleeps the back-off and lengthens it. True: stopping. */
static bool back_off(struct loader *l, int64_t *wait_ms)
{
    int64_t deadline = thread_deadline(*wait_ms);
    pthread_mutex_lock(&l->lock);
    while (!l->stopping && thread_wait(&l->changed, &l->lock, deadline)) {
    }
    bool stopping = l->stopping;
    pthread_mutex_unlock(&l->lock);
    *wait_ms = *wait_ms * 2 < BACK_OFF_MOST_MS ? *wait_ms * 2 : BACK_OFF_MOST_MS;
    return stopping;
}

/* Why it is away; NULL: it is there. */
static void note_condition(struct sink_thread *t, const struct err *why)
{
    struct loader *l = t->loader;
    struct loader_condition *c = &t->condition;
    pthread_mutex_lock(&l->lock);
    bool news = why ? !c->away : !c->there;
    t->away = why != NULL;
    if (news) {
        c->away = why != NULL;
        c->there = !why;
        c->since = clock_wall_ms();
    }
    if (why) {
        snprintf(c->error, sizeof c->error, "%.299s", why->text);
        c->error_at = clock_wall_ms();
    }
    void (*changed)(void *user) = news ? l->changed_user : NULL;
    pthread_mutex_unlock(&l->lock);
    if (changed) {
        changed(l->user);
    }
}

static void say_away(struct sink_thread *t, const struct err *why)
{
    if (!t->away) {
        log_warning(&t->log, "away: %s; waiting for it, nothing is lost", why->text);
    }
    note_condition(t, why);
}

static void say_back(struct sink_thread *t)
{
    if (t->away) {
        log_notice(&t->log, "back");
    }
    note_condition(t, NULL);
}

static int given_up(struct err *e)
{
    return err_set(e, ERR_RETRY,
                   "given up, since the service stops: what was not committed is still in the spool");
}

static struct known *find_known(struct sink_thread *t, struct view spool)
{
    for (size_t i = 0; i < t->known_count; i++) {
        if (view_is(spool, t->known[i].spool)) {
            return &t->known[i];
        }
    }
    return NULL;
}

static int remember(struct sink_thread *t, struct view spool, uint64_t sequence, struct err *e)
{
    struct known *found = find_known(t, spool);
    if (found) {
        found->sequence = sequence;
        return 0;
    }
    struct known *grown = reallocarray(t->known, t->known_count + 1, sizeof *grown);
    char *name = grown ? view_copy(spool) : NULL;
    if (grown) {
        t->known = grown;
    }
    if (!name) {
        return err_set(e, ERR_RETRY, "out of memory for a sink's position");
    }
    t->known[t->known_count++] = (struct known){name, sequence};
    return 0;
}

struct question { /* one of the two pointers, or none: a look */
    struct view spool;
    uint64_t *sequence;
    struct sink_latest *latest;
};

static int ask(struct sink_thread *t, const struct question *q, struct err *e)
{
    const struct sink_type *type = t->sink.type;
    if (q->sequence) {
        return type->position(t->sink.sink, t->loader->consumer, q->spool, q->sequence, e);
    }
    if (q->latest) {
        return type->latest ? type->latest(t->sink.sink, t->loader->consumer, q->latest, e) : 0;
    }
    return type->look ? type->look(t->sink.sink, e) : 0;
}

/* Asks, waiting while the sink is away. That it is back is for the caller to say: after a failed write an
 * answer to a question proves little. */
static int ask_until_there(struct sink_thread *t, const struct question *q, struct err *e)
{
    int64_t wait_ms = BACK_OFF_FIRST_MS;
    for (;;) {
        if (ask(t, q, e) == 0) {
            return 0;
        }
        if (e->kind != ERR_RETRY) {
            return err_wrap(e, "sink %s", t->sink.name);
        }
        if (loader_stopping(t->loader)) {
            return given_up(e);
        }
        say_away(t, e);
        if (back_off(t->loader, &wait_ms)) {
            return given_up(e);
        }
    }
}

static int ask_position(struct sink_thread *t, struct view spool, uint64_t *sequence, struct err *e)
{
    return ask_until_there(t, &(struct question){.spool = spool, .sequence = sequence}, e);
}

static int do_question(struct sink_thread *t, struct request *r)
{
    const struct question look = {0}, latest = {.latest = r->latest};
    if ((r->look ? ask_until_there(t, &look, &r->error)
                 : ask_position(t, r->spool, &r->sequence, &r->error)) != 0 ||
        (r->latest && ask_until_there(t, &latest, &r->error) != 0)) {
        return -1;
    }
    say_back(t);
    return r->look ? 0 : remember(t, r->spool, r->sequence, &r->error);
}

/* Makes sure that the position in each spool of the load is known. */
static int learn_positions(struct sink_thread *t, const struct load *load, struct err *e)
{
    for (size_t i = 0; i < load->part_count; i++) {
        uint64_t sequence;
        struct view spool = load->parts[i].spool;
        if (!find_known(t, spool) &&
            (ask_position(t, spool, &sequence, e) != 0 || remember(t, spool, sequence, e) != 0)) {
            return -1;
        }
    }
    return 0;
}

static bool has_all(struct sink_thread *t, const struct load *load)
{
    for (size_t i = 0; i < load->part_count; i++) {
        const struct known *k = find_known(t, load->parts[i].spool);
        if (!k || k->sequence < load->parts[i].last_sequence) {
            return false;
        }
    }
    return true;
}

static int moved(struct sink_thread *t, const struct load_part *part, uint64_t expected, uint64_t found,
                 struct err *e)
{
    return err_set(
        e, ERR_RETRY,
        "sink %s: the position of consumer %s in spool %.*s is %" PRIu64 ", where %" PRIu64 " or %" PRIu64
        " was expected: another roost etl with this name is at work, or the database was restored",
        t->sink.name, t->loader->consumer, VIEW_PRINT(part->spool), found, expected, part->last_sequence);
}

/* After a failed write: 1 when the load was committed after all, 0 when nothing of it was, -1 else. */
static int settle(struct sink_thread *t, const struct load *load, struct err *e)
{
    size_t committed = 0, untouched = 0;
    for (size_t i = 0; i < load->part_count; i++) {
        const struct load_part *part = &load->parts[i];
        uint64_t expected = find_known(t, part->spool)->sequence, found;
        if (ask_position(t, part->spool, &found, e) != 0) {
            return -1;
        }
        if (found != expected && found != part->last_sequence) {
            return moved(t, part, expected, found, e);
        }
        /* A part that the sink had before says nothing about this load. */
        if (expected < part->last_sequence) {
            committed += found == part->last_sequence;
            untouched += found == expected;
        }
    }
    if (committed > 0 && untouched > 0) {
        return err_set(e, ERR_RETRY,
                       "sink %s: only some spools of the batch have moved: another roost etl with the name "
                       "%s is at work",
                       t->sink.name, t->loader->consumer);
    }
    return committed > 0;
}

static int write_until_done(struct sink_thread *t, const struct load *load, struct err *e)
{
    int64_t wait_ms = BACK_OFF_FIRST_MS;
    while (t->sink.type->write(t->sink.sink, load, e) != 0) {
        if (e->kind != ERR_RETRY) {
            return err_wrap(e, "sink %s", t->sink.name);
        }
        say_away(t, e);
        if (loader_stopping(t->loader) || back_off(t->loader, &wait_ms)) {
            return given_up(e);
        }
        int settled = settle(t, load, e);
        if (settled < 0) {
            return -1;
        }
        if (settled > 0) {
            log_notice(&t->log, "the batch had been committed, only the answer was lost");
            break;
        }
    }
    say_back(t);
    return 0;
}

static int do_load(struct sink_thread *t, struct request *r)
{
    struct load own = *r->load; /* each sink has an outcome of its own */
    const struct load *load = &own;
    own.outcome = &r->outcome;
    log_set_batch(load->batch_time);
    if (learn_positions(t, load, &r->error) != 0) {
        return -1;
    }
    if (has_all(t, load)) {
        return 0;
    }
    if (write_until_done(t, load, &r->error) != 0) {
        return -1;
    }
    for (size_t i = 0; i < load->part_count; i++) {
        struct known *k = find_known(t, load->parts[i].spool);
        if (k->sequence < load->parts[i].last_sequence) {
            k->sequence = load->parts[i].last_sequence;
        }
    }
    return 0;
}

/* The next request; NULL: the end. *refused: it is too late for it. A load is begun even when stopping: it is
 * the batch in hand. */
static struct request *next_request(struct sink_thread *t, bool *refused)
{
    struct loader *l = t->loader;
    pthread_mutex_lock(&l->lock);
    while (!t->first && !l->ending) {
        thread_wait(&l->changed, &l->lock, THREAD_NEVER);
    }
    struct request *r = t->first;
    if (r) {
        t->first = r->next;
        if (!t->first) {
            t->end = &t->first;
        }
        t->busy = true;
        *refused = l->cut_off || (l->stopping && !r->load);
    }
    pthread_mutex_unlock(&l->lock);
    return r;
}

static void *sink_main(void *argument)
{
    struct sink_thread *t = argument;
    bool refused = false;
    for (struct request *r; (r = next_request(t, &refused)) != NULL;) {
        watchdog_progress();
        int result = refused ? given_up(&r->error) : r->load ? do_load(t, r) : do_question(t, r);
        log_set_batch(CLOCK_NONE);
        pthread_mutex_lock(&t->loader->lock);
        t->busy = false;
        r->result = result;
        r->done = true;
        pthread_cond_broadcast(&t->loader->changed);
        pthread_mutex_unlock(&t->loader->lock);
    }
    return NULL;
}

/* ---- for who asks ---- */

/* Interrupts the sinks that are still at work, once. The lock is held. */
static void cut_off(struct loader *l)
{
    l->cut_off = true;
    for (size_t i = 0; i < l->started; i++) {
        if (l->threads[i].busy && l->threads[i].sink.type->stop) {
            l->threads[i].sink.type->stop(l->threads[i].sink.sink);
        }
    }
}

/* Gives one request to each sink and waits for all answers. */
static void ask_all(struct loader *l, struct request *requests)
{
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < l->count; i++) {
        *l->threads[i].end = &requests[i];
        l->threads[i].end = &requests[i].next;
    }
    pthread_cond_broadcast(&l->changed);
    for (size_t i = 0; i < l->count; i++) {
        while (!requests[i].done) {
            bool in_time = thread_wait(&l->changed, &l->lock,
                                       l->stopping && !l->cut_off ? l->stop_deadline : THREAD_NEVER);
            if (!in_time && !l->cut_off && !requests[i].done) {
                cut_off(l);
            }
        }
    }
    pthread_mutex_unlock(&l->lock);
}

/* The worst answer: fatal before others. */
static int first_error(const struct loader *l, const struct request *requests, struct err *e)
{
    const struct request *worst = NULL;
    for (size_t i = 0; i < l->count; i++) {
        if (requests[i].result != 0 &&
            (!worst || (worst->error.kind != ERR_FATAL && requests[i].error.kind == ERR_FATAL))) {
            worst = &requests[i];
        }
    }
    if (worst && e) {
        *e = worst->error;
    }
    return worst ? -1 : 0;
}

int loader_position(struct loader *l, struct view spool, uint64_t *sequence, struct err *e)
{
    struct request *requests = calloc(l->count, sizeof *requests);
    if (!requests) {
        return err_set(e, ERR_RETRY, "out of memory for asking the sinks");
    }
    for (size_t i = 0; i < l->count; i++) {
        requests[i].spool = spool;
    }
    ask_all(l, requests);
    int result = first_error(l, requests, e);
    *sequence = requests[0].sequence;
    for (size_t i = 1; i < l->count; i++) {
        *sequence = requests[i].sequence < *sequence ? requests[i].sequence : *sequence;
    }
    free(requests);
    return result;
}

/* What the sinks said, as one: the position that all of them have in the spool that the first one names. */
static void join_latest(const struct loader *l, const struct request *requests, struct sink_latest *latest)
{
    *latest = (struct sink_latest){0};
    for (size_t i = 0; i < l->count; i++) {
        const struct sink_latest *said = requests[i].latest;
        if (requests[i].sequence > 0) {
            *latest = (struct sink_latest){0};
            return;
        }
        if (!latest->spool[0]) {
            *latest = *said;
        } else if (strcmp(said->spool, latest->spool) == 0 && said->sequence < latest->sequence) {
            latest->sequence = said->sequence;
        }
    }
}

int loader_latest(struct loader *l, struct view spool, struct sink_latest *latest, struct err *e)
{
    struct request *requests = calloc(l->count, sizeof *requests);
    struct sink_latest *said = calloc(l->count, sizeof *said);
    int result = -1;
    if (!requests || !said) {
        err_set(e, ERR_RETRY, "out of memory for asking the sinks");
        goto done;
    }
    for (size_t i = 0; i < l->count; i++) {
        requests[i].spool = spool;
        requests[i].latest = &said[i];
    }
    ask_all(l, requests);
    result = first_error(l, requests, e);
    join_latest(l, requests, latest);
done:
    free(requests);
    free(said);
    return result;
}

int loader_look(struct loader *l, struct err *e)
{
    struct request *requests = calloc(l->count, sizeof *requests);
    if (!requests) {
        return err_set(e, ERR_RETRY, "out of memory for asking the sinks");
    }
    for (size_t i = 0; i < l->count; i++) {
        requests[i].look = true;
    }
    ask_all(l, requests);
    int result = first_error(l, requests, e);
    free(requests);
    return result;
}

int loader_load(struct loader *l, const struct load *load, struct err *e)
{
    struct request *requests = calloc(l->count, sizeof *requests);
    if (!requests) {
        return err_set(e, ERR_RETRY, "out of memory for asking the sinks");
    }
    for (size_t i = 0; i < l->count; i++) {
        requests[i].load = load;
    }
    ask_all(l, requests);
    int result = first_error(l, requests, e);
    size_t said = 0;
    while (said + 1 < l->count && !requests[said].outcome.known) {
        said++;
    }
    pthread_mutex_lock(&l->lock);
    l->outcome = requests[said].outcome;
    pthread_mutex_unlock(&l->lock);
    free(requests);
    return result;
}

void loader_outcome(struct loader *l, struct load_outcome *outcome)
{
    pthread_mutex_lock(&l->lock);
    *outcome = l->outcome;
    pthread_mutex_unlock(&l->lock);
}

bool loader_condition(struct loader *l, size_t index, struct loader_condition *c)
{
    if (index >= l->count) {
        return false;
    }
    pthread_mutex_lock(&l->lock);
    *c = l->threads[index].condition;
    pthread_mutex_unlock(&l->lock);
    return true;
}

void loader_watch(struct loader *l, void (*changed)(void *user), void *user)
{
    l->changed_user = changed;
    l->user = user;
}

struct loader *loader_new(const char *consumer, const struct loader_sink *sinks, size_t count, struct err *e)
{
    if (count == 0) {
        err_set(e, ERR_FATAL, "there is no sink: a [sink NAME] section is needed");
        return NULL;
    }
    struct loader *l = calloc(1, sizeof *l);
    if (!l) {
        err_set(e, ERR_RETRY, "out of memory for the loader");
        return NULL;
    }
    l->consumer = consumer;
    pthread_mutex_init(&l->lock, NULL);
    thread_condition_init(&l->changed);
    l->threads = calloc(count, sizeof *l->threads);
    if (!l->threads) {
        err_set(e, ERR_RETRY, "out of memory for %zu sinks", count);
        goto fail;
    }
    l->count = count;
    for (size_t i = 0; i < count; i++) {
        struct sink_thread *t = &l->threads[i];
        *t = (struct sink_thread){
            .loader = l, .sink = sinks[i], .log = {"sink", sinks[i].name}, .end = &t->first};
        t->condition =
            (struct loader_condition){.name = sinks[i].name,
                                      .type = sinks[i].type->config ? sinks[i].type->config->name : "",
                                      .since = clock_wall_ms(),
                                      .error_at = CLOCK_NONE};
        if (thread_start(&t->thread, sink_main, t, "etl sink", e) != 0) {
            goto fail;
        }
        pthread_mutex_lock(&l->lock);
        l->started++;
        pthread_mutex_unlock(&l->lock);
    }
    return l;
fail:
    loader_free(l);
    return NULL;
}

void loader_stop(struct loader *l, int64_t grace_ms)
{
    pthread_mutex_lock(&l->lock);
    if (!l->stopping) {
        l->stopping = true;
        l->stop_deadline = thread_deadline(grace_ms);
    }
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

void loader_free(struct loader *l)
{
    if (!l) {
        return;
    }
    pthread_mutex_lock(&l->lock);
    l->stopping = l->ending = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    for (size_t i = 0; i < l->started; i++) {
        struct sink_thread *t = &l->threads[i];
        pthread_join(t->thread, NULL);
        for (size_t k = 0; k < t->known_count; k++) {
            free(t->known[k].spool);
        }
        free(t->known);
    }
    free(l->threads);
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
