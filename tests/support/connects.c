/* Each connect(2) of a program to an address of the internet, also one that is refused and so leaves no trace
 * on a server: before the program by LD_PRELOAD, written to the file CONNECTS_FILE (nothing without it). A
 * line is
 *
 *     MICROSECONDS PORT
 *
 * the moment of the call on CLOCK_BOOTTIME (base/clock.h), and this end's port, by which a server's log knows
 * the connection; 0 where there is none.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef int connect_call(int, const struct sockaddr *, socklen_t);

static int file = -1;
static connect_call *next;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("CONNECTS_FILE");
    void *found = dlsym(RTLD_NEXT, "connect");
    memcpy(&next, &found, sizeof next); /* an object's pointer as a function's, as POSIX has it */
    if (path) {
        file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
}

static int own_port(int fd)
{
    struct sockaddr_storage own;
    socklen_t length = sizeof own;
    if (getsockname(fd, (struct sockaddr *)&own, &length)) {
        return 0;
    }
    return own.ss_family == AF_INET    ? ntohs(((struct sockaddr_in *)&own)->sin_port)
           : own.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&own)->sin6_port)
                                       : 0;
}

__attribute__((visibility("default"))) int connect(int fd, const struct sockaddr *to, socklen_t length)
{
    struct timespec t;
    char line[64];
    clock_gettime(CLOCK_BOOTTIME, &t);
    int result = next(fd, to, length), why = errno, type = 0;
    socklen_t size = sizeof type;
    if (file >= 0 && (to->sa_family == AF_INET || to->sa_family == AF_INET6) &&
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM) {
        int n = snprintf(line, sizeof line, "%lld %d\n", (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000,
                         own_port(fd));
        if (write(file, line, (size_t)n) != n) {
            abort(); /* a test must not go on without it */
        }
    }
    errno = why;
    return result;
}
