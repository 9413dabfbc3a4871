/* tests/support/power_loss.h - a layer between a program and its disk, whose power fails.
 *
 * The problem: what a program wrote is in the kernel's memory, so a killed process loses nothing, and a
 * forgotten fsync(2) is found by no test that kills. The design: the layer has the names of the C library's
 * functions that change files (open, write, rename, fsync, ...), so that it comes between, in one of two
 * ways: linked into a test program, or as the shared library power_loss.so before any program (LD_PRELOAD; by
 * environment variables, see tests/DESIGN.md). For everything below one folder it remembers how it was before
 * each change that no sync has made durable. When power fails it brings the folder into a state that a disk
 * may be in, and the process dies by SIGKILL. Whatever opens the folder then finds what a machine that was
 * switched on again may find.
 *
 * What is promised to the program, and no more (POSIX's fsync and fdatasync; ext4, XFS and btrfs promise more
 * in places, which is not relied upon):
 * - fsync or fdatasync of a file makes durable all that was written to it before the call began, and its
 * size; not its name.
 * - fsync of a folder makes durable the names made, removed and changed in it before the call began; not what
 *   is in the files, and not the folder's own name in the folder above it.
 * - A rename is whole or not at all (POSIX does not say so for a crash; every file system with a journal
 * does, and file_replace rests on it), within one folder.
 * - A sector of 512 bytes is written whole or not at all.
 *
 * Everything else may happen. Each sector has any of the contents that it had since the file's last sync,
 * independently of all others: bytes written later may be there while earlier ones are not. Bytes that never
 * came to the disk are zeros (other files' old bytes are not shown: no file system does that by default). The
 * size is any that the file had since then, independently of the bytes. Each change of a name is there or
 * not, independently of all changes of other names (a later change of the same name implies the earlier), and
 * of the bytes in the file: a new name may lead to an empty or a torn file, also after a rename. A file whose
 * sync failed once is never made durable by a later one: its pages may be lost while they count as written.
 *
 * A plan with `only_killed` ends the process and leaves everything as the kernel has it, not durable still;
 * the next process over the same disk (power_loss_disk) may then lose it. So a recovery that takes over what
 * a killed process left, without syncing it, is found.
 *
 * Not seen: mmap with MAP_SHARED, stdio's writes, owners and modes. Refused loudly (abort): fallocate,
 * truncate by name, rmdir, copy_file_range, a rename between two folders.
 */
#ifndef ROOST_TESTS_SUPPORT_POWER_LOSS_H
#define ROOST_TESTS_SUPPORT_POWER_LOSS_H

#include <stdbool.h>
#include <stdint.h>

struct power_loss_plan {
    const char *folder;  /* it and all below it lose power. FOLDER.graves beside it is the layer's. */
    uint64_t after;      /* power fails during this operation, from 1; 0: only when told to */
    uint64_t seed;       /* what is lost */
    bool only_killed;    /* a SIGKILL instead: nothing is lost yet */
    unsigned fail_syncs; /* of a thousand syncs so many fail with EIO */
    bool telling;        /* a line on stderr when power fails */
    bool verbose;        /* and one for each operation */
};

/* Makes the disk that processes forked from here share: what is not durable, whoever wrote it. Called again,
 * it is a new one, on which everything is durable. */
void power_loss_disk(void);

/* From here on this process writes under the layer; operations are counted from 1. Once in a process. */
void power_loss_begin(const struct power_loss_plan *plan);

/* Operations so far: changes of files and names, and syncs. */
uint64_t power_loss_operations(void);

/* Power fails now. */
void power_loss_now(void) __attribute__((noreturn));

#endif
