/* cli/setup_process.c - work as another user, and other programs. No shell anywhere. */
#include "cli/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int wait_for(pid_t child, const char *what, struct err *e)
{
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return err_set(e, ERR_RETRY, "%s: %s", what, strerror(errno));
        }
    }
    if (!WIFEXITED(status)) {
        return err_set(e, ERR_RETRY, "%s was ended by signal %d", what,
                       WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
    return WEXITSTATUS(status);
}

/* What the administrator's shell says of some server is not about ours. */
static void forget_libpq_environment(void)
{
    for (char **at = environ; at && *at;) {
        char name[64];
        size_t length = strcspn(*at, "=");
        if (strncmp(*at, "PG", 2) == 0 && length < sizeof name) {
            memcpy(name, *at, length);
            name[length] = '\0';
            unsetenv(name);
            at = environ;
        } else {
            at++;
        }
    }
}

static int become(const struct passwd *p)
{
    if (p->pw_uid == geteuid()) {
        return 0;
    }
    return initgroups(p->pw_name, p->pw_gid) || setgid(p->pw_gid) || setuid(p->pw_uid) ? -1 : 0;
}

int setup_as(const char *user, int (*work)(void *), void *context, struct err *e)
{
    errno = 0;
    const struct passwd *p = user ? getpwnam(user) : NULL;
    if (user && !p) {
        return err_set(e, ERR_FATAL, "there is no user %s on this machine", user);
    }
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        return err_set(e, ERR_RETRY, "cannot make a process: %s", strerror(errno));
    }
    if (child == 0) {
        forget_libpq_environment();
        if (p && become(p)) {
            fprintf(stderr, "roost setup: cannot become user %s: %s\n", user, strerror(errno));
            _exit(2);
        }
        int status = chdir("/") ? 1 : work(context);
        fflush(NULL);
        _exit(status);
    }
    return wait_for(child, "the work in the database", e);
}

/* Until its end; what does not fit is read and dropped. */
static void take_output(int from, struct buffer *output)
{
    char bytes[4096];
    for (;;) {
        ssize_t n = read(from, bytes, sizeof bytes);
        if (n > 0) {
            buffer_append(output, bytes, (size_t)n);
        } else if (n == 0 || errno != EINTR) {
            return;
        }
    }
}

int setup_run(const char *const *arguments, struct buffer *output, struct err *e)
{
    int ends[2] = {-1, -1};
    pid_t child;
    posix_spawn_file_actions_t actions;
    if (output && pipe2(ends, O_CLOEXEC)) {
        return err_set(e, ERR_RETRY, "cannot make a pipe: %s", strerror(errno));
    }
    fflush(NULL);
    posix_spawn_file_actions_init(&actions);
    if (output) {
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    }
    /* posix_spawn takes char *const *, and changes nothing. */
    int failed = posix_spawnp(&child, arguments[0], &actions, NULL, (char *const *)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (output) {
        close(ends[1]);
        if (!failed) {
            take_output(ends[0], output);
        }
        close(ends[0]);
    }
    if (failed) {
        return err_set(e, ERR_FATAL, "cannot run %s: %s", arguments[0], strerror(failed));
    }
    return wait_for(child, arguments[0], e);
}
