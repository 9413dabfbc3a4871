/* base/notify.h - what the service manager is told (sd_notify(3)): readiness, status, reload, stop, watchdog.
 *
 * Without NOTIFY_SOCKET in the environment all of it does nothing, so callers need not ask. Any thread; no
 * state: each message is one datagram of a socket of its own, and one that the manager cannot take is lost
 * without a word, as with sd_notify. The variables are left in the environment.
 */
#ifndef ROOST_BASE_NOTIFY_H
#define ROOST_BASE_NOTIFY_H

#include <stdint.h>

/* The service does what it is for; also the end of a reload. */
void notify_ready(void);

/* One line for `systemctl status`, at most 300 bytes; control characters become spaces. */
void notify_status(const char *text);

/* A reload has begun; notify_ready ends it. Says MONOTONIC_USEC too, for Type=notify-reload. */
void notify_reloading(void);

/* The stop has begun, and may take so many milliseconds before it is heard of again. */
void notify_stopping(int64_t extend_ms);

/* Starting or stopping goes on: no time-out within so many milliseconds from now. */
void notify_extend(int64_t extend_ms);

/* Everything gets on. */
void notify_watchdog(void);

/* WATCHDOG_USEC, when it is meant for this process (WATCHDOG_PID); 0: there is no watchdog. */
int64_t notify_watchdog_us(void);

#endif
