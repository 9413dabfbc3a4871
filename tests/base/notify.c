/* tests/base/notify.c - what the service manager hears, on a socket of its kind. */
#include "base/notify.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A manager in the abstract space of names, as containers have it. */
static int manager(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[64];
    snprintf(name, sizeof name, "@roost-test-notify-%d", (int)getpid());
    memcpy(address.sun_path, name, strlen(name));
    address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, size), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static const char *heard(int fd)
{
    static char text[1024];
    ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

Test(notify, each_message_is_one_datagram_with_the_words_of_the_protocol)
{
    int fd = manager();
    notify_ready();
    cr_expect_str_eq(heard(fd), "READY=1");
    notify_watchdog();
    cr_expect_str_eq(heard(fd), "WATCHDOG=1");
    notify_status("connected 3 h");
    cr_expect_str_eq(heard(fd), "STATUS=connected 3 h");
    notify_stopping(2500);
    cr_expect_str_eq(heard(fd), "STOPPING=1");
    cr_expect_str_eq(heard(fd), "EXTEND_TIMEOUT_USEC=2500000");
    notify_reloading();
    long long microseconds = 0;
    cr_expect_eq(sscanf(heard(fd), "RELOADING=1\nMONOTONIC_USEC=%lld", &microseconds), 1);
    cr_expect_gt(microseconds, 0);
    cr_expect_str_eq(heard(fd), "");
    close(fd);
}

Test(notify, a_status_cannot_smuggle_another_message_in_or_grow)
{
    int fd = manager();
    char text[1000];
    notify_status("a\nREADY=1\tb");
    cr_expect_str_eq(heard(fd), "STATUS=a READY=1 b");
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    notify_status(text);
    cr_expect_eq(strlen(heard(fd)), strlen("STATUS=") + 300);
    close(fd);
}

Test(notify, without_a_manager_or_with_one_that_is_gone_nothing_happens)
{
    unsetenv("NOTIFY_SOCKET");
    notify_ready();
    setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
    notify_ready();
    setenv("NOTIFY_SOCKET", "relative", 1);
    notify_ready();
    int fd = manager();
    for (int i = 0; i < 5000; i++) { /* nobody reads: it must not wait */
        notify_watchdog();
    }
    close(fd);
}

Test(notify, the_watchdog_is_ours_only_with_our_process_id)
{
    char pid[32];
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    cr_expect_eq(notify_watchdog_us(), 0);
    setenv("WATCHDOG_USEC", "30000000", 1);
    cr_expect_eq(notify_watchdog_us(), 30000000);
    setenv("WATCHDOG_PID", "1", 1);
    cr_expect_eq(notify_watchdog_us(), 0, "a child of the service is not the service");
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    cr_expect_eq(notify_watchdog_us(), 30000000);
    setenv("WATCHDOG_USEC", "soon", 1);
    cr_expect_eq(notify_watchdog_us(), 0);
}
