/* bridge/spool_parts.h - what the spool's own files share; nobody else includes it.
 *
 * spool.c opens, appends, drops and closes; spool_recover.c reads the folder at opening; spool_sync.c is the
 * group commit and what follows a failed one; spool_consumers.c keeps positions; spool_cursor.c reads;
 * spool_reserve.c keeps room for the last appends.
 */
#ifndef ROOST_BRIDGE_SPOOL_PARTS_H
#define ROOST_BRIDGE_SPOOL_PARTS_H

#include "base/buffer.h"
#include "base/log.h"
#include "bridge/segment.h"
#include "bridge/spool.h"

enum {
    SPOOL_REMEMBERED_DAMAGE = 64,
    SPOOL_RETRY_MS = 1000,
    SPOOL_FOLDER_MAXIMUM = 3072,
    SPOOL_HELD_SIZE = 22 /* the file `held`: 20 digits, LF; and NUL */
};

/* Segments are sorted by `first`; the last one takes the appends. Only the last ones, with bytes not synced,
 * are open. */
struct spool_segment {
    uint64_t first;  /* no record in it has a lower sequence */
    uint64_t size;   /* bytes that count; the file may be longer where it could not be cut */
    uint64_t synced; /* of these, how many are on disk */
    uint64_t taken;  /* size when the running sync began */
    uint64_t id;     /* tells two files of one name apart; from 1, only within this process */
    int fd;          /* -1: closed */
};

struct spool_range {
    uint64_t first, last;
};

struct spool {
    uv_loop_t *loop;
    struct spool_settings settings;
    struct spool_events events;

    struct spool_segment *segments;
    size_t segment_count, segment_capacity;
    uint64_t segment_ids; /* given out so far */
    uint64_t named_ids;   /* up to this one the folder names their files durably */
    uint64_t next;        /* sequence of the next append */
    uint64_t held;
    uint64_t bytes;

    uv_timer_t sync_timer, retry_timer, consumers_timer; /* see each file */
    uv_work_t sync_work;
    int64_t sync_started_ms;
    int *sync_files; /* what the worker syncs; the folder last */
    size_t sync_file_count, sync_file_capacity;
    uint64_t sync_target, sync_ids; /* what held and named_ids become when it is done */

    struct spool_consumer consumers[SPOOL_CONSUMERS_MAXIMUM];
    size_t consumer_count;
    uv_work_t consumers_work;
    struct buffer consumers_bytes; /* what the worker writes */
    struct log_repeat consumers_warned;

    struct spool_range damage[SPOOL_REMEMBERED_DAMAGE]; /* reported already */
    size_t damage_count;

    void (*done)(void *user);
    void *done_user;

    int folder_fd, lock_fd, held_fd; /* held_fd -1: it could not be opened, and nobody is told */
    unsigned open_handles; /* 0 until spool_need_timers: a spool that nobody wrote to closes at once */
    bool refused;          /* an append was refused and `room` is owed */
    bool folder_dirty;     /* files were made that the folder does not durably name yet */
    bool syncing, sync_soon;
    bool failed; /* the last sync failed: appends are refused until its records are in a new file */
    bool consumers_writing, consumers_changed, consumers_failed;
    bool disk_full; /* the last write found no room: what all have is given back as soon as it can be */
    bool closing, ending;
    bool last;         /* the last appends */
    bool reserve_made; /* as large as it is to be */

    /* Written by workers; the loop reads them only when no such work is running. */
    int sync_errno, consumers_status;
    struct err consumers_error;

    char identity[SPOOL_IDENTITY_SIZE], identity_before[SPOOL_IDENTITY_SIZE], token[SPOOL_TOKEN_SIZE];
    char folder[SPOOL_FOLDER_MAXIMUM];
};

/* spool.c */
void spool_report(struct spool *s, struct spool_report report, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A spool that is nothing but its locked folder: 0; 1: another process has it; -1. *s is NULL or for
 * spool_free, which closes nothing that a loop runs. */
int spool_lock_only(const char *folder, struct spool **s, struct err *e);
void spool_free(struct spool *s);
int spool_open_segment(struct spool *s, uint64_t first,
                       struct err *e);                     /* a new last one, with an open file */
int spool_reserve_segment(struct spool *s, struct err *e); /* room in the list for one more */
void spool_remove_segment(struct spool *s, size_t index, bool file_too);
void spool_drop(struct spool *s); /* what all consumers have */
void spool_give_room(struct spool *s);
void spool_need_timers(struct spool *s);
void spool_finish(struct spool *s); /* closing: goes one step on, if nothing is running */
int spool_path(const struct spool *s, char path[SPOOL_FOLDER_MAXIMUM + 64], const char *name);

/* spool_recover.c */
/* The text of a small file of hexadecimal digits; absent or of another form: `text` is left empty. */
int spool_read_digits(const char *folder, const char *name, char *text, size_t digits, struct err *e);
int spool_recover(struct spool *s, struct err *e);
int spool_write_identity(struct spool *s, struct err *e);

/* spool_sync.c */
void spool_tell_held(const struct spool *s); /* into the file `held`, for spool_look and the next opening */
void spool_plan_sync(struct spool *s);
bool spool_dirty(const struct spool *s);
void spool_on_retry(uv_timer_t *timer);

int spool_rescue(struct spool *s); /* after a failed sync: 0, or -1: not now, and nothing has changed */

/* spool_reserve.c */
void spool_keep_reserve(struct spool *s);   /* makes it, as far as there is room; else a later call does */
uint64_t spool_most(const struct spool *s); /* bytes that all segments may have now */

/* spool_consumers.c */
/* The file's lines into `consumers`, which has SPOOL_CONSUMERS_MAXIMUM places; no file: none. */
int spool_load_consumers(const char *folder, struct spool_consumer *consumers, size_t *count, struct err *e);
/* Adds "etl (12 of them), …" for each consumer that lacks frames of [first, last]. */
void spool_name_owed(const struct spool *s, uint64_t first, uint64_t last, struct buffer *text);
int spool_read_consumers(struct spool *s, struct err *e);
void spool_write_consumers(struct spool *s);              /* on a worker, when none is writing */
int spool_save_consumers(struct spool *s, struct err *e); /* here and now; at opening */
void spool_reset_consumers(struct spool *s);              /* all back to the oldest kept */
uint64_t spool_all_acknowledged(const struct spool *s);   /* lowest position; 0 with no consumer */
void spool_on_consumers_timer(uv_timer_t *timer);

/* spool_cursor.c: reports [first, last] as missing, once; or has it reported already */
void spool_remember_damage(struct spool *s, uint64_t first, uint64_t last);
void spool_note_damage(struct spool *s, uint64_t first, uint64_t last, uint64_t bytes, const char *name);

#endif
