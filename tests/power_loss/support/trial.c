#include "tests/power_loss/support/trial.h"

#include "base/random.h"
#include "tests/support/power_loss.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_MOST = 4000, SAID_MOST = 1 << 24, RECOVERY_OPERATIONS = 24, LONG_FACTOR = 4 };

struct figures { /* shared by the jobs */
    atomic_uint trials, wrong;
};

struct job {
    const struct trial *trial;
    struct figures *figures;
    char folder[64], disk[80], graves[96];
    uint64_t random_seed;
    unsigned next_cut;
};

static int saying = -1;

static void __attribute__((noreturn, format(printf, 1, 2))) cannot(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, ": %s\n", strerror(errno));
    exit(2);
}

void trial_say(const char *format, ...)
{
    char line[LINE_MOST + 1];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line, LINE_MOST, format, arguments);
    va_end(arguments);
    if (n < 0 || n >= LINE_MOST) {
        abort();
    }
    line[n++] = '\n';
    if (write(saying, line, (size_t)n) != n) { /* shorter than PIPE_BUF: whole */
        abort();
    }
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

static void remove_tree(const char *folder)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Runs one life; what it says is added to *said. plan NULL: the last one. */
static void run_life(const struct job *j, unsigned life, const struct power_loss_plan *plan, uint64_t seed,
                     struct buffer *said, struct buffer *wrong)
{
    int ends[2];
    if (pipe(ends)) {
        cannot("pipe");
    }
    buffer_print(said, "life %u%s\n", life, plan && plan->only_killed ? " killed" : plan ? "" : " last");
    pid_t child = fork();
    if (child < 0) {
        cannot("fork");
    }
    if (child == 0) {
        close(ends[0]);
        saying = ends[1];
        if (plan) {
            power_loss_begin(plan);
        }
        j->trial->live(j->disk, life, !plan, seed);
        trial_say("done after %llu operations", (unsigned long long)power_loss_operations());
        if (plan) {
            power_loss_now();
        }
        _exit(0);
    }
    close(ends[1]);
    char piece[16384];
    for (ssize_t n; (n = read(ends[0], piece, sizeof piece)) > 0 || (n < 0 && errno == EINTR);) {
        buffer_append(said, piece, n > 0 ? (size_t)n : 0);
    }
    close(ends[0]);
    int status;
    if (waitpid(child, &status, 0) != child) {
        cannot("waitpid");
    }
    if (plan ? !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) : status != 0) {
        buffer_print(wrong, "life %u ended with status %#x", life, status);
    }
}

static bool said_done(const struct buffer *said)
{
    return memmem(said->data, said->length, "\ndone", 5) != NULL;
}

static void judge(const struct trial *t, const struct buffer *said, struct buffer *wrong)
{
    void *memory = calloc(1, t->memory_size ? t->memory_size : 1);
    char line[LINE_MOST + 1];
    for (struct view rest = buffer_view(said); memory && rest.length && !wrong->length;) {
        const char *end = memchr(rest.at, '\n', rest.length);
        size_t length = end ? (size_t)(end - rest.at) : rest.length;
        snprintf(line, sizeof line, "%.*s", (int)length, rest.at);
        t->judge(memory, line, wrong);
        if (wrong->length) {
            buffer_print(wrong, " (at \"%.200s\")", line);
        }
        rest = view_from(rest, length + 1);
    }
    free(memory);
}

static void tell_wrong(const struct job *j, const struct buffer *said, struct buffer *wrong)
{
    if (atomic_fetch_add(&j->figures->wrong, 1) || j->trial->broken) {
        return;
    }
    fprintf(stderr, "%s: %s\n%.*s\n", j->trial->name, buffer_string(wrong), VIEW_PRINT(buffer_view(said)));
}

/* One trial; whether life 0, and whether life 1 came to its end. */
static void run_trial(struct job *j, uint64_t seed, uint64_t cut, uint64_t recovery_cut, bool ended[2])
{
    struct random r = {seed * 1000003 + cut * 1009 + recovery_cut};
    struct buffer said = BUFFER(SAID_MOST), wrong = BUFFER(4096);
    struct power_loss_plan plan = {.folder = j->disk, .after = cut, .fail_syncs = j->trial->fail_syncs};
    if (mkdir(j->disk, 0700)) {
        cannot("%s", j->disk);
    }
    power_loss_disk();
    buffer_print(&said, "seed %llu: power fails during operation %llu, while recovering during %llu\n",
                 (unsigned long long)seed, (unsigned long long)cut, (unsigned long long)recovery_cut);
    plan.seed = random_next(&r);
    plan.only_killed = j->trial->kills && random_below(&r, 4) == 0;
    run_life(j, 0, &plan, seed, &said, &wrong);
    ended[0] = said_done(&said);
    size_t before = said.length;
    plan = (struct power_loss_plan){.folder = j->disk, .after = recovery_cut, .seed = random_next(&r)};
    run_life(j, 1, &plan, seed, &said, &wrong);
    ended[1] = memmem(said.data + before, said.length - before, "\ndone", 5) != NULL;
    if (random_below(&r, 2)) {
        plan.after = 1 + random_below(&r, RECOVERY_OPERATIONS);
        plan.seed = random_next(&r);
        run_life(j, 2, &plan, seed, &said, &wrong);
    }
    run_life(j, 3, NULL, seed, &said, &wrong);
    if (buffer_failed(&said)) {
        buffer_print(&wrong, "too much was said");
    }
    judge(j->trial, &said, &wrong);
    if (wrong.length) {
        tell_wrong(j, &said, &wrong);
    }
    atomic_fetch_add(&j->figures->trials, 1);
    buffer_free(&said);
    buffer_free(&wrong);
    remove_tree(j->disk);
    remove_tree(j->graves);
}

static bool goes_on(const struct job *j)
{
    return atomic_load(&j->figures->wrong) == 0;
}

/* all_cuts: in the first round. */
static void run_job(struct job *j, unsigned number, unsigned seeds, bool all_cuts)
{
    snprintf(j->folder, sizeof j->folder, "/tmp/roost-power-XXXXXX");
    if (!mkdtemp(j->folder)) {
        cannot("%s", j->folder);
    }
    snprintf(j->disk, sizeof j->disk, "%s/disk", j->folder);
    snprintf(j->graves, sizeof j->graves, "%s.graves", j->disk);
    j->next_cut = number;
    for (uint64_t seed = j->random_seed; seed < j->random_seed + seeds && goes_on(j);
         seed++, all_cuts = false) {
        bool ended[2] = {false, false};
        for (uint64_t cut = 1 + number; !ended[0] && goes_on(j); cut += j->trial->jobs) {
            uint64_t first = 1 + (all_cuts ? 0 : j->next_cut++ % RECOVERY_OPERATIONS), recovery_cut = first;
            do {
                run_trial(j, seed, cut, recovery_cut++, ended);
            } while (all_cuts && !ended[1] && goes_on(j));
        }
    }
    remove_tree(j->folder);
}

int trial_run(const struct trial *t)
{
    struct figures *figures =
        mmap(NULL, sizeof *figures, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const char *is_long = getenv("ROOST_LONG"), *seed = getenv("ROOST_SEED");
    bool all_cuts = is_long && strcmp(is_long, "1") == 0 && !t->broken;
    unsigned seeds = all_cuts ? t->seeds * LONG_FACTOR : t->seeds;
    struct job j = {.trial = t, .figures = figures, .random_seed = seed ? strtoull(seed, NULL, 10) : 4};
    if (figures == MAP_FAILED) {
        cannot("mmap");
    }
    for (unsigned i = 0; i < t->jobs; i++) {
        pid_t child = fork();
        if (child < 0) {
            cannot("fork");
        }
        if (child == 0) {
            run_job(&j, i, seeds, all_cuts);
            _exit(0);
        }
    }
    int status, result = 0;
    while (wait(&status) > 0) {
        result |= status != 0;
    }
    unsigned wrong = atomic_load(&figures->wrong);
    result |= t->broken ? !wrong : wrong != 0;
    printf("%s: %u trials, %s%s\n", t->name, atomic_load(&figures->trials), wrong ? "wrong" : "nothing wrong",
           t->broken ? ", which is broken on purpose" : "");
    fflush(stdout);
    munmap(figures, sizeof *figures);
    return result;
}
