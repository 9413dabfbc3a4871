#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int file_read(const char *path, struct buffer *into, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_set(e, err_kind_of(errno), "cannot read %s: %s", path, strerror(errno));
    }
    int result = -1;
    char piece[16384];
    for (;;) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            err_set(e, err_kind_of(errno), "cannot read %s: %s", path, strerror(errno));
            break;
        }
        if (n == 0) {
            result = 0;
            break;
        }
        buffer_append(into, piece, (size_t)n);
        if (buffer_failed(into)) {
            err_set(e, ERR_FATAL, "%s is longer than %zu bytes, which is the limit", path, into->maximum);
            break;
        }
    }
    close(fd);
    explicit_bzero(piece, sizeof piece); /* what was read may be a secret */
    return result;
}

static int write_all(int fd, struct view bytes)
{
    while (bytes.length) {
        ssize_t n = write(fd, bytes.at, bytes.length);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        bytes = view_from(bytes, (size_t)n);
    }
    return 0;
}

static int sync_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (!folder) {
        return -1;
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (fd < 0) {
        return -1;
    }
    int result = fsync(fd);
    close(fd);
    return result;
}

int file_replace(const char *path, struct view bytes, mode_t mode, struct err *e)
{
    char *temporary = NULL;
    int fd = -1;
    if (asprintf(&temporary, "%s.new", path) < 0) {
        return err_set(e, ERR_RETRY, "out of memory");
    }
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0 || fchmod(fd, mode) || write_all(fd, bytes) || fsync(fd)) {
        goto failed;
    }
    int closed = close(fd);
    fd = -1;
    if (closed || rename(temporary, path) || sync_folder_of(path)) {
        goto failed;
    }
    free(temporary);
    return 0;

failed:
    err_set(e, ERR_RETRY, "cannot write %s: %s", path, strerror(errno));
    if (fd >= 0) {
        close(fd);
    }
    unlink(temporary);
    free(temporary);
    return -1;
}

/* One level: the folder, and its name in the folder above it, which a sync of what is inside does not cover.
 * That of a folder which is there is synced too, as well as can be: who made it may have been killed before.
 */
static int make_one_folder(const char *path)
{
    bool made = mkdir(path, 0750) == 0;
    if (!made && errno != EEXIST) {
        return -1;
    }
    return sync_folder_of(path) && made ? -1 : 0;
}

int file_make_folder(const char *path, struct err *e)
{
    char *copy = strdup(path);
    if (!copy) {
        return err_set(e, ERR_RETRY, "out of memory");
    }
    int result = 0;
    for (char *slash = copy + 1; result == 0; slash++) {
        slash = strchrnul(slash, '/');
        char kept = *slash;
        *slash = '\0';
        if (make_one_folder(copy)) {
            result = err_set(e, err_kind_of(errno), "cannot make the folder %s: %s", copy, strerror(errno));
        }
        *slash = kept;
        if (!kept) {
            break;
        }
    }
    struct stat status;
    if (result == 0 && (stat(path, &status) || !S_ISDIR(status.st_mode))) {
        result = err_set(e, ERR_FATAL, "%s is not a folder", path);
    }
    free(copy);
    return result;
}
