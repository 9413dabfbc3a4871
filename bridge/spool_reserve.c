/* Room for the last appends of a process: a file that takes it while it is there, and is given up for them.
 *
 * It never takes more than a quarter of what the disk has left (and itself has), so that on a small disk the
 * frames come first; where that is not worth a file there is none, until there is more room.
 */
#include "bridge/spool_parts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { SMALLEST = 64 * 1024, PAGE = 4096, STAT_BLOCK = 512 /* of st_blocks, by POSIX */ };

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t reserve_size(const struct spool *s)
{
    return lesser(SPOOL_RESERVE, s->settings.maximum_bytes / 4);
}

static int64_t files_part(int64_t reserve)
{
    return lesser(SPOOL_RESERVE_FILES, reserve / 4);
}

uint64_t spool_most(const struct spool *s)
{
    int64_t reserve = s->last ? reserve_size(s) : 0;
    return (uint64_t)(s->settings.maximum_bytes + reserve - files_part(reserve));
}

/* How large it may be on a disk on which it has `have` bytes now. */
static int64_t affordable(const struct spool *s, int64_t have)
{
    struct statvfs disk;
    if (fstatvfs(s->folder_fd, &disk)) {
        return have;
    }
    int64_t most = reserve_size(s);
    uint64_t quarter = ((uint64_t)disk.f_bavail * disk.f_frsize + (uint64_t)have) / 4;
    return quarter < (uint64_t)most ? (int64_t)(quarter - quarter % PAGE) : most;
}

void spool_keep_reserve(struct spool *s)
{
    struct stat status;
    if (s->last || s->closing || s->reserve_made) {
        return;
    }
    int fd = openat(s->folder_fd, "reserve", O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0 || fstat(fd, &status)) {
        goto done;
    }
    int64_t have = lesser((int64_t)status.st_blocks * STAT_BLOCK, status.st_size);
    int64_t want = affordable(s, have);
    s->reserve_made = have >= reserve_size(s);
    if (have < want && want >= lesser(SMALLEST, reserve_size(s))) {
        if (posix_fallocate(fd, 0, want) == 0) {
            have = want;
            s->reserve_made = want == reserve_size(s);
        } else if (ftruncate(fd, (off_t)have)) {
            have = 0;
        }
    }
    if (have == 0) {
        unlinkat(s->folder_fd, "reserve", 0);
    }

done:
    if (fd >= 0) {
        close(fd);
    }
}

void spool_take_last(struct spool *s)
{
    struct stat status;
    s->last = true;
    if (fstatat(s->folder_fd, "reserve", &status, 0) == 0) {
        int fd = openat(s->folder_fd, "reserve", O_WRONLY | O_CLOEXEC);
        if (fd < 0 || ftruncate(fd, (off_t)files_part(status.st_size))) {
            unlinkat(s->folder_fd, "reserve", 0);
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    if (s->failed && !s->syncing && spool_rescue(s) == 0) {
        spool_plan_sync(s);
    }
}

void spool_took_last(struct spool *s)
{
    s->last = true;
    unlinkat(s->folder_fd, "reserve", 0);
}
