/* cli/run.c - `roost run`: both services in one terminal.
 *
 * Two children of the same binary, so that one crash takes down one service as it would under systemd, and
 * nothing is shared between them. Ctrl-C reaches both (they are in the terminal's foreground group); SIGTERM
 * is handed on. When one ends, the other is stopped, and the exit status is the first one's that is not 0.
 */
#include "base/log.h"
#include "cli/command.h"
#include "cli/kinds.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct log_context context = {"run", NULL};

static pid_t start_child(const char *service, const char *path, const sigset_t *usual)
{
    pid_t parent = getpid();
    pid_t child = fork();
    if (child != 0) {
        return child;
    }
    sigprocmask(SIG_SETMASK, usual, NULL);
    /* Should this process be killed, its services end too instead of running on unseen. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(1);
    }
    execl("/proc/self/exe", "roost", service, "-c", path, (char *)NULL);
    log_error(&context, "cannot start roost %s: %s", service, strerror(errno));
    _exit(1);
}

static int exit_status_of(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static bool has_terminal(void)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

/* SIGHUP asks for a reload, but it is also how the kernel says that the terminal is gone. */
static bool terminal_lost(bool had_terminal)
{
    return had_terminal && !has_terminal();
}

/* Waits until both children are gone, handing on signals; returns the exit status. */
static int supervise(const pid_t children[2], const sigset_t *handled)
{
    static const char *const names[2] = {"listen", "etl"};
    bool alive[2] = {true, true};
    int result = 0;
    bool stopping = false, had_terminal = has_terminal();
    while (alive[0] || alive[1]) {
        int number;
        sigwait(handled, &number);
        if (number != SIGCHLD) {
            bool reload = number == SIGHUP && !terminal_lost(had_terminal);
            stopping = stopping || !reload;
            for (int i = 0; i < 2; i++) {
                if (alive[i]) {
                    kill(children[i], reload ? SIGHUP : SIGTERM);
                }
            }
            continue;
        }
        int status;
        for (pid_t gone; (gone = waitpid(-1, &status, WNOHANG)) > 0;) {
            int which = gone == children[0] ? 0 : 1;
            alive[which] = false;
            int code = exit_status_of(status);
            if (code && !result) {
                result = code;
            }
            if (alive[!which] && !stopping) {
                log_notice(&context, "roost %s ended with %d; stopping roost %s", names[which], code,
                           names[!which]);
                kill(children[!which], SIGTERM);
            }
        }
    }
    return result;
}

static int run_run(int argc, char **argv)
{
    const char *path = kinds_path(&run_command, argc, argv);
    struct config *config = path ? kinds_load(path, NULL) : NULL;
    if (!config) {
        return 2;
    }
    config_free(config);
    sigset_t handled, usual;
    sigemptyset(&handled);
    sigaddset(&handled, SIGINT);
    sigaddset(&handled, SIGTERM);
    sigaddset(&handled, SIGHUP);
    sigaddset(&handled, SIGCHLD);
    sigprocmask(SIG_BLOCK, &handled, &usual);
    pid_t children[2] = {start_child("listen", path, &usual), -1};
    if (children[0] > 0) {
        children[1] = start_child("etl", path, &usual);
    }
    if (children[0] < 0 || children[1] < 0) {
        log_error(&context, "cannot fork: %s", strerror(errno));
        if (children[0] > 0) {
            kill(children[0], SIGTERM);
            waitpid(children[0], NULL, 0);
        }
        return 1;
    }
    return supervise(children, &handled);
}

const struct command run_command = {
    .name = "run",
    .usage = "run [-c FILE]",
    .help =
        "Runs roost listen and roost etl together in this terminal until Ctrl-C. When one of them ends, the\n"
        "other is stopped. SIGHUP re-reads the configuration. `roost migrate` must have made the tables.\n\n"
        "    -c FILE   the configuration (default /etc/roost/roost.conf)\n",
    .run = run_run,
};
