#include "cli/tail.h"

#include "base/log.h"
#include "base/number.h"
#include "base/utf8.h"
#include "cli/command.h"
#include "etl/dstream.h"
#include "etl/sources.h"
#include "text/lower.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { BACK_OFF_FIRST_MS = 100, BACK_OFF_MOST_MS = 5000, PIECE = 64 * 1024 };

static const struct log_context log_tail = {"tail", NULL};

static int write_all(struct view bytes, struct err *e)
{
    while (bytes.length > 0) {
        ssize_t n = write(STDOUT_FILENO, bytes.at, bytes.length);
        if (n < 0 && errno != EINTR) {
            return err_set(e, ERR_RETRY, "cannot write to standard output: %s", strerror(errno));
        }
        bytes = view_from(bytes, n > 0 ? (size_t)n : 0);
    }
    return 0;
}

/* ---- raw ---- */

static void pause_ms(int64_t ms)
{
    const struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&wait, NULL);
}

/* Copies until the peer closes (0, *left counts down) or standard output fails (-1). */
static int copy_raw(int fd, int64_t *left, bool counted, struct err *e)
{
    char *piece = malloc(PIECE);
    int result = piece ? 0 : err_set(e, ERR_RETRY, "out of memory");
    while (result == 0 && (!counted || *left > 0)) {
        ssize_t n = read(fd, piece, PIECE);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        result = write_all(view_make(piece, (size_t)n), e);
        (*left)--;
    }
    free(piece);
    return result;
}

static int tail_raw(const char *address, int64_t batch_limit, struct err *e)
{
    int64_t wait_ms = BACK_OFF_FIRST_MS, left = batch_limit;
    bool away = false;
    while (batch_limit == 0 || left > 0) {
        struct err why;
        int fd = stream_socket_connect(address, &why);
        if (fd >= 0) {
            if (away) {
                log_notice(&log_tail, "connected to %s", address);
            }
            away = false;
            wait_ms = BACK_OFF_FIRST_MS;
            int result = copy_raw(fd, &left, batch_limit > 0, e);
            close(fd);
            if (result != 0) {
                return -1;
            }
            err_set(&why, ERR_RETRY, "%s closed the connection", address);
        }
        if (why.kind == ERR_FATAL) {
            return err_set(e, ERR_FATAL, "%s", why.text);
        }
        if (batch_limit > 0 && left <= 0) {
            break;
        }
        if (!away) {
            log_warning(&log_tail, "%s; connecting again until it is there", why.text);
            away = true;
        }
        pause_ms(wait_ms);
        wait_ms = wait_ms * 2 < BACK_OFF_MOST_MS ? wait_ms * 2 : BACK_OFF_MOST_MS;
    }
    return 0;
}

/* ---- batches ---- */

struct tail {
    struct view marker;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t left; /* batches to print; counted only when there is a limit */
    bool counted, ended;
};

static void *scratch_new(void *user, struct err *e)
{
    (void)user;
    return text_worker_new(e);
}

static void scratch_free(void *scratch)
{
    text_worker_free(scratch);
}

/* flatMap: lower().split(marker) */
static int split_line(struct task *task, struct record in, void *user)
{
    const struct tail *tail = user;
    struct view rest = text_lower(task_scratch(task), view_make(in.data, in.size), task_arena(task));
    while (!view_absent(rest)) {
        const char *end =
            rest.length > 0 ? memmem(rest.at, rest.length, tail->marker.at, tail->marker.length) : NULL;
        size_t length = end ? (size_t)(end - rest.at) : rest.length;
        if (task_emit(task, (struct record){(void *)rest.at, length}) != 0) {
            return -1;
        }
        rest = end ? view_from(rest, length + tail->marker.length) : view_none();
    }
    return 0;
}

/* filter: not empty */
static int is_something(struct task *task, struct record in, void *user)
{
    (void)task;
    (void)user;
    return in.size > 0;
}

/* What a terminal would obey instead of show: C0 and C1 controls, line and paragraph separators, and the
 * marks that turn the direction of writing for what follows. */
static bool steers_terminal(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x2028 || point == 0x2029 ||
           (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

static void show_text(struct buffer *line, struct record record, void *user)
{
    (void)user;
    struct view text = view_make(record.data, record.size);
    for (size_t at = 0; at < text.length;) {
        size_t from = at;
        uint32_t point = utf8_next(text, &at);
        if (point == UTF8_BAD) {
            buffer_add_text(line, "\xef\xbf\xbd");
        } else if (steers_terminal(point)) {
            buffer_print(line, point < 0x100 ? "\\x%02x" : "\\u%04x", point);
        } else {
            buffer_append(line, text.at + from, at - from);
        }
    }
}

static void tail_end(struct tail *tail)
{
    pthread_mutex_lock(&tail->lock);
    tail->ended = true;
    pthread_cond_broadcast(&tail->changed);
    pthread_mutex_unlock(&tail->lock);
}

static int write_batch(void *user, struct view text, struct err *e)
{
    struct tail *tail = user;
    if (tail->counted && tail->left == 0) {
        return 0;
    }
    if (write_all(text, e) != 0) {
        return -1;
    }
    if (tail->counted && --tail->left == 0) {
        tail_end(tail);
    }
    return 0;
}

static void batch_failed(void *user, const struct err *error)
{
    (void)error;
    tail_end(user);
}

static int define_stream(struct stream_context *context, struct tail *tail, const char *address,
                         struct err *e)
{
    const struct stream_socket_settings socket = {address, BACK_OFF_FIRST_MS, BACK_OFF_MOST_MS};
    const struct stream_print print = {
        .records = STREAM_PRINT_RECORDS, .show = show_text, .write = write_batch, .user = tail};
    struct dstream *lines = stream_socket_text(context, &socket, e);
    struct dstream *pieces = stream_flat_map(lines, split_line, tail, e);
    struct dstream *texts = stream_filter(pieces, is_something, NULL, e);
    return stream_pprint(texts, &print, e);
}

static int run_until_end(struct stream_context *context, struct tail *tail, struct err *e)
{
    if (stream_start(context, e) != 0) {
        return -1;
    }
    pthread_mutex_lock(&tail->lock);
    while (!tail->ended) {
        pthread_cond_wait(&tail->changed, &tail->lock);
    }
    pthread_mutex_unlock(&tail->lock);
    stream_stop(context, false);
    return stream_await_termination(context, 0, e) < 0 ? -1 : 0;
}

static int tail_batches(const char *address, const char *marker, int64_t interval_ms, int64_t batch_limit,
                        struct err *e)
{
    int result = -1;
    struct tail tail = {.marker = view_of(marker), .left = batch_limit, .counted = batch_limit > 0};
    const struct stream_engine_settings workers = {
        .workers = 1, .scratch_new = scratch_new, .scratch_free = scratch_free};
    const struct stream_settings settings = {
        .batch_interval_ms = interval_ms, .failed = batch_failed, .user = &tail};
    struct stream_context *context = NULL;
    pthread_mutex_init(&tail.lock, NULL);
    pthread_cond_init(&tail.changed, NULL);
    struct stream_engine *engine = stream_engine_new(&workers, e);
    if (engine) {
        context = stream_context_new(engine, &settings, e);
    }
    if (context && define_stream(context, &tail, address, e) == 0) {
        result = run_until_end(context, &tail, e);
    }
    stream_context_free(context);
    stream_engine_free(engine);
    pthread_cond_destroy(&tail.changed);
    pthread_mutex_destroy(&tail.lock);
    return result;
}

int tail_run(const char *address, bool raw, const char *marker, int64_t interval_ms, int64_t batch_limit,
             struct err *e)
{
    if (raw) {
        return tail_raw(address, batch_limit, e);
    }
    if (!marker || marker[0] == '\0') {
        return err_set(e, ERR_FATAL,
                       "the end marker is empty: the bridge's end_marker is right, __end by default");
    }
    return tail_batches(address, marker, interval_ms, batch_limit, e);
}

/* ---- the subcommand ---- */

/* Nothing is to be saved, so a signal ends it at once, with 0: looking is over. */
static void end_at_once(int number)
{
    (void)number;
    _exit(0);
}

static int tail_command_run(int argc, char **argv)
{
    static const struct option options[] = {{"raw", no_argument, NULL, 'r'},
                                            {"end-marker", required_argument, NULL, 'm'},
                                            {"interval", required_argument, NULL, 'i'},
                                            {"batches", required_argument, NULL, 'n'},
                                            {NULL, 0, NULL, 0}};
    bool raw = false;
    const char *marker = "__end";
    int64_t interval_ms = 1000, batches = 0;
    optind = 1;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (option == 'r') {
            raw = true;
        } else if (option == 'm' && *optarg) {
            marker = optarg;
        } else if ((option == 'i' && number_parse(view_of(optarg), 10, 3600000, &interval_ms)) ||
                   (option == 'n' && number_parse(view_of(optarg), 0, INT64_MAX, &batches)) ||
                   option == 'm' || option == '?' || option == ':') {
            return command_misuse(&tail_command, "%s is not understood", argv[optind - 1]);
        }
    }
    if (argc - optind > 1) {
        return command_misuse(&tail_command, "one address, not %d", argc - optind);
    }
    const struct sigaction action = {.sa_handler = end_at_once};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    struct err e;
    if (tail_run(optind < argc ? argv[optind] : "127.0.0.1:5555", raw, marker, interval_ms, batches, &e)) {
        log_error(&log_tail, "%s", e.text);
        return err_exit_status(&e);
    }
    return 0;
}

const struct command tail_command = {
    .name = "tail",
    .usage = "tail [--raw] [HOST:PORT | SOCKET]",
    .help = "Looks at what crosses a bridge, as any plain client can; needs no configuration.\n"
            "Shows batches as Spark's pprint does after its usual split: lowercased, time, the first ten "
            "posts, `...`.\n\n"
            "    HOST:PORT           the bridge (default 127.0.0.1:5555), or a Unix socket's path\n"
            "    --raw               every byte as it comes\n"
            "    --interval MS       the batch interval, 10 to 3600000 (default 1000)\n"
            "    --batches N         ends after N batches (default: endless)\n"
            "    --end-marker TEXT   as in [bridge] end_marker (default __end)\n",
    .run = tail_command_run,
};
