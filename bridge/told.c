/* bridge/told.c - which spools that are gone this spool has told of already.
 *
 * A consumer that found another spool here than the one it knew says so until it has committed something of
 * this one, so it may say it many times: over restarts of its own and of the bridge. The gap event is to be
 * written once. The file `told` names, for each consumer, the spool that is gone and the number that the
 * event has; it is written before the event, since only then no crash can leave an event that the file does
 * not know. Whether the event was written as well is seen by reading it.
 */
#include "base/file.h"
#include "base/json.h"
#include "base/number.h"
#include "bridge/bridge_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TOLD_MAXIMUM = 64 * 1024, PATH_SIZE = 4096 };

struct told {
    struct view consumer, spool;
    uint64_t had, sequence;
};

static bool read_line(struct view line, struct told *told)
{
    told->consumer = numbered_word(&line);
    told->spool = numbered_word(&line);
    return told->consumer.length && told->spool.length == SPOOL_IDENTITY_SIZE - 1 &&
           number_parse_unsigned(numbered_word(&line), &told->had) == 0 &&
           number_parse_unsigned(numbered_word(&line), &told->sequence) == 0 && told->sequence;
}

/* The next good line of what is left of the file; false: the end. */
static bool next_line(struct view *left, struct told *told)
{
    while (left->length) {
        const char *end = memchr(left->at, '\n', left->length);
        size_t length = end ? (size_t)(end - left->at) : left->length;
        struct view line = view_make(left->at, length);
        *left = view_from(*left, length + 1);
        if (read_line(line, told)) {
            return true;
        }
    }
    return false;
}

static void make_path(const struct bridge *b, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/told", b->settings->spool_dir);
}

/* What cannot be read is as if nothing had been told: a gap twice is better than none. */
static void read_file(const struct bridge *b, struct buffer *bytes)
{
    char path[PATH_SIZE];
    struct err e;
    make_path(b, path);
    if (access(path, F_OK) && errno == ENOENT) {
        return;
    }
    if (file_read(path, bytes, &e)) {
        log_warning(&bridge_log, "%s: a gap may be told twice", e.text);
        buffer_reset(bytes);
    }
}

/* Whether this payload is the event that tells of `spool`. Parsed, since a marker in it was escaped. */
static bool tells_of(struct view payload, struct view spool)
{
    cJSON *event = cJSON_ParseWithLength(payload.at, payload.length);
    struct view detail = json_text(json_member(event, "body"), "detail");
    bool tells = view_is(json_text(event, "kind"), "gap") && detail.length &&
                 memmem(detail.at, detail.length, spool.at, spool.length);
    cJSON_Delete(event);
    return tells;
}

static bool is_written(struct bridge *b, const struct told *told)
{
    struct err e;
    struct spool_frame frame;
    if (told->sequence > spool_held(b->spool)) {
        return told->sequence <= spool_last(b->spool); /* on its way: bridge_check_told left none of others */
    }
    struct spool_cursor *cursor = spool_read_from(b->spool, told->sequence, &e);
    bool written = cursor && spool_next(cursor, &frame, &e) == 1 && frame.sequence == told->sequence &&
                   tells_of(frame.payload, told->spool);
    spool_close_cursor(cursor);
    return written;
}

static bool same_gone(const struct bridge_gone *a, const struct bridge_gone *b)
{
    return strcmp(a->consumer, b->consumer) == 0 && strcmp(a->spool, b->spool) == 0 && a->had == b->had;
}

bool bridge_told(struct bridge *b, const struct bridge_gone *gone)
{
    struct buffer bytes = BUFFER(TOLD_MAXIMUM);
    struct told told;
    bool found = false;
    for (size_t i = 0; i < b->loss_count; i++) {
        if (same_gone(&b->losses[i].gone, gone)) {
            return true;
        }
    }
    read_file(b, &bytes);
    for (struct view left = buffer_view(&bytes); !found && next_line(&left, &told);) {
        bool of_bridge = view_is(told.consumer, BRIDGE_ITSELF);
        bool same = view_is(told.spool, gone->spool) &&
                    (of_bridge || (view_is(told.consumer, gone->consumer) && told.had == gone->had));
        found = same && is_written(b, &told);
    }
    buffer_free(&bytes);
    return found;
}

/* Lines of consumers that are known no more go, so the file stays as small as the list of them; and lines of
 * numbers that nothing has, before something else gets them. */
static bool stays(const struct bridge *b, const struct told *told)
{
    char name[sizeof(((struct bridge_gone *)0)->consumer)];
    uint64_t acknowledged;
    snprintf(name, sizeof name, "%.*s", VIEW_PRINT(told->consumer));
    return told->sequence <= spool_last(b->spool) &&
           (view_is(told->consumer, BRIDGE_ITSELF) || spool_acknowledged(b->spool, name, &acknowledged));
}

/* Adds the lines that stay, but for those of the consumer `but`. Returns how many do not. */
static size_t keep_lines(const struct bridge *b, const char *but, struct buffer *kept)
{
    struct buffer bytes = BUFFER(TOLD_MAXIMUM);
    struct told told;
    size_t gone = 0;
    read_file(b, &bytes);
    for (struct view left = buffer_view(&bytes); next_line(&left, &told);) {
        if (view_is(told.consumer, but) || !stays(b, &told)) {
            gone++;
            continue;
        }
        buffer_print(kept, "%.*s %.*s %llu %llu\n", VIEW_PRINT(told.consumer), VIEW_PRINT(told.spool),
                     (unsigned long long)told.had, (unsigned long long)told.sequence);
    }
    buffer_free(&bytes);
    return gone;
}

static void write_file(const struct bridge *b, const struct buffer *lines)
{
    char path[PATH_SIZE];
    struct err e;
    make_path(b, path);
    if (buffer_failed(lines)) {
        log_warning(&bridge_log, "out of memory for %s: a gap may be told twice", path);
    } else if (file_replace(path, buffer_view(lines), 0640, &e)) {
        log_warning(&bridge_log, "%s: a gap may be told twice", e.text);
    }
}

void bridge_check_told(struct bridge *b)
{
    struct buffer kept = BUFFER(TOLD_MAXIMUM);
    if (keep_lines(b, "", &kept)) {
        write_file(b, &kept);
    }
    buffer_free(&kept);
}

void bridge_note_told(struct bridge *b, const struct bridge_gone *gone, uint64_t sequence)
{
    struct buffer kept = BUFFER(TOLD_MAXIMUM);
    keep_lines(b, gone->consumer, &kept);
    buffer_print(&kept, "%s %s %llu %llu\n", gone->consumer, gone->spool, (unsigned long long)gone->had,
                 (unsigned long long)sequence);
    write_file(b, &kept);
    buffer_free(&kept);
}
