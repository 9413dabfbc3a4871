#include "base/watchdog.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LONGEST_SLICE_MS = 5000, LIMIT_MS = 15000, CALL_LIMITS = 8 };

enum slot_state { SLOT_IDLE, SLOT_BUSY, SLOT_IN_CALL };

struct watchdog_slot {
    atomic_bool used;
    char name[WATCHDOG_NAME_SIZE]; /* written before `used` is set */
    bool errand;                   /* many threads may have it; `pieces` is its state */
    atomic_int state;
    atomic_uint pieces;
    atomic_ulong steps;
    unsigned long seen; /* this and what follows are the judge's */
    int64_t still_us;
    bool hangs;
};

static struct {
    pthread_mutex_t lock; /* for taking and giving back slots */
    atomic_size_t top;    /* no slot from here on was ever used */
    struct watchdog_slot slots[WATCHDOG_SLOTS];
    int64_t limit_us; /* set once, before there are threads */
    int64_t judged_us;
} watchdog = {.lock = PTHREAD_MUTEX_INITIALIZER, .limit_us = (int64_t)LIMIT_MS * 1000};

static struct { /* set once by main; NULL: no test */
    const char *name, *file;
    size_t name_length;
    atomic_flag done;
} hang = {.done = ATOMIC_FLAG_INIT};

static _Thread_local struct watchdog_slot *mine;

static void step(struct watchdog_slot *slot)
{
    atomic_fetch_add_explicit(&slot->steps, 1, memory_order_relaxed);
}

/* The lock is held. */
static struct watchdog_slot *take_slot(const char *name, bool errand)
{
    for (size_t i = 0; i < WATCHDOG_SLOTS; i++) {
        struct watchdog_slot *slot = &watchdog.slots[i];
        if (atomic_load_explicit(&slot->used, memory_order_relaxed)) {
            continue;
        }
        snprintf(slot->name, sizeof slot->name, "%s", name);
        slot->errand = errand;
        atomic_store_explicit(&slot->state, errand ? SLOT_IDLE : SLOT_BUSY, memory_order_relaxed);
        atomic_store_explicit(&slot->pieces, 0, memory_order_relaxed);
        step(slot);
        if (i >= atomic_load_explicit(&watchdog.top, memory_order_relaxed)) {
            atomic_store_explicit(&watchdog.top, i + 1, memory_order_release);
        }
        atomic_store_explicit(&slot->used, true, memory_order_release);
        return slot;
    }
    return NULL;
}

static void stop_here_for_good(const char *name)
{
    if (!hang.name || strlen(name) != hang.name_length || memcmp(name, hang.name, hang.name_length) != 0 ||
        (hang.file && access(hang.file, F_OK)) || atomic_flag_test_and_set(&hang.done)) {
        return;
    }
    for (;;) {
        pause();
    }
}

void watchdog_enter(const char *name)
{
    if (!mine) {
        pthread_mutex_lock(&watchdog.lock);
        mine = take_slot(name, false);
        pthread_mutex_unlock(&watchdog.lock);
    }
}

void watchdog_leave(void)
{
    if (mine) {
        pthread_mutex_lock(&watchdog.lock);
        atomic_store_explicit(&mine->used, false, memory_order_release);
        pthread_mutex_unlock(&watchdog.lock);
        mine = NULL;
    }
}

void watchdog_progress(void)
{
    if (mine) {
        step(mine);
        stop_here_for_good(mine->name);
    }
}

static void enter_state(enum slot_state state)
{
    if (mine) {
        step(mine);
        atomic_store_explicit(&mine->state, state, memory_order_relaxed);
    }
}

void watchdog_rest(void)
{
    enter_state(SLOT_IDLE);
}

void watchdog_resume(void)
{
    enter_state(SLOT_BUSY);
}

void watchdog_call_begins(void)
{
    enter_state(SLOT_IN_CALL);
}

void watchdog_call_ends(void)
{
    enter_state(SLOT_BUSY);
}

int watchdog_slice_ms(void)
{
    int64_t slice = watchdog.limit_us / 2000;
    return slice < LONGEST_SLICE_MS ? (int)(slice > 1 ? slice : 1) : LONGEST_SLICE_MS;
}

/* ---- errands ---- */

static struct watchdog_slot *find_errand(const char *name)
{
    size_t top = atomic_load_explicit(&watchdog.top, memory_order_acquire);
    for (size_t i = 0; i < top; i++) {
        struct watchdog_slot *slot = &watchdog.slots[i];
        if (atomic_load_explicit(&slot->used, memory_order_acquire) && slot->errand &&
            strcmp(slot->name, name) == 0) {
            return slot;
        }
    }
    return NULL;
}

void watchdog_errand_given(const char *name)
{
    pthread_mutex_lock(&watchdog.lock);
    struct watchdog_slot *slot = find_errand(name);
    slot = slot ? slot : take_slot(name, true);
    pthread_mutex_unlock(&watchdog.lock);
    if (slot) {
        step(slot);
        atomic_fetch_add_explicit(&slot->pieces, 1, memory_order_relaxed);
    }
}

void watchdog_errand_runs(const char *name)
{
    struct watchdog_slot *slot = find_errand(name);
    if (slot) {
        step(slot);
        stop_here_for_good(name);
    }
}

void watchdog_errand_done(const char *name)
{
    struct watchdog_slot *slot = find_errand(name);
    if (slot) {
        atomic_fetch_sub_explicit(&slot->pieces, 1, memory_order_relaxed);
        step(slot);
    }
}

/* ---- judging ---- */

void watchdog_set_limit(int64_t limit_us)
{
    watchdog.limit_us = limit_us > 0 ? limit_us : (int64_t)LIMIT_MS * 1000;
    watchdog.judged_us = 0;
}

int watchdog_judge_ms(void)
{
    return watchdog_slice_ms();
}

static enum slot_state state_of(const struct watchdog_slot *slot)
{
    if (slot->errand) {
        return atomic_load_explicit(&slot->pieces, memory_order_relaxed) ? SLOT_IN_CALL : SLOT_IDLE;
    }
    return (enum slot_state)atomic_load_explicit(&slot->state, memory_order_relaxed);
}

/* True: it gets on, or has nothing to do. */
static bool judge_slot(struct watchdog_slot *slot, int64_t passed_us)
{
    unsigned long steps = atomic_load_explicit(&slot->steps, memory_order_relaxed);
    enum slot_state state = state_of(slot);
    if (state == SLOT_IDLE || steps != slot->seen) {
        slot->still_us = 0;
        slot->seen = steps;
        return true;
    }
    slot->still_us += passed_us;
    return slot->still_us <= watchdog.limit_us * (state == SLOT_IN_CALL ? CALL_LIMITS : 1);
}

bool watchdog_judge(void (*say)(void *user, const char *name, int64_t still_ms, bool hangs), void *user)
{
    int64_t now = clock_monotonic_us(), most = (int64_t)watchdog_judge_ms() * 2000;
    int64_t passed = watchdog.judged_us ? now - watchdog.judged_us : 0;
    bool all = true;
    passed = passed > most ? most : passed;
    watchdog.judged_us = now;
    size_t top = atomic_load_explicit(&watchdog.top, memory_order_acquire);
    for (size_t i = 0; i < top; i++) {
        struct watchdog_slot *slot = &watchdog.slots[i];
        int64_t still = slot->still_us;
        bool fine = !atomic_load_explicit(&slot->used, memory_order_acquire) || judge_slot(slot, passed);
        bool news = slot->hangs == fine;
        slot->hangs = !fine;
        all = all && fine;
        if (news && say) {
            say(user, slot->name, (fine ? still : slot->still_us) / 1000, !fine);
        }
    }
    return all;
}

const char *watchdog_hanging(size_t index)
{
    size_t top = atomic_load_explicit(&watchdog.top, memory_order_acquire);
    for (size_t i = 0; i < top; i++) {
        if (watchdog.slots[i].hangs && index-- == 0) {
            return watchdog.slots[i].name;
        }
    }
    return NULL;
}

int watchdog_use_test_hang(const char *spec, struct err *e)
{
    const char *equals = strchr(spec, '=');
    size_t length = equals ? (size_t)(equals - spec) : strlen(spec);
    if (!length || length >= WATCHDOG_NAME_SIZE || (equals && !equals[1])) {
        return err_set(e, ERR_FATAL, "\"%s\" is neither NAME nor NAME=FILE", spec);
    }
    hang.name = spec;
    hang.name_length = length;
    hang.file = equals ? equals + 1 : NULL;
    return 0;
}
