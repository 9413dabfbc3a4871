/* tests/support/power_loss_calls.h - what power_loss_names.c calls in power_loss.c; nobody else includes it.
 *
 * Each does what the system call of its name does, and remembers how it was before. */
#ifndef ROOST_TESTS_SUPPORT_POWER_LOSS_CALLS_H
#define ROOST_TESTS_SUPPORT_POWER_LOSS_CALLS_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

bool power_loss_may_be_ours(int fd); /* false: the plain system call will do */
int power_loss_open(int at, const char *path, int flags, mode_t mode);
ssize_t power_loss_write(int fd, const struct iovec *parts, int count,
                         off_t offset); /* -1: where it stands */
int power_loss_cut(int fd, off_t size);
int power_loss_rename(int from_at, const char *from, int to_at, const char *to, unsigned flags);
int power_loss_remove(int at, const char *path, int flags);
int power_loss_link(int from_at, const char *from, int to_at, const char *to, int flags);
int power_loss_make_folder(int at, const char *path, mode_t mode);
int power_loss_sync(int fd); /* 1: not ours */

/* Ends the process if fd, or the file of this path, is ours. */
void power_loss_refuse(int fd, const char *path, const char *what);

/* The disk is kept in a file, and begun if that is new. */
void power_loss_disk_in(const char *path);

/* Power fails during the next operation; for signal handlers. */
void power_loss_soon(void);

#endif
