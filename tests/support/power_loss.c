/* The layer of power_loss.h, but for the C library's names (power_loss_names.c).
 *
 * Every change is written down before it is made, under one lock, newest first: for a file the bytes and the
 * size from before, for a name what is needed to bring it back (a hard link in the graves, where another file
 * would go). All of that lies in one shared mapping, so that it outlives the process that wrote it. When
 * power fails the lists are gone through backwards, and each sector and each name stays or goes one step
 * back.
 *
 * System calls are made directly, so neither the C library nor a sanitizer comes between.
 */
#include "power_loss.h"

#include "power_loss_calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define DISK_ADDRESS                                                                                         \
    ((void *)UINT64_C(0x200000000000)) /* free in every process, with AddressSanitizer too                   \
                                        */
#define DISK_BYTES (UINT64_C(1) << 32) /* only what is used takes memory */

enum { SECTOR = 512, BUCKETS = 4096, DISK_VERSION = 1 };

struct change { /* of a file's bytes or size */
    struct change *older;
    uint64_t id;
    off_t size_before;
    off_t offset;
    size_t length;         /* bytes from `offset` on that it wrote or cut off */
    size_t before_length;  /* of these, how many there were before; zeros behind them */
    unsigned char *before; /* these */
};

struct file {
    struct file *next; /* in its bucket */
    dev_t device;
    ino_t inode;
    struct change *newest;
    bool distrusted; /* a sync of it failed */
};

enum name_kind { NAME_MADE, NAME_FOLDER_MADE, NAME_REMOVED, NAME_CHANGED };

struct name_change {
    struct name_change *older;
    uint64_t id;
    enum name_kind kind;
    bool stays;          /* when power fails */
    char *folder, *name; /* NAME_CHANGED: the new name */
    char *old_name;      /* NAME_CHANGED only */
    bool grave;          /* the file that `name` led to before is GRAVES/ID */
};

struct disk {
    uint64_t version, used;
    pthread_mutex_t lock; /* robust: its holder may be killed */
    uint64_t changes;     /* ids given out; also across processes */
    struct name_change *newest_name;
    struct file *files[BUCKETS];
};

static struct disk *disk;
static struct {
    bool on, telling, verbose, only_killed;
    volatile sig_atomic_t soon; /* a signal said so */
    char folder[PATH_MAX], graves[PATH_MAX];
    size_t folder_length;
    uint64_t after, seed, operations, random;
    unsigned fail_syncs;
} plan;

/* --- helpers --- */

static void __attribute__((format(printf, 1, 2), noreturn)) give_up(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "power_loss: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    abort();
}

static uint64_t chance(uint64_t below)
{
    uint64_t z = plan.random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

static void *take(size_t bytes)
{
    uint64_t at = disk->used;
    disk->used += (bytes + 15) & ~UINT64_C(15);
    if (disk->used > DISK_BYTES) {
        give_up("too much is not synced, or the run is too long");
    }
    return (char *)disk + at;
}

static char *take_text(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(take(size), text, size);
}

static void lock(void)
{
    if (pthread_mutex_lock(&disk->lock) == EOWNERDEAD) {
        pthread_mutex_consistent(&disk->lock);
    }
}

static void unlock(void)
{
    pthread_mutex_unlock(&disk->lock);
}

static int sys_open(int at, const char *path, int flags, mode_t mode)
{
    return (int)syscall(SYS_openat, at, path, flags | O_LARGEFILE, mode);
}

static void sys_close(int fd)
{
    (void)syscall(SYS_close, fd);
}

static int sys_unlink(const char *path)
{
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

static int sys_link(const char *from, const char *to)
{
    return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int sys_rename(const char *from, const char *to)
{
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* The path of an open file; false: it has none, or it is not below the folder. */
static bool path_of(int fd, char path[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    path[n > 0 ? n : 0] = '\0';
    return n > 0 && strncmp(path, plan.folder, plan.folder_length) == 0 &&
           (path[plan.folder_length] == '/' || path[plan.folder_length] == '\0');
}

struct place {
    char folder[PATH_MAX], name[NAME_MAX + 1];
};

/* Where a name is; false: not below the folder, or its folder cannot be found (the call itself will say). */
static bool place_of(int at, const char *path, struct place *p)
{
    char copy[PATH_MAX];
    if (!path || snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy) {
        return false;
    }
    char *slash = strrchr(copy, '/');
    const char *name = slash ? slash + 1 : copy;
    size_t length = strlen(name);
    if (length == 0 || length > NAME_MAX) {
        return false;
    }
    memcpy(p->name, name, length + 1);
    if (slash) {
        slash[slash == copy] = '\0';
    }
    int fd = sys_open(at, slash ? copy : ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    bool found = fd >= 0 && path_of(fd, p->folder);
    if (fd >= 0) {
        sys_close(fd);
    }
    return found;
}

static void full_path(char path[2 * PATH_MAX], const char *folder, const char *name)
{
    snprintf(path, 2 * PATH_MAX, "%s/%s", folder, name);
}

static void grave_path(char path[2 * PATH_MAX], uint64_t id)
{
    snprintf(path, 2 * PATH_MAX, "%s/%llu", plan.graves, (unsigned long long)id);
}

/* --- power fails --- */

static bool stays(unsigned kept_of_eight)
{
    return chance(8) < kept_of_eight;
}

/* One step back in the sectors that have not stayed. */
static void undo_bytes(int fd, const struct change *c, unsigned char *stayed, size_t sectors, unsigned kept)
{
    off_t end = c->offset + (off_t)c->length;
    for (off_t at = c->offset; at < end;) {
        size_t sector = (size_t)(at / SECTOR);
        off_t next = (off_t)(sector + 1) * SECTOR < end ? (off_t)(sector + 1) * SECTOR : end;
        if (sector >= sectors) {
            give_up("a change behind the end of its file");
        }
        if (!stayed[sector] && stays(kept)) {
            stayed[sector] = 1;
        }
        unsigned char old[SECTOR] = {0};
        size_t from = (size_t)(at - c->offset), length = (size_t)(next - at);
        size_t there = from < c->before_length ? c->before_length - from : 0;
        if (there) {
            memcpy(old, c->before + from, there < length ? there : length);
        }
        if (!stayed[sector] && syscall(SYS_pwrite64, fd, old, length, at) != (ssize_t)length) {
            give_up("cannot undo a write: %s", strerror(errno));
        }
        at = next;
    }
}

static void lose_bytes(const char *path, struct file *f, unsigned kept)
{
    struct stat status;
    int fd = sys_open(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0 || fstat(fd, &status)) {
        give_up("cannot open %s: %s", path, strerror(errno));
    }
    off_t size = status.st_size, most = size;
    bool size_stays = false;
    for (const struct change *c = f->newest; c; c = c->older) {
        off_t end = c->offset + (off_t)c->length;
        most = end > most ? end : most;
        most = c->size_before > most ? c->size_before : most;
        size_stays = size_stays || stays(kept);
        size = size_stays ? size : c->size_before;
    }
    size_t sectors = (size_t)(most / SECTOR) + 1;
    unsigned char *stayed = calloc(sectors, 1);
    if (!stayed || syscall(SYS_ftruncate, fd, most)) {
        give_up("cannot undo changes of %s: %s", path, strerror(errno));
    }
    for (const struct change *c = f->newest; c; c = c->older) {
        undo_bytes(fd, c, stayed, sectors, kept);
    }
    if (syscall(SYS_ftruncate, fd, size)) {
        give_up("cannot cut %s: %s", path, strerror(errno));
    }
    free(stayed);
    sys_close(fd);
    f->newest = NULL;
}

static struct file *find_file(const struct stat *status)
{
    struct file *f = disk->files[status->st_ino % BUCKETS];
    while (f && (f->inode != status->st_ino || f->device != status->st_dev)) {
        f = f->next;
    }
    return f;
}

static void lose_in(const char *folder, unsigned kept)
{
    DIR *d = opendir(folder);
    for (const struct dirent *entry; d && (entry = readdir(d));) {
        char path[2 * PATH_MAX];
        struct stat status;
        full_path(path, folder, entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || lstat(path, &status)) {
            continue;
        }
        if (S_ISDIR(status.st_mode)) {
            lose_in(path, kept);
        }
        struct file *f = S_ISREG(status.st_mode) ? find_file(&status) : NULL;
        if (f && f->newest) {
            lose_bytes(path, f, kept);
        }
    }
    if (d) {
        closedir(d);
    }
}

static bool same_name(const struct name_change *a, const struct name_change *b)
{
    if (strcmp(a->folder, b->folder) != 0) {
        return false;
    }
    return strcmp(a->name, b->name) == 0 || (a->old_name && strcmp(a->old_name, b->name) == 0) ||
           (b->old_name && strcmp(a->name, b->old_name) == 0) ||
           (a->old_name && b->old_name && strcmp(a->old_name, b->old_name) == 0);
}

static void undo_name(const struct name_change *c)
{
    char path[2 * PATH_MAX], old[2 * PATH_MAX], grave[2 * PATH_MAX];
    full_path(path, c->folder, c->name);
    grave_path(grave, c->id);
    int failed = 0;
    if (c->kind == NAME_MADE) {
        failed = sys_unlink(path);
    } else if (c->kind == NAME_FOLDER_MADE) {
        failed = sys_rename(path, grave);
    } else if (c->kind == NAME_CHANGED) {
        full_path(old, c->folder, c->old_name);
        failed = sys_rename(path, old);
    }
    if (c->grave && !failed) {
        failed = sys_link(grave, path);
    }
    /* The process may have been killed after it wrote a change down and before it made it. */
    if (failed && errno != ENOENT && errno != EEXIST) {
        give_up("cannot undo a change of the name %s: %s", path, strerror(errno));
    }
}

static void lose_names(unsigned kept)
{
    for (struct name_change *c = disk->newest_name; c; c = c->older) {
        c->stays = false;
        for (const struct name_change *later = disk->newest_name; later != c && !c->stays;
             later = later->older) {
            c->stays = later->stays && same_name(later, c);
        }
        c->stays = c->stays || stays(kept);
        if (!c->stays) {
            undo_name(c);
        }
    }
}

static void remove_all(const char *folder)
{
    DIR *d = opendir(folder);
    for (const struct dirent *entry; d && (entry = readdir(d));) {
        char path[2 * PATH_MAX];
        full_path(path, folder, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && sys_unlink(path)) {
            remove_all(path);
        }
    }
    if (d) {
        closedir(d);
    }
    (void)syscall(SYS_unlinkat, AT_FDCWD, folder, AT_REMOVEDIR);
}

/* Under the lock, which is never given back: nothing of this process reaches the disk any more. */
static void __attribute__((noreturn)) fail(void)
{
    static const unsigned kept[] = {0, 8, 4, 4, 1, 7}; /* eighths: all is lost, nothing is, half, ... */
    if (plan.telling) {
        fprintf(stderr, "power_loss: %s during operation %llu, seed %llu\n",
                plan.only_killed ? "killed" : "power failed", (unsigned long long)plan.operations,
                (unsigned long long)plan.seed);
    }
    if (!plan.only_killed) {
        unsigned bytes = kept[chance(6)], names = kept[chance(6)];
        lose_in(plan.folder, bytes);
        lose_in(plan.graves, bytes);
        lose_names(names);
        remove_all(plan.graves);
        disk->newest_name = NULL;
        memset(disk->files, 0, sizeof disk->files);
        disk->used = sizeof *disk;
    }
    kill(getpid(), SIGKILL);
    for (;;) {
        pause();
    }
}

/* Under the lock, when the change is made and before the program knows. */
static void operation(const char *what, const char *path)
{
    plan.operations++;
    if (plan.verbose) {
        fprintf(stderr, "power_loss: %llu %s %s\n", (unsigned long long)plan.operations, what, path);
    }
    if (plan.operations == plan.after || plan.soon) {
        fail();
    }
}

/* --- bytes --- */

/* The file behind fd if it is a regular one below the folder; NULL: none of ours. Under the lock. */
static struct file *file_of(int fd, struct stat *status, char path[PATH_MAX])
{
    if (fstat(fd, status) || !S_ISREG(status->st_mode) || !path_of(fd, path)) {
        return NULL;
    }
    struct file *f = find_file(status);
    if (!f) {
        f = take(sizeof *f);
        struct file **bucket = &disk->files[status->st_ino % BUCKETS];
        *f = (struct file){.next = *bucket, .device = status->st_dev, .inode = status->st_ino};
        *bucket = f;
    }
    return f;
}

/* A quick look before anything is locked: sockets, pipes and terminals are none of ours. */
bool power_loss_may_be_ours(int fd)
{
    struct stat status;
    return plan.on && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

static struct change *note_change(int fd, struct file *f, off_t size, off_t offset, size_t length)
{
    struct change *c = take(sizeof *c);
    off_t end = offset + (off_t)length < size ? offset + (off_t)length : size;
    *c = (struct change){.older = f->newest, .id = ++disk->changes, .size_before = size};
    c->offset = offset;
    c->length = length;
    if (end > offset) {
        char again[64];
        snprintf(again, sizeof again, "/proc/self/fd/%d", fd); /* fd itself may be for writing only */
        int in = sys_open(AT_FDCWD, again, O_RDONLY | O_CLOEXEC, 0);
        c->before_length = (size_t)(end - offset);
        c->before = take(c->before_length);
        if (in < 0 ||
            syscall(SYS_pread64, in, c->before, c->before_length, offset) != (ssize_t)c->before_length) {
            give_up("cannot read what is overwritten: %s", strerror(errno));
        }
        sys_close(in);
    }
    f->newest = c;
    return c;
}

/* offset -1: where the file stands. */
ssize_t power_loss_write(int fd, const struct iovec *parts, int count, off_t offset)
{
    struct stat status;
    char path[PATH_MAX];
    size_t length = 0;
    for (int i = 0; i < count; i++) {
        length += parts[i].iov_len;
    }
    lock();
    struct file *f = file_of(fd, &status, path);
    struct change *c = NULL;
    if (f) {
        bool appends = (fcntl(fd, F_GETFL) & O_APPEND) != 0;
        off_t at = appends ? status.st_size : offset < 0 ? lseek(fd, 0, SEEK_CUR) : offset;
        c = note_change(fd, f, status.st_size, at, length);
    }
    ssize_t n = offset < 0 ? syscall(SYS_writev, fd, parts, count)
                           : syscall(SYS_pwritev, fd, parts, count, offset, (off_t)(offset >> 32));
    int why = errno;
    if (c) {
        c->length = n > 0 ? (size_t)n : 0;
        c->before_length = c->before_length < c->length ? c->before_length : c->length;
        operation("write", path);
    }
    unlock();
    errno = why;
    return n;
}

int power_loss_cut(int fd, off_t size)
{
    struct stat status;
    char path[PATH_MAX];
    lock();
    struct file *f = file_of(fd, &status, path);
    if (f) {
        off_t less = size < status.st_size ? status.st_size - size : 0;
        note_change(fd, f, status.st_size, size, (size_t)less);
    }
    int result = (int)syscall(SYS_ftruncate, fd, size);
    int why = errno;
    if (f) {
        operation("cut", path);
    }
    unlock();
    errno = why;
    return result;
}

/* --- names --- */

static struct name_change *note_name(enum name_kind kind, const struct place *p, const char *old_name)
{
    struct name_change *c = take(sizeof *c);
    *c = (struct name_change){.older = disk->newest_name, .id = ++disk->changes, .kind = kind};
    c->folder = take_text(p->folder);
    c->name = take_text(p->name);
    c->old_name = old_name ? take_text(old_name) : NULL;
    disk->newest_name = c;
    return c;
}

static void forget_name(const struct name_change *c)
{
    if (disk->newest_name == c) {
        disk->newest_name = c->older;
    }
}

/* After the call, whose result is given back. */
static int end_change(const struct name_change *c, int result, const char *what, const char *name)
{
    int why = errno;
    if (result) {
        forget_name(c);
    } else {
        operation(what, name);
    }
    unlock();
    errno = why;
    return result;
}

/* Keeps what a name leads to, which is about to be removed or replaced. */
static void bury(struct name_change *c, const struct place *p)
{
    char path[2 * PATH_MAX], grave[2 * PATH_MAX];
    full_path(path, p->folder, p->name);
    grave_path(grave, c->id);
    c->grave = sys_link(path, grave) == 0;
}

/* A file that is new: whatever had its number before is gone. */
static void begin_file(int fd)
{
    struct stat status;
    struct file *f = fstat(fd, &status) == 0 ? find_file(&status) : NULL;
    if (f) {
        f->newest = NULL;
        f->distrusted = false;
    }
}

int power_loss_open(int at, const char *path, int flags, mode_t mode)
{
    struct place p;
    struct stat status;
    if (!plan.on || !(flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE ||
        !place_of(at, path, &p)) {
        return sys_open(at, path, flags, mode);
    }
    char full[2 * PATH_MAX];
    full_path(full, p.folder, p.name);
    lock();
    bool is_new = (flags & O_CREAT) && lstat(full, &status) && errno == ENOENT;
    const struct name_change *c = is_new ? note_name(NAME_MADE, &p, NULL) : NULL;
    int fd = sys_open(at, path, flags & ~O_TRUNC, mode);
    int why = errno;
    if (c && fd < 0) {
        forget_name(c);
    } else if (c) {
        begin_file(fd);
        operation("make", full);
    }
    unlock();
    if (fd >= 0 && (flags & O_TRUNC) && !is_new && power_loss_cut(fd, 0)) {
        give_up("cannot cut %s: %s", full, strerror(errno));
    }
    errno = why;
    return fd;
}

int power_loss_remove(int at, const char *path, int flags)
{
    struct place p;
    if (!plan.on || !place_of(at, path, &p)) {
        return (int)syscall(SYS_unlinkat, at, path, flags);
    }
    if (flags & AT_REMOVEDIR) {
        give_up("rmdir of %s/%s is not known here", p.folder, p.name);
    }
    lock();
    struct name_change *c = note_name(NAME_REMOVED, &p, NULL);
    bury(c, &p);
    int result = (int)syscall(SYS_unlinkat, at, path, flags);
    return end_change(c, result, "remove", p.name);
}

int power_loss_rename(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
    struct place p, q;
    bool ours = plan.on && place_of(to_at, to, &q), was_ours = plan.on && place_of(from_at, from, &p);
    if (!ours && !was_ours) {
        return (int)syscall(SYS_renameat2, from_at, from, to_at, to, flags);
    }
    if (!ours || !was_ours || flags || strcmp(p.folder, q.folder) != 0) {
        give_up("a rename of %s to %s, between two folders or with flags, is not known here", from, to);
    }
    lock();
    struct name_change *c = note_name(NAME_CHANGED, &q, p.name);
    bury(c, &q);
    int result = (int)syscall(SYS_renameat2, from_at, from, to_at, to, 0);
    return end_change(c, result, "rename to", q.name);
}

int power_loss_link(int from_at, const char *from, int to_at, const char *to, int flags)
{
    struct place p;
    if (!plan.on || !place_of(to_at, to, &p)) {
        return (int)syscall(SYS_linkat, from_at, from, to_at, to, flags);
    }
    lock();
    const struct name_change *c = note_name(NAME_MADE, &p, NULL);
    int result = (int)syscall(SYS_linkat, from_at, from, to_at, to, flags);
    return end_change(c, result, "link", p.name);
}

int power_loss_make_folder(int at, const char *path, mode_t mode)
{
    struct place p;
    if (!plan.on || !place_of(at, path, &p)) {
        return (int)syscall(SYS_mkdirat, at, path, mode);
    }
    lock();
    const struct name_change *c = note_name(NAME_FOLDER_MADE, &p, NULL);
    int result = (int)syscall(SYS_mkdirat, at, path, mode);
    return end_change(c, result, "make the folder", p.name);
}

/* --- syncs --- */

static void end_names(const char *folder, uint64_t up_to)
{
    for (struct name_change **at = &disk->newest_name; *at;) {
        const struct name_change *c = *at;
        if (c->id > up_to || strcmp(c->folder, folder) != 0) {
            at = &(*at)->older;
            continue;
        }
        if (c->grave) {
            char grave[2 * PATH_MAX];
            grave_path(grave, c->id);
            (void)sys_unlink(grave);
        }
        *at = c->older;
    }
}

static void end_bytes(struct file *f, uint64_t up_to)
{
    struct change **at = &f->newest;
    while (*at && (*at)->id > up_to) {
        at = &(*at)->older;
    }
    *at = NULL;
}

/* What was written before the sync began is durable when it ends. The kernel is not asked: it would only take
 * time. In between others may write, which is not covered. */
int power_loss_sync(int fd)
{
    struct stat status;
    char path[PATH_MAX];
    if (!plan.on || fstat(fd, &status) || !path_of(fd, path)) {
        return 1;
    }
    lock();
    uint64_t up_to = disk->changes;
    bool wait = chance(2), fails = chance(1000) < plan.fail_syncs;
    operation(fails ? "failing sync" : "sync", path);
    unlock();
    if (wait) {
        struct timespec some = {.tv_nsec = 200 * 1000};
        (void)syscall(SYS_nanosleep, &some, NULL);
    }
    lock();
    struct file *f = S_ISREG(status.st_mode) ? file_of(fd, &status, path) : NULL;
    if (f && fails) {
        f->distrusted = true;
    } else if (f && !f->distrusted) {
        end_bytes(f, up_to);
    } else if (S_ISDIR(status.st_mode) && !fails) {
        end_names(path, up_to);
    }
    unlock();
    errno = EIO;
    return fails ? -1 : 0;
}

void power_loss_refuse(int fd, const char *path, const char *what)
{
    char found[PATH_MAX];
    struct place p;
    if (plan.on && (path ? place_of(AT_FDCWD, path, &p) : path_of(fd, found))) {
        give_up("%s of %s is not known here: teach the layer first", what, path ? path : found);
    }
}

/* --- beginning --- */

static void begin_disk(void)
{
    pthread_mutexattr_t attributes;
    memset(disk, 0, sizeof *disk);
    disk->used = sizeof *disk;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&disk->lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    disk->version = DISK_VERSION;
}

void power_loss_disk(void)
{
    if (!disk) {
        disk =
            mmap(NULL, DISK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (disk == MAP_FAILED) {
            give_up("no memory for the disk: %s", strerror(errno));
        }
    }
    begin_disk();
}

void power_loss_disk_in(const char *path)
{
    int fd = sys_open(AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || syscall(SYS_ftruncate, fd, DISK_BYTES)) {
        give_up("cannot open %s: %s", path, strerror(errno));
    }
    disk = mmap(DISK_ADDRESS, DISK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
    if (disk != DISK_ADDRESS) {
        give_up("cannot map %s: %s", path, strerror(errno));
    }
    sys_close(fd);
    if (disk->version != DISK_VERSION) {
        begin_disk();
    }
}

void power_loss_begin(const struct power_loss_plan *p)
{
    if (!disk) {
        power_loss_disk();
    }
    if (!realpath(p->folder, plan.folder)) {
        give_up("no folder %s: %s", p->folder, strerror(errno));
    }
    plan.folder_length = strlen(plan.folder);
    if (snprintf(plan.graves, sizeof plan.graves, "%s.graves", plan.folder) >= (int)sizeof plan.graves ||
        (syscall(SYS_mkdirat, AT_FDCWD, plan.graves, 0700) && errno != EEXIST)) {
        give_up("cannot make %s: %s", plan.graves, strerror(errno));
    }
    plan.after = p->after;
    plan.seed = plan.random = p->seed;
    plan.only_killed = p->only_killed;
    plan.fail_syncs = p->fail_syncs;
    plan.telling = p->telling;
    plan.verbose = p->verbose;
    plan.on = true;
}

void power_loss_soon(void)
{
    plan.soon = 1;
}

uint64_t power_loss_operations(void)
{
    return plan.operations;
}

void power_loss_now(void)
{
    lock();
    fail();
}
