#include "sinks/interrupt.h"

#include "base/clock.h"
#include "base/watchdog.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

int interrupt_new(struct err *e)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        return err_set(e, ERR_FATAL, "cannot make an eventfd: %s", strerror(errno));
    }
    return fd;
}

void interrupt_raise(int interrupt)
{
    uint64_t one = 1;
    ssize_t written = write(interrupt, &one, sizeof one);
    (void)written; /* it fails only when the counter is full, and then it is raised already */
}

int interrupt_wait(int interrupt, int fd, short events, int64_t deadline_ms)
{
    const int64_t slice = watchdog_slice_ms(); /* whoever waits for a database gets on */
    for (;;) {
        int64_t left = slice;
        watchdog_progress();
        if (deadline_ms != INT64_MAX) {
            left = deadline_ms - clock_real_ms();
            left = left < 0 ? 0 : left > slice ? slice : left;
        }
        struct pollfd waits[2] = {{.fd = interrupt, .events = POLLIN}, {.fd = fd, .events = events}};
        int ready = poll(waits, 2, (int)left);
        if (ready < 0 && errno != EINTR) {
            return POLLERR;
        }
        if (ready > 0) {
            return waits[0].revents ? INTERRUPT_RAISED : waits[1].revents;
        }
        if (ready == 0 && deadline_ms != INT64_MAX && clock_real_ms() >= deadline_ms) {
            return INTERRUPT_TIMEOUT;
        }
    }
}
