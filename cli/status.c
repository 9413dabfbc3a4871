/* cli/status.c - `roost status`: asks both services over their sockets, for people and for monitors.
 *
 * The configuration file is needed only for where the sockets are and which services there should be; its
 * mistakes are not this subcommand's business, since the services may run with what it was before. A monitor
 * that may not read it is told by the default places.
 */
#include "base/clock.h"
#include "base/status_socket.h"
#include "bridge/settings.h"
#include "cli/command.h"
#include "cli/kinds.h"
#include "cli/status_judge.h"
#include "cli/status_print.h"
#include "config/service.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { ASK_MS = 2000, WATCH_MS = 1000, PICTURE_MAXIMUM = 1024 * 1024 };

struct options {
    const char *path;
    bool json, watch;
};

struct asked {
    struct options options;
    struct config *config; /* NULL: it may not be read */
    struct status_said listen, etl;
    struct buffer listen_answer, etl_answer;
    struct status_verdict verdict;
};

static int read_options(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"watch", no_argument, NULL, 'w'},
                                            {NULL, 0, NULL, 0}};
    *o = (struct options){.path = "/etc/roost/roost.conf"};
    optind = 1;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":c:", options, NULL)) != -1;) {
        switch (option) {
        case 'c':
            o->path = optarg;
            break;
        case 'j':
            o->json = true;
            break;
        case 'w':
            o->watch = true;
            break;
        case ':':
            return command_misuse(&status_command, "%s needs a file", argv[optind - 1]);
        default:
            return command_misuse(&status_command, "unknown option %s", argv[optind - 1]);
        }
    }
    if (optind < argc) {
        return command_misuse(&status_command, "unexpected argument %s", argv[optind]);
    }
    return 0;
}

/* ---- asking ---- */

/* The first place at which somebody answers, or does not answer in time; else why the last one failed. */
static int ask_places(const struct asked *a, const char *service, struct buffer *answer, struct err *e)
{
    const char *folders[SERVICE_FOLDERS];
    const struct bridge_settings *bridge = a->config ? config_settings(a->config, "bridge") : NULL;
    size_t count = service_runtime_folders(a->config ? config_settings(a->config, "service") : NULL,
                                           bridge ? bridge->spool_dir : NULL, folders);
    struct err first = {.text = ""};
    for (size_t i = 0; i < count; i++) {
        char *path = service_socket_path(folders[i], a->options.path, service);
        int result =
            path ? status_socket_ask(path, ASK_MS, answer, e) : err_set(e, ERR_RETRY, "memory is out");
        free(path);
        if (result == 0 || e->kind == ERR_RETRY) {
            return result;
        }
        first = i == 0 ? *e : first;
    }
    return err_set(e, ERR_FATAL, "not running (%s)", first.text);
}

static void ask(const struct asked *a, const char *service, struct buffer *answer, struct status_said *s)
{
    struct err e;
    cJSON_Delete(s->json);
    s->json = NULL;
    s->error[0] = '\0';
    buffer_reset(answer);
    if (ask_places(a, service, answer, &e) == 0) {
        s->raw = buffer_string(answer);
        s->json = s->raw ? cJSON_Parse(s->raw) : NULL;
        err_set(&e, ERR_RETRY, "what it answered cannot be read");
        if (s->json && !view_is(json_text(s->json, "service"), service)) {
            cJSON_Delete(s->json);
            s->json = NULL;
        }
    }
    if (!s->json) {
        snprintf(s->error, sizeof s->error, "%.299s", e.text);
    }
}

static void ask_both(struct asked *a)
{
    ask(a, "listen", &a->listen_answer, &a->listen);
    ask(a, "etl", &a->etl_answer, &a->etl);
    status_judge(&a->listen, &a->etl, &a->verdict);
}

/* ---- showing ---- */

static bool wants_colour(void)
{
    const char *none = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(none && none[0]) && !(terminal && strcmp(terminal, "dumb") == 0);
}

static void measure(struct status_paper *paper)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col) {
        paper->columns = size.ws_col;
        paper->rows = size.ws_row;
    } else if (columns && strspn(columns, "0123456789") == strlen(columns) && strlen(columns) < 5) {
        paper->columns = (int)strtol(columns, NULL, 10);
    }
}

static int write_out(struct buffer *picture)
{
    struct view bytes = buffer_view(picture);
    if (buffer_failed(picture)) {
        fputs("roost status: memory is out\n", stderr);
        return -1;
    }
    bool written = fwrite(bytes.at, 1, bytes.length, stdout) == bytes.length && fflush(stdout) == 0;
    return written ? 0 : -1;
}

static int show(const struct asked *a, bool redraw)
{
    struct buffer picture = BUFFER(PICTURE_MAXIMUM);
    bool terminal = isatty(STDOUT_FILENO);
    struct status_paper paper = {
        .colour = wants_colour(), .figures = !terminal, .redraw = redraw && terminal};
    if (a->options.json) {
        status_print_json(&picture, &a->listen, &a->etl, &a->verdict);
    } else {
        measure(&paper);
        paper.rows = redraw ? paper.rows : 0; /* else it scrolls */
        buffer_add_text(&picture, paper.redraw ? "\033[H" : "");
        status_print(&picture, &a->listen, &a->etl, &a->verdict, &paper);
        buffer_add_text(&picture, paper.redraw ? "\033[J" : "");
    }
    int result = write_out(&picture);
    buffer_free(&picture);
    return result;
}

/* Draws each second until a signal. No mode of the terminal is changed, so there is nothing to put back,
 * whatever ends this. */
static int watch(struct asked *a)
{
    sigset_t ends;
    bool draws = isatty(STDOUT_FILENO) && !a->options.json;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    int fd = signalfd(-1, &ends, SFD_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "roost status: cannot wait for signals: %s\n", strerror(errno));
        return STATUS_UNKNOWN;
    }
    fputs(draws ? "\033[2J" : "", stdout);
    int failed = 0;
    for (int ended = 0; !ended && !failed;) {
        ask_both(a);
        failed = show(a, true);
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        ended = poll(&wait, 1, WATCH_MS) > 0;
    }
    close(fd);
    return failed ? STATUS_UNKNOWN : STATUS_OK;
}

/* ---- the subcommand ---- */

/* 0, or -1 when the file says nothing: it is not there, or memory is out. One that may not be read is none.
 */
static int read_configuration(struct asked *a)
{
    static const char *const used[] = {"bridge", "service", NULL};
    const char *path = a->options.path;
    a->listen.wanted = a->etl.wanted = true;
    if (access(path, R_OK)) {
        if (errno == EACCES) {
            return 0;
        }
        fprintf(stderr, "roost status: cannot read %s: %s\n", path, strerror(errno));
        return -1;
    }
    a->config = config_load_for(path, all_kinds, all_kind_count, used);
    if (!a->config) {
        fputs("roost status: memory is out\n", stderr);
        return -1;
    }
    bool source = config_first(a->config, "source"), sink = config_first(a->config, "sink");
    a->listen.wanted = source || !sink;
    a->etl.wanted = sink || !source;
    return 0;
}

static int status_run(int argc, char **argv)
{
    struct asked *a = calloc(1, sizeof *a);
    int status = STATUS_UNKNOWN;
    if (!a) {
        fputs("roost status: memory is out\n", stderr);
        return status;
    }
    a->listen_answer = a->etl_answer = BUFFER(STATUS_SOCKET_MAXIMUM * 2);
    if (read_options(argc, argv, &a->options) == 0 && read_configuration(a) == 0) {
        if (a->options.watch) {
            status = watch(a);
        } else {
            ask_both(a);
            status = show(a, false) ? STATUS_UNKNOWN : (int)a->verdict.level;
        }
    }
    cJSON_Delete(a->listen.json);
    cJSON_Delete(a->etl.json);
    buffer_free(&a->listen_answer);
    buffer_free(&a->etl_answer);
    config_free(a->config);
    free(a);
    return status;
}

const struct command status_command = {
    .name = "status",
    .usage = "status [-c FILE] [--json | --watch]",
    .help =
        "How both services are: connection, posts per second, lag, spool, last batch, rejects and gaps of "
        "today.\n"
        "The first line says it all. Exit status as monitoring plugins have it: 0 fine, 1 warning, 2 "
        "critical,\n"
        "3 unknown (docs/status.md has the rules).\n\n"
        "    -c FILE   the configuration (default /etc/roost/roost.conf): where to ask, and which services\n"
        "    --json    one JSON object\n"
        "    --watch   draws it anew each second, until Ctrl-C\n",
    .run = status_run,
};
