#include "base/notify.h"

#include "base/clock.h"
#include "base/number.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { STATUS_MAXIMUM = 300 };

/* The manager's address: a path, or a name in the abstract space ("@..."). 0: there is none. */
static socklen_t manager_address(struct sockaddr_un *address)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t length = path ? strlen(path) : 0;
    if (length < 2 || length >= sizeof address->sun_path || (path[0] != '/' && path[0] != '@')) {
        return 0;
    }
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, path, length);
    if (path[0] == '@') {
        address->sun_path[0] = '\0';
    }
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

static void send_text(const char *text, size_t length)
{
    struct sockaddr_un address;
    socklen_t size = manager_address(&address);
    int fd = size ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    if (fd >= 0) {
        ssize_t sent = sendto(fd, text, length, MSG_NOSIGNAL, (const struct sockaddr *)&address, size);
        (void)sent; /* a manager that does not listen is not told */
        close(fd);
    }
}

static void send_string(const char *text)
{
    send_text(text, strlen(text));
}

void notify_ready(void)
{
    send_string("READY=1");
}

void notify_status(const char *text)
{
    char line[STATUS_MAXIMUM + 16];
    int n = snprintf(line, sizeof line, "STATUS=%.*s", STATUS_MAXIMUM, text);
    for (int i = 0; i < n; i++) {
        if ((unsigned char)line[i] < ' ') {
            line[i] = ' ';
        }
    }
    send_text(line, (size_t)n);
}

void notify_reloading(void)
{
    char text[64];
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_monotonic_us());
    send_string(text);
}

void notify_stopping(int64_t extend_ms)
{
    send_string("STOPPING=1");
    notify_extend(extend_ms);
}

void notify_extend(int64_t extend_ms)
{
    char text[64];
    snprintf(text, sizeof text, "EXTEND_TIMEOUT_USEC=%lld", (long long)extend_ms * 1000);
    send_string(text);
}

void notify_watchdog(void)
{
    send_string("WATCHDOG=1");
}

int64_t notify_watchdog_us(void)
{
    const char *microseconds = getenv("WATCHDOG_USEC"), *process = getenv("WATCHDOG_PID");
    uint64_t value, pid;
    if (!microseconds || number_parse_unsigned(view_of(microseconds), &value) || value > INT64_MAX) {
        return 0;
    }
    bool ours = !process || (number_parse_unsigned(view_of(process), &pid) == 0 && pid == (uint64_t)getpid());
    return ours ? (int64_t)value : 0;
}
