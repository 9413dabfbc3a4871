/* The C library's names, before the layer of power_loss.c. With -DPOWER_LOSS_PRELOAD it begins by itself, by
 * environment variables (tests/DESIGN.md). */
#include "power_loss.h"
#include "power_loss_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SHOWN __attribute__((visibility("default")))
#define MODE_OF(flags)                                                                                       \
    mode_t mode = 0;                                                                                         \
    if (((flags)&O_CREAT) || ((flags)&O_TMPFILE) == O_TMPFILE) {                                             \
        va_list arguments;                                                                                   \
        va_start(arguments, flags);                                                                          \
        mode = va_arg(arguments, mode_t);                                                                    \
        va_end(arguments);                                                                                   \
    }

SHOWN int open(const char *path, int flags, ...)
{
    MODE_OF(flags)
    return power_loss_open(AT_FDCWD, path, flags, mode);
}

SHOWN int openat(int at, const char *path, int flags, ...)
{
    MODE_OF(flags)
    return power_loss_open(at, path, flags, mode);
}

SHOWN int open64(const char *path, int flags, ...)
{
    MODE_OF(flags)
    return power_loss_open(AT_FDCWD, path, flags, mode);
}

SHOWN int openat64(int at, const char *path, int flags, ...)
{
    MODE_OF(flags)
    return power_loss_open(at, path, flags, mode);
}

SHOWN int creat(const char *path, mode_t mode)
{
    return power_loss_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

SHOWN ssize_t write(int fd, const void *bytes, size_t length)
{
    struct iovec part = {(void *)bytes /* writev does not write to it */, length};
    return power_loss_may_be_ours(fd) ? power_loss_write(fd, &part, 1, -1)
                                      : syscall(SYS_write, fd, bytes, length);
}

SHOWN ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return power_loss_may_be_ours(fd) ? power_loss_write(fd, parts, count, -1)
                                      : syscall(SYS_writev, fd, parts, count);
}

SHOWN ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return power_loss_may_be_ours(fd) ? power_loss_write(fd, parts, count, offset)
                                      : syscall(SYS_pwritev, fd, parts, count, offset, (off_t)(offset >> 32));
}

SHOWN ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    struct iovec part = {(void *)bytes, length};
    return pwritev(fd, &part, 1, offset);
}

SHOWN ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset)
{
    struct iovec part = {(void *)bytes, length};
    return pwritev(fd, &part, 1, offset);
}

SHOWN ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
    return pwritev(fd, parts, count, offset);
}

SHOWN int ftruncate(int fd, off_t size)
{
    return power_loss_may_be_ours(fd) ? power_loss_cut(fd, size) : (int)syscall(SYS_ftruncate, fd, size);
}

SHOWN int ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}

SHOWN int rename(const char *from, const char *to)
{
    return power_loss_rename(AT_FDCWD, from, AT_FDCWD, to, 0);
}

SHOWN int renameat(int from_at, const char *from, int to_at, const char *to)
{
    return power_loss_rename(from_at, from, to_at, to, 0);
}

SHOWN int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
    return power_loss_rename(from_at, from, to_at, to, flags);
}

SHOWN int unlink(const char *path)
{
    return power_loss_remove(AT_FDCWD, path, 0);
}

SHOWN int unlinkat(int at, const char *path, int flags)
{
    return power_loss_remove(at, path, flags);
}

SHOWN int rmdir(const char *path)
{
    return power_loss_remove(AT_FDCWD, path, AT_REMOVEDIR);
}

SHOWN int link(const char *from, const char *to)
{
    return power_loss_link(AT_FDCWD, from, AT_FDCWD, to, 0);
}

SHOWN int linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
    return power_loss_link(from_at, from, to_at, to, flags);
}

SHOWN int mkdir(const char *path, mode_t mode)
{
    return power_loss_make_folder(AT_FDCWD, path, mode);
}

SHOWN int mkdirat(int at, const char *path, mode_t mode)
{
    return power_loss_make_folder(at, path, mode);
}

SHOWN int fsync(int fd)
{
    int result = power_loss_sync(fd);
    return result <= 0 ? result : (int)syscall(SYS_fsync, fd);
}

SHOWN int fdatasync(int fd)
{
    int result = power_loss_sync(fd);
    return result <= 0 ? result : (int)syscall(SYS_fdatasync, fd);
}

SHOWN int fallocate(int fd, int mode, off_t offset, off_t length)
{
    power_loss_refuse(fd, NULL, "fallocate");
    return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

SHOWN int posix_fallocate(int fd, off_t offset, off_t length)
{
    struct stat status;
    /* What is seen of it in the file is a new size; the room itself is nobody's data. */
    if (power_loss_may_be_ours(fd) && fstat(fd, &status) == 0 && status.st_size < offset + length &&
        power_loss_cut(fd, offset + length)) {
        return errno;
    }
    return syscall(SYS_fallocate, fd, 0, offset, length) ? errno : 0;
}

SHOWN int truncate(const char *path, off_t size)
{
    power_loss_refuse(-1, path, "truncate");
    return (int)syscall(SYS_truncate, path, size);
}

SHOWN ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t n, unsigned flags)
{
    power_loss_refuse(out, NULL, "copy_file_range");
    return syscall(SYS_copy_file_range, in, in_at, out, out_at, n, flags);
}

#ifdef POWER_LOSS_PRELOAD

static uint64_t number_in(const char *name)
{
    const char *text = getenv(name);
    char *end = NULL;
    errno = 0;
    uint64_t value = text ? strtoull(text, &end, 10) : 0;
    if (text && (errno || end == text || *end)) {
        fprintf(stderr, "power_loss: %s=%s is no number\n", name, text);
        abort();
    }
    return value;
}

static void on_signal(int signal)
{
    (void)signal;
    power_loss_soon();
}

static void __attribute__((constructor)) begin_by_environment(void)
{
    struct power_loss_plan p = {.folder = getenv("POWER_LOSS_FOLDER")};
    if (!p.folder) {
        return;
    }
    p.after = number_in("POWER_LOSS_AFTER");
    p.seed = number_in("POWER_LOSS_SEED");
    p.fail_syncs = (unsigned)number_in("POWER_LOSS_FAIL_SYNCS");
    p.only_killed = number_in("POWER_LOSS_ONLY_KILLED") != 0;
    p.telling = true;
    p.verbose = number_in("POWER_LOSS_VERBOSE") != 0;
    int when = (int)number_in("POWER_LOSS_SIGNAL");
    if (when && signal(when, on_signal) == SIG_ERR) {
        fprintf(stderr, "power_loss: POWER_LOSS_SIGNAL=%d is no signal to be had\n", when);
        abort();
    }
    if (getenv("POWER_LOSS_DISK")) {
        power_loss_disk_in(getenv("POWER_LOSS_DISK"));
    }
    power_loss_begin(&p);
}

#endif
