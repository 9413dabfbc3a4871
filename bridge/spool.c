#include "bridge/spool.h"

#include "base/file.h"
#include "bridge/frame.h"
#include "bridge/spool_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <unistd.h>

#define SEGMENT_BYTES INT64_C(67108864)

uint64_t spool_last(const struct spool *s)
{
    return s->next - 1;
}

uint64_t spool_held(const struct spool *s)
{
    return s->held;
}

uint64_t spool_first(const struct spool *s)
{
    return s->bytes ? s->segments[0].first : s->next;
}

uint64_t spool_bytes(const struct spool *s)
{
    return s->bytes;
}

const char *spool_identity(const struct spool *s)
{
    return s->identity;
}

const char *spool_identity_before(const struct spool *s)
{
    return s->identity_before;
}

const char *spool_token(const struct spool *s)
{
    return s->token;
}

int spool_path(const struct spool *s, char path[SPOOL_FOLDER_MAXIMUM + 64], const char *name)
{
    return snprintf(path, SPOOL_FOLDER_MAXIMUM + 64, "%s/%s", s->folder, name);
}

void spool_report(struct spool *s, struct spool_report report, const char *format, ...)
{
    if (!s->events.report) {
        return;
    }
    char text[ERR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    report.text = text;
    s->events.report(s->events.user, &report);
}

/* One writer: an flock(2) that the kernel gives back however the process ends. 1: another process has it. */
static int lock_folder(struct spool *s, struct err *e)
{
    s->lock_fd = openat(s->folder_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (s->lock_fd < 0) {
        return err_set(e, err_kind_of(errno), "cannot open %s/lock: %s", s->folder, strerror(errno));
    }
    char text[32] = "";
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB)) {
        ssize_t n = pread(s->lock_fd, text, sizeof text - 1, 0);
        text[n > 0 ? strspn(text, "0123456789") : 0] = '\0';
        err_set(e, ERR_FATAL,
                "the spool %s is in use by process %s: stop that one, or give this one another spool_dir",
                s->folder, text[0] ? text : "(unknown)");
        return 1;
    }
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    /* The number is only for that message: a full disk must not keep the spool from opening. */
    ssize_t written = ftruncate(s->lock_fd, 0) ? -1 : pwrite(s->lock_fd, text, (size_t)n, 0);
    (void)written;
    return 0;
}

static struct spool *make_spool(uv_loop_t *loop, const struct spool_settings *settings,
                                const struct spool_events *events, struct err *e)
{
    struct spool *s = calloc(1, sizeof *s);
    if (!s) {
        err_set(e, ERR_RETRY, "out of memory");
        return NULL;
    }
    s->loop = loop;
    s->settings = *settings;
    s->events = *events;
    s->folder_fd = s->lock_fd = s->held_fd = -1;
    s->next = 1;
    s->consumers_bytes = BUFFER(SPOOL_CONSUMERS_MAXIMUM * 96);
    if (s->settings.segment_bytes <= 0) {
        int64_t part = settings->maximum_bytes / 16;
        s->settings.segment_bytes = part < SEGMENT_BYTES ? part : SEGMENT_BYTES;
    }
    if (!s->settings.sync_file) {
        s->settings.sync_file = fdatasync;
    }
    int n = snprintf(s->folder, sizeof s->folder, "%s", settings->folder);
    if (n < 0 || (size_t)n >= sizeof s->folder) {
        err_set(e, ERR_FATAL, "the spool's path is longer than %d bytes", SPOOL_FOLDER_MAXIMUM);
        free(s);
        return NULL;
    }
    return s;
}

void spool_free(struct spool *s)
{
    if (!s) {
        return;
    }
    for (size_t i = 0; i < s->segment_count; i++) {
        if (s->segments[i].fd >= 0) {
            close(s->segments[i].fd);
        }
    }
    free(s->segments);
    free(s->sync_files);
    buffer_free(&s->consumers_bytes);
    if (s->held_fd >= 0) {
        close(s->held_fd);
    }
    if (s->lock_fd >= 0) {
        close(s->lock_fd);
    }
    if (s->folder_fd >= 0) {
        close(s->folder_fd);
    }
    free(s);
}

static void init_timer(struct spool *s, uv_timer_t *timer)
{
    uv_timer_init(s->loop, timer);
    timer->data = s;
    s->open_handles++;
}

void spool_need_timers(struct spool *s)
{
    if (!s->open_handles) {
        init_timer(s, &s->sync_timer);
        init_timer(s, &s->retry_timer);
        init_timer(s, &s->consumers_timer);
    }
}

static int open_folder(struct spool *s, struct err *e)
{
    s->folder_fd = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return s->folder_fd < 0
               ? err_set(e, err_kind_of(errno), "cannot open the spool %s: %s", s->folder, strerror(errno))
               : 0;
}

int spool_lock_only(const char *folder, struct spool **s, struct err *e)
{
    const struct spool_settings settings = {.folder = folder};
    const struct spool_events events = {0};
    *s = make_spool(NULL, &settings, &events, e);
    return !*s || open_folder(*s, e) ? -1 : lock_folder(*s, e);
}

struct spool *spool_open(uv_loop_t *loop, const struct spool_settings *settings,
                         const struct spool_events *events, struct err *e)
{
    struct spool *s = make_spool(loop, settings, events, e);
    if (!s) {
        return NULL;
    }
    if (file_make_folder(s->folder, e)) {
        err_wrap(e, "the spool ([bridge] spool_dir = %s)", s->folder);
        goto failed;
    }
    if (open_folder(s, e) || lock_folder(s, e) || spool_recover(s, e)) {
        goto failed;
    }
    return s;

failed:
    spool_free(s);
    return NULL;
}

int spool_reserve_segment(struct spool *s, struct err *e)
{
    if (s->segment_count < s->segment_capacity) {
        return 0;
    }
    size_t capacity = s->segment_capacity ? 2 * s->segment_capacity : 16;
    struct spool_segment *grown = realloc(s->segments, capacity * sizeof *grown);
    if (!grown) {
        return err_set(e, ERR_RETRY, "out of memory");
    }
    s->segments = grown;
    s->segment_capacity = capacity;
    return 0;
}

int spool_open_segment(struct spool *s, uint64_t first, struct err *e)
{
    if (spool_reserve_segment(s, e)) {
        return -1;
    }
    char name[SEGMENT_NAME_SIZE];
    segment_format_name(name, first);
    int fd = openat(s->folder_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0) {
        return err_set(e, ERR_RETRY, "cannot make %s/%s: %s", s->folder, name, strerror(errno));
    }
    s->segments[s->segment_count++] =
        (struct spool_segment){.first = first, .id = ++s->segment_ids, .fd = fd};
    s->folder_dirty = true;
    return 0;
}

void spool_remove_segment(struct spool *s, size_t index, bool file_too)
{
    struct spool_segment *segment = &s->segments[index];
    if (file_too) {
        char name[SEGMENT_NAME_SIZE];
        segment_format_name(name, segment->first);
        unlinkat(s->folder_fd, name, 0);
    }
    if (segment->fd >= 0) {
        close(segment->fd);
    }
    s->bytes -= segment->size;
    s->segment_count--;
    memmove(segment, segment + 1, (s->segment_count - index) * sizeof *segment);
}

void spool_give_room(struct spool *s)
{
    if (s->refused && !s->failed && !s->closing) {
        s->refused = false;
        if (s->events.room) {
            s->events.room(s->events.user);
        }
    }
}

/* The oldest segment may go when its bytes are no part of a sync and an append goes elsewhere, to a file
 * whose name is durable: power loss might else take both, and the numbers would begin at 1 again. */
static bool oldest_removable(const struct spool *s)
{
    return s->segment_count > 1 && s->segments[0].synced == s->segments[0].size && s->segments[0].fd < 0 &&
           s->segments[1].id <= s->named_ids;
}

/* The oldest goes at the maximum, whoever lacks it. */
static bool may_drop(const struct spool *s)
{
    return s->settings.drop_oldest || !s->consumer_count;
}

/* Removes what all consumers have; how many segments that were. */
static size_t drop_acknowledged(struct spool *s)
{
    uint64_t acknowledged = spool_all_acknowledged(s);
    size_t before = s->segment_count;
    while (oldest_removable(s) && s->segments[1].first - 1 <= acknowledged) {
        spool_remove_segment(s, 0, true);
    }
    return before - s->segment_count;
}

static void drop_oldest(struct spool *s)
{
    uint64_t owed = spool_all_acknowledged(s), last = s->segments[1].first - 1;
    uint64_t first = s->segments[0].first > owed ? s->segments[0].first : owed + 1;
    uint64_t bytes = s->segments[0].size, count = last - first + 1;
    spool_remove_segment(s, 0, true);
    if (first > last) {
        return;
    }
    struct buffer who = BUFFER(ERR_TEXT_SIZE / 2); /* names that do not fit are left out */
    spool_name_owed(s, first, last, &who);
    spool_report(
        s, (struct spool_report){.what = SPOOL_DROPPED, .first = first, .last = last, .bytes = bytes},
        "the spool reached spool_max: frames %llu to %llu (%llu in all) were dropped%s%.*s",
        (unsigned long long)first, (unsigned long long)last, (unsigned long long)count,
        who.length ? ", not acknowledged by " : "; no consumer is known", VIEW_PRINT(buffer_view(&who)));
    buffer_free(&who);
}

static int refuse(struct spool *s, struct err *e, const char *why)
{
    s->refused = true;
    if (s->folder_dirty) {
        spool_plan_sync(s); /* a segment may go once the name of the one behind it is durable */
    }
    return err_set(e, ERR_RETRY, "the spool %s takes no posts: %s", s->folder, why);
}

/* Begins a new last segment; the old one is closed once it is synced (spool_sync.c). */
static int roll(struct spool *s, struct err *e)
{
    struct spool_segment *last = &s->segments[s->segment_count - 1];
    if (last->size == 0) {
        return 0;
    }
    if (last->synced == last->size && !s->syncing && last->fd >= 0) {
        close(last->fd);
        last->fd = -1;
    }
    return spool_open_segment(s, s->next, e);
}

void spool_drop(struct spool *s)
{
    bool all = s->bytes && spool_all_acknowledged(s) >= s->next - 1;
    /* An append was refused since the oldest was not synced yet; now it can go. */
    bool by_force = s->refused && may_drop(s) && oldest_removable(s);
    if (drop_acknowledged(s) || by_force) {
        spool_keep_reserve(s);
        spool_give_room(s);
    } else if (all && s->refused && !s->failed && !s->closing) {
        /* The last segment can go too, when a new one is there and durably named: the sync comes back here.
         */
        if (roll(s, NULL)) {
            spool_give_room(s); /* the next append tries to make one, and says why it cannot */
        } else {
            spool_plan_sync(s);
        }
    }
}

static int make_room(struct spool *s, size_t need, struct err *e)
{
    uint64_t most = (uint64_t)s->settings.maximum_bytes;
    struct spool_segment *last = &s->segments[s->segment_count - 1];
    bool over = s->bytes + need > most;
    bool wanted = over || s->disk_full;
    bool finished = wanted && last->size && spool_all_acknowledged(s) >= s->next - 1;
    if ((finished || last->size >= (uint64_t)s->settings.segment_bytes) && roll(s, e)) {
        return -1;
    }
    if (finished) {
        drop_acknowledged(s);
    }
    while (s->bytes + need > most && may_drop(s) && oldest_removable(s)) {
        drop_oldest(s);
    }
    if (s->bytes + need > spool_most(s)) {
        return refuse(
            s, e, "spool_max is reached; it goes on when the consumers have acknowledged the oldest frames");
    }
    return 0;
}

/* Writes a record at the end of the last segment: whole, or nothing of it counts. */
static int write_record(struct spool *s, struct view payload, struct err *e)
{
    struct spool_segment *last = &s->segments[s->segment_count - 1];
    unsigned char head[SEGMENT_HEAD_SIZE];
    segment_make_head(head, s->next, payload);
    struct iovec parts[2] = {{head, sizeof head},
                             {(char *)payload.at /* pwritev does not write to it */, payload.length}};
    size_t whole = sizeof head + payload.length, done = 0;
    while (done < whole) {
        ssize_t n = done < sizeof head ? pwritev(last->fd, parts, 2, (off_t)(last->size + done))
                                       : pwrite(last->fd, payload.at + (done - sizeof head), whole - done,
                                                (off_t)(last->size + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        done += (size_t)n;
        if (done < sizeof head) {
            parts[0] = (struct iovec){head + done, sizeof head - done};
        }
    }
    if (done == whole) {
        s->disk_full = false;
        last->size += whole;
        s->bytes += whole;
        return 0;
    }
    int why = errno;
    s->disk_full = why == ENOSPC || why == EDQUOT;
    /* Should this fail, the rest of a record stays behind: it does not count, and the next append overwrites
     * it. */
    int cut = ftruncate(last->fd, (off_t)last->size);
    (void)cut;
    uv_timer_start(&s->retry_timer, spool_on_retry, SPOOL_RETRY_MS, 0);
    return refuse(s, e, why ? strerror(why) : "a short write");
}

int spool_append(struct spool *s, struct view payload, uint64_t *sequence, struct err *e)
{
    if (!payload.length || payload.length > FRAME_PAYLOAD_MAXIMUM) {
        return err_set(e, ERR_REJECT, "a frame has 1 to %d bytes, not %zu", FRAME_PAYLOAD_MAXIMUM,
                       payload.length);
    }
    spool_need_timers(s);
    if (s->failed) {
        return refuse(s, e, "its disk failed to sync; what is not held yet is being copied to a new file");
    }
    if (make_room(s, SEGMENT_HEAD_SIZE + payload.length, e)) {
        s->refused = true;
        if (s->bytes + SEGMENT_HEAD_SIZE + payload.length <= (uint64_t)s->settings.maximum_bytes) {
            uv_timer_start(&s->retry_timer, spool_on_retry, SPOOL_RETRY_MS, 0);
        }
        return -1;
    }
    if (write_record(s, payload, e)) {
        return -1;
    }
    *sequence = s->next++;
    spool_plan_sync(s);
    return 0;
}

int spool_renew(struct spool *s, struct err *e)
{
    char old[SPOOL_IDENTITY_SIZE];
    memcpy(old, s->identity, sizeof old);
    if (spool_write_identity(s, e)) {
        memcpy(s->identity, old, sizeof old);
        return -1;
    }
    memcpy(s->identity_before, old, sizeof old);
    spool_reset_consumers(s);
    spool_report(s,
                 (struct spool_report){.what = SPOOL_NEW_IDENTITY, .first = spool_first(s), .last = s->held},
                 "the spool %s was wiped or restored from a copy: its identity is now %s, was %s", s->folder,
                 s->identity, old);
    return 0;
}

static void end(struct spool *s)
{
    void (*done)(void *user) = s->done;
    void *user = s->done_user;
    spool_free(s);
    done(user);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct spool *s = handle->data;
    if (--s->open_handles == 0) {
        end(s);
    }
}

void spool_finish(struct spool *s)
{
    if (!s->closing || s->syncing || s->consumers_writing || s->ending) {
        return;
    }
    if (spool_dirty(s) && !s->failed) {
        spool_sync_now(s);
        return;
    }
    if (s->consumers_changed && !s->consumers_failed) {
        spool_write_consumers(s);
        return;
    }
    s->ending = true;
    if (!s->open_handles) {
        end(s);
        return;
    }
    uv_close((uv_handle_t *)&s->sync_timer, on_handle_closed);
    uv_close((uv_handle_t *)&s->retry_timer, on_handle_closed);
    uv_close((uv_handle_t *)&s->consumers_timer, on_handle_closed);
}

void spool_close(struct spool *s, void (*done)(void *user), void *user)
{
    s->closing = true;
    spool_took_last(s);
    s->events.held = NULL;
    s->events.room = NULL;
    s->done = done;
    s->done_user = user;
    if (!s->consumers_writing) {
        s->consumers_failed = false; /* one last try */
    }
    if (s->open_handles) {
        uv_timer_stop(&s->retry_timer);
        uv_timer_stop(&s->consumers_timer);
        uv_timer_stop(&s->sync_timer);
    }
    spool_finish(s);
}
