/* The group commit: one sync for everything appended before it began, on a worker, at most one at a time.
 *
 * When a sync fails, the kernel may have forgotten the pages and would call the next sync of the same file a
 * success (fsync(2), "ERRORS"). So the file is never synced again: its records that are not held are copied,
 * as far as their checksums are right, to a new segment, which is synced in its place; appends are refused
 * until that is done.
 */
#include "base/clock.h"
#include "base/watchdog.h"
#include "bridge/spool_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool spool_dirty(const struct spool *s)
{
    return s->held + 1 < s->next || s->folder_dirty;
}

/* A hint for who looks from outside and for the next opening, true whenever it is read: what was synced stays
 * so. Hence no sync of its own, and a failure is nobody's concern. */
void spool_tell_held(const struct spool *s)
{
    char text[SPOOL_HELD_SIZE];
    snprintf(text, sizeof text, "%020llu\n", (unsigned long long)s->held);
    ssize_t written = s->held_fd < 0 ? 0 : pwrite(s->held_fd, text, sizeof text - 1, 0);
    (void)written;
}

/* On a worker thread: touches nothing but the fields of the running sync. */
static void sync_files(uv_work_t *work)
{
    struct spool *s = work->data;
    watchdog_errand_runs("spool sync");
    s->sync_errno = 0;
    for (size_t i = 0; i < s->sync_file_count && !s->sync_errno; i++) {
        bool folder = s->sync_files[i] == s->folder_fd;
        if (folder ? fsync(s->folder_fd) : s->settings.sync_file(s->sync_files[i])) {
            s->sync_errno = errno ? errno : EIO;
        }
    }
}

static void close_synced(struct spool *s)
{
    for (size_t i = 0; i + 1 < s->segment_count; i++) {
        struct spool_segment *segment = &s->segments[i];
        if (segment->fd >= 0 && segment->synced == segment->size) {
            close(segment->fd);
            segment->fd = -1;
        }
    }
}

static void sync_failed(struct spool *s)
{
    unsigned long long first = s->held + 1, last = s->next - 1;
    s->failed = true;
    s->folder_dirty = true;
    spool_report(
        s, (struct spool_report){.what = SPOOL_SYNC_FAILED, .first = first, .last = last},
        "the spool %s cannot be synced: %s; no posts are taken until frames %llu to %llu are in a new file",
        s->folder, strerror(s->sync_errno), first, last);
    if (!s->closing) {
        uv_timer_start(&s->retry_timer, spool_on_retry, SPOOL_RETRY_MS, 0);
    }
}

static void after_sync(uv_work_t *work, int status)
{
    struct spool *s = work->data;
    watchdog_errand_done("spool sync");
    s->syncing = false;
    if (s->sync_errno || status) {
        s->sync_errno = s->sync_errno ? s->sync_errno : EIO;
        sync_failed(s);
        spool_finish(s);
        return;
    }
    for (size_t i = 0; i < s->segment_count; i++) {
        if (s->segments[i].taken > s->segments[i].synced) {
            s->segments[i].synced = s->segments[i].taken;
        }
    }
    bool news = s->sync_target > s->held;
    s->held = s->sync_target;
    s->named_ids = s->sync_ids;
    if (news) {
        spool_tell_held(s);
    }
    close_synced(s);
    if (news && s->events.held) {
        s->events.held(s->events.user, s->held);
    }
    spool_drop(s);
    if (s->closing) {
        spool_finish(s);
    } else if (spool_dirty(s)) {
        spool_plan_sync(s);
    }
}

static int add_sync_file(struct spool *s, int fd)
{
    if (s->sync_file_count == s->sync_file_capacity) {
        size_t capacity = s->sync_file_capacity ? 2 * s->sync_file_capacity : 8;
        int *grown = realloc(s->sync_files, capacity * sizeof *grown);
        if (!grown) {
            return -1;
        }
        s->sync_files = grown;
        s->sync_file_capacity = capacity;
    }
    s->sync_files[s->sync_file_count++] = fd;
    return 0;
}

static void start_sync(struct spool *s)
{
    s->sync_file_count = 0;
    s->sync_errno = 0;
    for (size_t i = 0; i < s->segment_count; i++) {
        struct spool_segment *segment = &s->segments[i];
        segment->taken = segment->size;
        if (segment->fd >= 0 && segment->synced < segment->size && add_sync_file(s, segment->fd)) {
            s->sync_errno = ENOMEM;
        }
    }
    if (s->folder_dirty && add_sync_file(s, s->folder_fd)) {
        s->sync_errno = ENOMEM;
    }
    s->sync_started_ms = clock_real_ms();
    s->sync_soon = false;
    s->sync_target = s->next - 1;
    s->sync_ids = s->segment_ids; /* the folder is synced too if any of them is not named yet */
    s->sync_work.data = s;
    if (s->sync_errno || uv_queue_work(s->loop, &s->sync_work, sync_files, after_sync)) {
        s->sync_errno = s->sync_errno ? s->sync_errno : ENOMEM;
        sync_failed(s);
        return;
    }
    watchdog_errand_given("spool sync");
    s->folder_dirty = false;
    s->syncing = true;
}

static void on_sync_timer(uv_timer_t *timer)
{
    struct spool *s = timer->data;
    if (!s->syncing && !s->failed && spool_dirty(s)) {
        start_sync(s);
    }
}

/* Through a timer even when it is due, so that all appends of one turn of the loop share a sync. */
void spool_plan_sync(struct spool *s)
{
    spool_need_timers(s);
    if (s->syncing || s->failed || (uv_is_active((uv_handle_t *)&s->sync_timer) && !s->sync_soon)) {
        return;
    }
    int64_t due = s->sync_started_ms ? s->sync_started_ms + s->settings.sync_ms - clock_real_ms() : 0;
    uv_update_time(s->loop);
    uv_timer_start(&s->sync_timer, on_sync_timer, due > 0 && !s->sync_soon ? (uint64_t)due : 0, 0);
}

void spool_sync_now(struct spool *s)
{
    if (s->closing) {
        if (!s->syncing && !s->failed && spool_dirty(s)) {
            start_sync(s);
        }
        if (s->failed) {
            spool_finish(s);
        }
        return;
    }
    s->sync_soon = true;
    spool_plan_sync(s);
}

/* Copies the records that are not held from the dirty segments into an open file. */
static int copy_records(struct spool *s, int into, uint64_t *size)
{
    uint64_t next = s->held + 1;
    int result = 0;
    for (size_t i = 0; i < s->segment_count && result == 0; i++) {
        const struct spool_segment *segment = &s->segments[i];
        if (segment->fd < 0 || segment->synced == segment->size) {
            continue;
        }
        struct segment_reader reader;
        struct segment_record record;
        segment_reader_init(&reader, segment->fd, segment->synced);
        while (result == 0 && (result = segment_read(&reader, segment->size, &record, NULL)) > 0) {
            result = 0;
            if (record.sequence < next) {
                continue;
            }
            unsigned char head[SEGMENT_HEAD_SIZE];
            segment_make_head(head, record.sequence, record.payload);
            if (pwrite(into, head, sizeof head, (off_t)*size) != (ssize_t)sizeof head ||
                pwrite(into, record.payload.at, record.payload.length, (off_t)(*size + sizeof head)) !=
                    (ssize_t)record.payload.length) {
                result = -1;
                break;
            }
            *size += record.end - record.offset;
            next = record.sequence + 1;
        }
        segment_reader_free(&reader);
        result = result < 0 ? -1 : 0;
    }
    return result;
}

/* Segments that hold nothing but copied records go; the one that was partly held ends there. The file named
 * after `first` is the copy by now and stays. */
static void end_failed_segments(struct spool *s, uint64_t first)
{
    for (size_t i = s->segment_count; i; i--) {
        struct spool_segment *segment = &s->segments[i - 1];
        if (segment->first >= first) {
            spool_remove_segment(s, i - 1, segment->first != first);
            continue;
        }
        if (segment->fd < 0 || segment->synced == segment->size) {
            continue;
        }
        /* Should this fail, the copies count: a record at or above the next segment's first is passed over.
         */
        int cut = ftruncate(segment->fd, (off_t)segment->synced);
        (void)cut;
        s->bytes -= segment->size - segment->synced;
        segment->size = segment->synced;
        close(segment->fd);
        segment->fd = -1;
    }
}

/* After a failed sync: everything not held goes to a new last segment. -1: not now, and nothing has changed.
 */
int spool_rescue(struct spool *s)
{
    int fd = openat(s->folder_fd, "rescue.new", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    uint64_t size = 0, first = s->held + 1;
    char name[SEGMENT_NAME_SIZE];
    segment_format_name(name, first);
    if (fd < 0) {
        return -1;
    }
    if (spool_reserve_segment(s, NULL) || copy_records(s, fd, &size) ||
        renameat(s->folder_fd, "rescue.new", s->folder_fd, name)) {
        close(fd);
        unlinkat(s->folder_fd, "rescue.new", 0);
        return -1;
    }
    end_failed_segments(s, first);
    s->segments[s->segment_count++] =
        (struct spool_segment){.first = first, .size = size, .id = ++s->segment_ids, .fd = fd};
    s->bytes += size;
    s->folder_dirty = true;
    s->failed = false;
    return 0;
}

void spool_on_retry(uv_timer_t *timer)
{
    struct spool *s = timer->data;
    bool unheld = s->held + 1 < s->next;
    s->failed =
        s->failed && unheld; /* a folder alone is simply synced again: its next file is a new change to it */
    if (s->failed && spool_rescue(s)) {
        uv_timer_start(timer, spool_on_retry, SPOOL_RETRY_MS, 0);
        return;
    }
    if (spool_dirty(s)) {
        spool_plan_sync(s);
    }
    spool_keep_reserve(s);
    spool_give_room(s);
}
