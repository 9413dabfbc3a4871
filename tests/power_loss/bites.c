/* The layer bites: programs that are right in all but one call are caught, and the same with the call are
 * not. */
#include "tests/power_loss/support/trial.h"
#include "tests/support/power_loss.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COUNT = 6, RECORD = 700 };

/* Each bit leaves out one thing. */
enum {
    NO_DATA_SYNC = 1,
    NO_NAME_SYNC = 2,
    NO_RENAMED_DATA_SYNC = 4,
    NO_RENAME_SYNC = 8,
    NO_FOLDER_NAME_SYNC = 16,
    REMOVED_TOO_SOON = 32,
    NO_SYNC_WHILE_RECOVERING = 64
};

static unsigned left_out; /* set before the trial forks */

static void sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0 || fsync(fd)) {
        abort();
    }
    close(fd);
}

static size_t records_in(const char *path)
{
    char record[RECORD], wanted[RECORD];
    size_t count = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (;;) {
        memset(wanted, 'a' + (int)count % 26, sizeof wanted);
        if (fd < 0 || pread(fd, record, RECORD, (off_t)(count * RECORD)) != RECORD ||
            memcmp(record, wanted, RECORD) != 0) {
            break;
        }
        count++;
    }
    if (fd >= 0) {
        close(fd);
    }
    return count;
}

/* A log of records in home/log: each is said once it is durable. */
static void live_log(const char *home, unsigned life)
{
    char log[300], record[RECORD];
    snprintf(log, sizeof log, "%s/log", home);
    size_t count = records_in(log);
    bool is_new = access(log, F_OK) != 0;
    int fd = open(log, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)(count * RECORD))) {
        abort();
    }
    if (!(left_out & NO_SYNC_WHILE_RECOVERING)) {
        fsync(fd);
    }
    if (is_new ? !(left_out & NO_NAME_SYNC) : !(left_out & NO_SYNC_WHILE_RECOVERING)) {
        sync_path(home, O_RDONLY | O_DIRECTORY);
    }
    if (!(left_out & (NO_NAME_SYNC | NO_DATA_SYNC))) {
        trial_say("promise log %zu", count);
    }
    /* The next sync would make up for the one left out. */
    size_t more = life && (left_out & NO_SYNC_WHILE_RECOVERING) ? 0 : COUNT;
    for (size_t end = count + more; count < end; count++) {
        memset(record, 'a' + (int)count % 26, sizeof record);
        if (pwrite(fd, record, sizeof record, (off_t)(count * RECORD)) != RECORD) {
            abort();
        }
        if (!(left_out & NO_DATA_SYNC)) {
            fdatasync(fd);
        }
        trial_say("promise log %zu", count + 1);
    }
    close(fd);
}

/* A file replaced by a rename holds the number of its replacements, over and over. */
static void live_renamed(const char *home)
{
    char path[300], new[310];
    snprintf(path, sizeof path, "%s/value", home);
    snprintf(new, sizeof new, "%s.new", path);
    size_t count = records_in(path);
    for (size_t end = count + COUNT; count < end; count++) {
        int fd = open(new, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        for (size_t i = 0; i <= count; i++) {
            char record[RECORD];
            memset(record, 'a' + (int)i % 26, sizeof record);
            if (write(fd, record, sizeof record) != RECORD) {
                abort();
            }
        }
        if (!(left_out & NO_RENAMED_DATA_SYNC)) {
            fsync(fd);
        }
        close(fd);
        if (rename(new, path)) {
            abort();
        }
        if (!(left_out & NO_RENAME_SYNC)) {
            sync_path(home, O_RDONLY | O_DIRECTORY);
        }
        trial_say("promise value %zu", count + 1);
    }
}

/* Two files by turns: the new one is there before the old one goes. */
static void live_turns(const char *home)
{
    char old[300], new[300];
    unsigned turn = 0;
    for (unsigned i = 1; i <= 200; i++) {
        snprintf(old, sizeof old, "%s/turn%u", home, i);
        turn = access(old, F_OK) == 0 ? i : turn;
    }
    for (unsigned end = turn + COUNT; turn < end; turn++) {
        snprintf(old, sizeof old, "%s/turn%u", home, turn);
        snprintf(new, sizeof new, "%s/turn%u", home, turn + 1);
        int fd = open(new, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        close(fd);
        if (!(left_out & REMOVED_TOO_SOON)) {
            sync_path(home, O_RDONLY | O_DIRECTORY);
        }
        unlink(old);
        if (turn) {
            trial_say("promise turn 1");
        }
    }
}

static size_t turns_in(const char *home)
{
    size_t count = 0;
    char path[300];
    for (unsigned i = 1; i <= 200; i++) {
        snprintf(path, sizeof path, "%s/turn%u", home, i);
        count += access(path, F_OK) == 0;
    }
    return count;
}

static void live(const char *folder, unsigned life, bool last, uint64_t seed)
{
    char home[200], log[300], value[300];
    (void)last;
    (void)seed;
    snprintf(home, sizeof home, "%s/home", folder);
    snprintf(log, sizeof log, "%s/log", home);
    snprintf(value, sizeof value, "%s/value", home);
    trial_say("found log %zu", records_in(log));
    trial_say("found value %zu", records_in(value));
    trial_say("found turn %zu", turns_in(home));
    mkdir(home, 0700);
    if (!(left_out & NO_FOLDER_NAME_SYNC)) {
        sync_path(folder, O_RDONLY | O_DIRECTORY);
    }
    live_log(home, life);
    live_renamed(home);
    live_turns(home);
}

static void judge(void *memory, const char *line, struct buffer *wrong)
{
    static const char *const things[] = {"log", "value", "turn"};
    unsigned long *promised = memory, n;
    char word[20], thing[20];
    if (sscanf(line, "%19s %19s %lu", word, thing, &n) != 3) {
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(thing, things[i]) == 0 && strcmp(word, "promise") == 0) {
            promised[i] = n;
        } else if (strcmp(thing, things[i]) == 0 && n < promised[i]) {
            buffer_print(wrong, "%lu were promised", promised[i]);
        }
    }
}

int main(void)
{
    static const struct {
        const char *name;
        unsigned left_out;
    } programs[] = {
        {"a program that leaves nothing out", 0},
        {"no sync of what was written", NO_DATA_SYNC},
        {"no sync of a new file's name", NO_NAME_SYNC},
        {"no sync of a file before it is renamed", NO_RENAMED_DATA_SYNC},
        {"no sync of the name after a rename", NO_RENAME_SYNC},
        {"no sync of a new folder's name", NO_FOLDER_NAME_SYNC},
        {"the old file removed before the new one's name is durable", REMOVED_TOO_SOON},
        {"no sync of what a killed process left", NO_SYNC_WHILE_RECOVERING},
    };
    int result = 0;
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        const struct trial t = {.name = programs[i].name,
                                .live = live,
                                .judge = judge,
                                .memory_size = 3 * sizeof(unsigned long),
                                .seeds = programs[i].left_out ? 8 : 2,
                                .jobs = 2,
                                .kills = true,
                                .broken = programs[i].left_out != 0};
        left_out = programs[i].left_out;
        result |= trial_run(&t);
    }
    return result;
}
