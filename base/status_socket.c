#include "base/status_socket.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 64, SEND_BUFFER = 2 * STATUS_SOCKET_MAXIMUM };

struct status_socket {
    char *path, *folder;
    int fd; /* -1: not there */
    dev_t device;
    ino_t inode; /* of the file, as it was made */
};

/* A path may be longer than an address: then it goes by the folder's descriptor. `folder_fd` -1: no folder.
 */
static int make_address(const char *path, int folder_fd, struct sockaddr_un *address)
{
    const char *slash = strrchr(path, '/');
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t size = sizeof address->sun_path;
    int n = strlen(path) < size ? snprintf(address->sun_path, size, "%s", path)
                                : snprintf(address->sun_path, size, "/proc/self/fd/%d/%s", folder_fd,
                                           slash ? slash + 1 : path);
    return n > 0 && (size_t)n < size ? 0 : -1;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return !slash ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

struct status_socket *status_socket_new(const char *path)
{
    struct status_socket *s = calloc(1, sizeof *s);
    if (s) {
        s->fd = -1;
        s->path = strdup(path);
        s->folder = folder_of(path);
    }
    if (s && (!s->path || !s->folder)) {
        status_socket_free(s);
        s = NULL;
    }
    return s;
}

static bool is_ours(const struct status_socket *s)
{
    struct stat status;
    return lstat(s->path, &status) == 0 && status.st_dev == s->device && status.st_ino == s->inode;
}

static void close_ours(struct status_socket *s)
{
    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
}

/* What stands at the path may go: nothing, or a socket on which nobody answers. */
static int clear_path(const struct status_socket *s, const struct sockaddr_un *address, struct err *e)
{
    struct stat status;
    if (lstat(s->path, &status)) {
        return errno == ENOENT ? 0 : err_set(e, ERR_RETRY, "cannot look at %s: %s", s->path, strerror(errno));
    }
    if (!S_ISSOCK(status.st_mode)) {
        return err_set(e, ERR_RETRY, "%s exists and is no socket: remove it", s->path);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool dead =
        fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) && errno == ECONNREFUSED;
    if (fd >= 0) {
        close(fd);
    }
    if (!dead) {
        return err_set(e, ERR_RETRY, "another process answers on %s", s->path);
    }
    return unlink(s->path) == 0 ? 0 : err_set(e, ERR_RETRY, "cannot remove %s: %s", s->path, strerror(errno));
}

/* The folder is locked. */
static int bind_socket(struct status_socket *s, int folder_fd, struct err *e)
{
    struct sockaddr_un address;
    struct stat status;
    if (make_address(s->path, folder_fd, &address)) {
        return err_set(e, ERR_RETRY, "%s is too long a name for a socket", s->path);
    }
    if (clear_path(s, &address, e)) {
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) || chmod(s->path, 0666) ||
        listen(fd, BACKLOG) || lstat(s->path, &status)) {
        err_set(e, ERR_RETRY, "cannot make the socket %s: %s", s->path, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    s->fd = fd;
    s->device = status.st_dev;
    s->inode = status.st_ino;
    return 1;
}

int status_socket_keep(struct status_socket *s, struct err *e)
{
    if (s->fd >= 0 && is_ours(s)) {
        return 0;
    }
    close_ours(s);
    int folder_fd = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0) {
        return err_set(e, ERR_RETRY, "cannot open the folder %s: %s", s->folder, strerror(errno));
    }
    /* Whoever has the lock has it for moments; the next look tries again. */
    int result = flock(folder_fd, LOCK_EX | LOCK_NB)
                     ? err_set(e, ERR_RETRY, "the folder %s is locked: %s", s->folder, strerror(errno))
                     : bind_socket(s, folder_fd, e);
    close(folder_fd);
    return result;
}

int status_socket_descriptor(const struct status_socket *s)
{
    return s->fd;
}

const char *status_socket_path(const struct status_socket *s)
{
    return s->path;
}

static void give(int fd, struct view answer)
{
    const int room = SEND_BUFFER; /* as far as the system lets us; its default takes the answer as well */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    for (size_t at = 0; at < answer.length;) {
        ssize_t n = send(fd, answer.at + at, answer.length - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0) {
            break;
        }
        at += (size_t)n;
    }
}

void status_socket_answer(struct status_socket *s, void (*write)(void *user, struct buffer *answer),
                          void *user)
{
    struct buffer answer = BUFFER(STATUS_SOCKET_MAXIMUM);
    bool made = false;
    for (int i = 0; i < STATUS_SOCKET_CLIENTS && s->fd >= 0; i++) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            break;
        }
        if (!made) {
            write(user, &answer);
            made = true;
        }
        give(fd, buffer_failed(&answer) ? VIEW("{\"error\":\"the answer is too long\"}\n")
                                        : buffer_view(&answer));
        close(fd);
    }
    buffer_free(&answer);
}

void status_socket_free(struct status_socket *s)
{
    if (!s) {
        return;
    }
    if (s->fd >= 0 && is_ours(s)) {
        unlink(s->path);
    }
    close_ours(s);
    free(s->path);
    free(s->folder);
    free(s);
}

/* ---- the other side ---- */

static int connect_to(const char *path, struct err *e)
{
    struct sockaddr_un address;
    char *folder = folder_of(path);
    int folder_fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int fd = -1;
    free(folder);
    if (make_address(path, folder_fd, &address)) {
        err_set(e, ERR_FATAL, "%s is too long a name for a socket", path);
        goto done;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address)) {
        bool nobody = errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR;
        err_set(e, nobody ? ERR_FATAL : ERR_RETRY, "%s: %s", path, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        fd = -1;
    }
done:
    if (folder_fd >= 0) {
        close(folder_fd);
    }
    return fd;
}

int status_socket_ask(const char *path, int64_t timeout_ms, struct buffer *answer, struct err *e)
{
    int64_t deadline = clock_real_ms() + timeout_ms;
    int fd = connect_to(path, e), result = -1;
    if (fd < 0) {
        return -1;
    }
    for (;;) {
        int64_t left = deadline - clock_real_ms();
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int n = left > 0 ? poll(&wait, 1, (int)left) : 0;
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            err_set(e, ERR_RETRY, "%s: no answer within %.1f s", path, (double)timeout_ms / 1000.0);
            break;
        }
        char *into = buffer_reserve(answer, 16384);
        ssize_t got = into ? recv(fd, into, 16384, 0) : -1;
        if (got > 0) {
            answer->length += (size_t)got;
            continue;
        }
        result = got == 0 ? 0
                          : err_set(e, ERR_RETRY, "%s: %s", path,
                                    into ? strerror(errno) : "the answer is too long");
        break;
    }
    close(fd);
    return result;
}
