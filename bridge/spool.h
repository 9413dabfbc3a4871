/* bridge/spool.h - what the bridge keeps on disk: every post and event, numbered, until all consumers have
 * it.
 *
 * The problem: nothing that was given to a consumer may be lost or change its number, whoever is killed and
 * whenever, and the loop that takes posts from the network may not wait for a disk. The design: append-only
 * segment files; an append is a write(2), a sync (fdatasync, on libuv's workers, one at a time) makes
 * everything appended before it *held*, and only what is held may leave the machine's memory as a promise.
 * Numbers begin at 1 and only rise; they may skip (after damage), they never repeat under one identity.
 *
 * Guaranteed: after a crash or power loss everything that was ever held is there, or reported as damaged. A
 * failed sync is never taken for success, nor repeated on the same file: what it left open is copied to a new
 * file.
 *
 * What was received when the listener is told to stop must fit even then: for these last appends a file
 * `reserve` keeps room on the disk, and they may go over the maximum by as much.
 *
 * All functions run on the loop's thread. The folder holds `lock`, `identity`, `token`, `consumers`,
 * `reserve` and the segments; bridge/PROTOCOL.md, "On disk".
 */
#ifndef ROOST_BRIDGE_SPOOL_H
#define ROOST_BRIDGE_SPOOL_H

#include "base/err.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum {
    SPOOL_IDENTITY_SIZE = 33, /* 32 hexadecimal digits and NUL */
    SPOOL_TOKEN_SIZE = 65,    /* 64 hexadecimal digits and NUL */
    SPOOL_CONSUMERS_MAXIMUM = 64,
    /* A source that is refused has one message (1 MiB at most), the 16 KiB behind it, and 16 KiB that libcurl
     * read, decompressed; some 100 KiB in all as networks send. As frames with store_raw that is up to twice
     * as much. */
    SPOOL_RESERVE = 4 * 1024 * 1024,
    SPOOL_RESERVE_FILES = 256 * 1024 /* of it, for small files: consumers, the ledger of the sources */
};

struct spool;

struct spool_consumer {
    char name[64];
    uint64_t acknowledged; /* everything up to this sequence is committed */
};

struct spool_settings {
    const char *folder;
    int64_t maximum_bytes; /* of all segments together; the reserve comes on top */
    int64_t
        segment_bytes; /* a new segment begins at this size; 0: a sixteenth of the maximum, at most 64 MiB */
    int64_t sync_ms;   /* least time between the starts of two syncs */
    bool drop_oldest;  /* at the maximum: drop the oldest segment; false: refuse appends. While no consumer is
                        * known  nobody is owed anything, and the oldest goes in either case. */
    int (*sync_file)(
        int fd); /* NULL: fdatasync(2). Tests put a failing one here. Called on worker threads. */
};

enum spool_trouble {
    SPOOL_CUT,     /* a torn tail was cut off at opening; first > last: no whole record was in it */
    SPOOL_CORRUPT, /* damage in the middle: first to last are missing */
    SPOOL_DROPPED, /* first to last went because of the maximum, and not all consumers had acknowledged them
                    */
    SPOOL_NEW_IDENTITY, /* a consumer was ahead of the end: wiped or restored from a copy */
    SPOOL_SYNC_FAILED   /* first to last are not held yet: they are copied to a new segment */
};

struct spool_report {
    enum spool_trouble what;
    uint64_t first, last; /* sequences */
    uint64_t bytes;       /* damaged, cut, or of the segment that went */
    const char *text;     /* the whole message, for the log */
};

struct spool_events { /* on the loop's thread; `report` also during spool_open. NULL: not called. */
    void (*held)(void *user, uint64_t sequence);
    void (*room)(void *user); /* after a refused append: it is worth trying again */
    void (*report)(void *user, const struct spool_report *report);
    void *user;
};

/* Makes the folder if there is none, locks and recovers it; blocks for the time that takes (the last segment
 * is read whole and synced). NULL: ERR_FATAL for a folder that cannot be used or is locked by another process
 * (the message has its number), ERR_RETRY for a full disk or memory. */
struct spool *spool_open(uv_loop_t *loop, const struct spool_settings *settings,
                         const struct spool_events *events, struct err *e);

/* Appends 1 to FRAME_PAYLOAD_MAXIMUM bytes. ERR_RETRY: full (the maximum or the disk), or the disk fails;
 * nothing was taken, `room` follows. ERR_REJECT: too long or empty. */
int spool_append(struct spool *s, struct view payload, uint64_t *sequence, struct err *e);

/* The last appends of this process: they may go over the maximum by the reserve without the part for files,
 * and the reserve on disk is given up for them, but for that part. The reserve is SPOOL_RESERVE, at most a
 * quarter of the maximum; on disk at most a quarter of what was free there as well. It is made at opening, or
 * once there is room. */
void spool_take_last(struct spool *s);

/* The last one is appended: the rest of the reserve goes too. (spool_close does it in any case.) */
void spool_took_last(struct spool *s);

uint64_t spool_last(const struct spool *s);  /* newest appended; 0: none ever */
uint64_t spool_held(const struct spool *s);  /* newest synced; 0: none ever */
uint64_t spool_first(const struct spool *s); /* oldest kept; last + 1 when nothing is kept */
uint64_t spool_bytes(const struct spool *s); /* on disk */
const char *spool_identity(const struct spool *s);
const char *spool_token(const struct spool *s);

/* Makes a consumer known (if it is not): from now on segments wait for it. ERR_RETRY: SPOOL_CONSUMERS_MAXIMUM
 * are. */
int spool_add_consumer(struct spool *s, const char *name, struct err *e);

/* Everything up to `sequence` is committed by this consumer. Lower than before: nothing happens. The caller
 * has checked that it is not beyond what the consumer was sent. */
void spool_acknowledge(struct spool *s, const char *name, uint64_t sequence);

/* A known consumer says that it stopped lower than it had acknowledged (its database was restored): what it
 * lacks and is still kept is kept for it again. Higher: nothing happens, it is no acknowledgement. */
void spool_rewind(struct spool *s, const char *name, uint64_t sequence);

/* The position of a known consumer; false: not known. */
bool spool_acknowledged(const struct spool *s, const char *name, uint64_t *sequence);

/* All known consumers; valid until one is added or forgotten. */
const struct spool_consumer *spool_consumers(const struct spool *s, size_t *count);

/* A consumer that will not come back: from now on nothing is kept for it, and what was kept for it alone goes
 * at once. ERR_REJECT: it is not known. ERR_RETRY: the positions are being written just now, nothing has
 * changed; or they could not be written: then it is forgotten here, and the file follows as soon as it can
 * (the message says so). Blocks for the time of one small file's fsync. */
int spool_forget_consumer(struct spool *s, const char *name, struct err *e);

/* The same on the files of a spool that no process has open; needs no loop, takes the lock meanwhile, drops
 * nothing (opening does). 0; 1: a process has the spool (*e says which): ask its bridge; -1: ERR_REJECT: not
 * known, else as spool_open. */
int spool_forget_closed(const char *folder, const char *name, struct err *e);

/* For a consumer that was ahead of the end: a new identity, all consumers back to what is kept. Reported.
 * Blocks for the time of one small file's fsync. */
int spool_renew(struct spool *s, struct err *e);

/* The identity before the last spool_renew since it was opened, also in opening; "" when there was none. */
const char *spool_identity_before(const struct spool *s);

/* Syncs as soon as no sync is running, whatever sync_ms says. */
void spool_sync_now(struct spool *s);

/* Syncs and writes everything, then frees the spool and calls done(user). No events but `report` come after
 * this call. */
void spool_close(struct spool *s, void (*done)(void *user), void *user);

/* Reading, in order, what is held. A cursor has its own file and a bounded buffer; what is dropped before it
 * came there it passes over. */
struct spool_cursor;

struct spool_frame {
    uint64_t sequence;
    uint32_t checksum;
    struct view payload; /* valid until the next call on the cursor */
};

/* At the first frame from `from` on. NULL: memory is out. Must be closed before the spool. */
struct spool_cursor *spool_read_from(struct spool *s, uint64_t from, struct err *e);

/* 1: *frame is filled; 0: nothing more is held yet; -1: a file cannot be read (ERR_RETRY; the cursor stays).
 * Damaged frames are passed over and reported once each. */
int spool_next(struct spool_cursor *c, struct spool_frame *frame, struct err *e);

void spool_close_cursor(struct spool_cursor *c); /* NULL does nothing */

#endif
