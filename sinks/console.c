#include "sinks/console.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "sinks/interrupt.h"
#include "sinks/memory_position.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum { TEXT_LETTERS = 120, NAME_LETTERS = 60, LINES_MOST = 64 * 1024 * 1024, GATHER = 64 * 1024 };

struct sink {
    int interrupt;
    struct buffer lines;
    struct memory_positions positions;
};

struct console_settings {
    struct sink_settings sink;
};

const struct config_type_table console_config = {
    .name = "console",
    .settings_size = sizeof(struct console_settings),
};

/* Would do something to a terminal other than stand there: C0, DEL, C1, line separators, direction overrides.
 */
static bool unprintable(uint32_t point)
{
    return point < 0x20 || (point >= 0x7F && point <= 0x9F) || point == 0x2028 || point == 0x2029 ||
           (point >= 0x202A && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069) || point == UTF8_BAD;
}

static void print_text(struct buffer *b, struct view text, size_t letters)
{
    for (size_t at = 0; at < text.length; letters--) {
        if (letters == 0) {
            buffer_add_text(b, "...");
            return;
        }
        size_t begin = at;
        uint32_t point = utf8_next(text, &at);
        if (unprintable(point)) {
            buffer_print(b, "\\u{%x}", point == UTF8_BAD ? 0xFFFD : point);
        } else {
            buffer_append(b, text.at + begin, at - begin);
        }
    }
}

void console_print(struct buffer *b, const struct post *p)
{
    char time[CLOCK_TEXT_SIZE];
    bool is_post = p->kind == POST_POST;
    int64_t when = is_post && p->created_at != CLOCK_NONE ? p->created_at : p->received_at;
    buffer_add_text(b, when == CLOCK_NONE ? "-" : clock_format(when, time));
    if (is_post) {
        struct view author = view_absent(p->author_handle) ? p->author_id : p->author_handle;
        buffer_add_text(b, " @");
        print_text(b, author, NAME_LETTERS);
        buffer_add_text(b, ": ");
        print_text(b, view_absent(p->clean_text) ? p->text : p->clean_text, TEXT_LETTERS);
    } else {
        buffer_print(b, " %s ", post_kind_names[p->kind]);
        print_text(b, p->source, NAME_LETTERS);
        buffer_add_byte(b, ' ');
        print_text(b, p->id, NAME_LETTERS);
    }
    buffer_add_byte(b, '\n');
}

/* Pieces of PIPE_BUF bytes, which a pipe that poll calls writable takes without blocking (pipe(7)), so that a
 * reader who stopped reading cannot keep us from stopping. */
static int send(struct sink *s, struct err *e)
{
    for (size_t at = 0; at < s->lines.length;) {
        size_t n = s->lines.length - at < PIPE_BUF ? s->lines.length - at : PIPE_BUF;
        if (interrupt_wait(s->interrupt, STDOUT_FILENO, POLLOUT, INT64_MAX) == INTERRUPT_RAISED) {
            return err_set(e, ERR_RETRY, "told to stop");
        }
        ssize_t written = write(STDOUT_FILENO, s->lines.data + at, n);
        if (written > 0) {
            at += (size_t)written;
        } else if (written < 0 && errno != EINTR && errno != EAGAIN) {
            return err_set(e, errno == EPIPE ? ERR_FATAL : ERR_RETRY, "cannot write to stdout: %s",
                           strerror(errno));
        }
    }
    buffer_reset(&s->lines);
    return 0;
}

static int print_rows(struct sink *s, const struct load_row *rows, size_t n, uint64_t position, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (rows[i].sequence > position) {
            console_print(&s->lines, rows[i].post);
        }
        if (buffer_failed(&s->lines)) {
            return err_set(e, ERR_RETRY, "memory is out");
        }
        if (s->lines.length >= GATHER && send(s, e)) {
            return -1;
        }
    }
    return 0;
}

static int console_write(struct sink *s, const struct load *load, struct err *e)
{
    buffer_reset(&s->lines);
    for (size_t i = 0; i < load->part_count; i++) {
        const struct load_part *part = &load->parts[i];
        uint64_t position = memory_position_get(&s->positions, load->consumer, part->spool);
        if (part->last_sequence <= position) {
            continue;
        }
        if (print_rows(s, part->posts, part->post_count, position, e) ||
            print_rows(s, part->events, part->event_count, position, e) || send(s, e) ||
            memory_position_set(&s->positions, load->consumer, part->spool, part->last_sequence, e)) {
            return -1;
        }
    }
    return 0;
}

static int console_position(struct sink *s, const char *consumer, struct view spool, uint64_t *sequence,
                            struct err *e)
{
    (void)e;
    *sequence = memory_position_get(&s->positions, consumer, spool);
    return 0;
}

static void console_close(struct sink *s)
{
    if (!s) {
        return;
    }
    memory_position_free(&s->positions);
    buffer_free(&s->lines);
    if (s->interrupt >= 0) {
        close(s->interrupt);
    }
    free(s);
}

static struct sink *console_open(const void *settings, const char *name, struct err *e)
{
    (void)settings;
    struct sink *s = calloc(1, sizeof *s);
    if (!s) {
        err_set(e, ERR_FATAL, "[sink %s]: memory is out", name);
        return NULL;
    }
    s->lines = BUFFER(LINES_MOST);
    s->interrupt = interrupt_new(e);
    if (s->interrupt < 0) {
        console_close(s);
        return NULL;
    }
    return s;
}

static void console_stop(struct sink *s)
{
    interrupt_raise(s->interrupt);
}

const struct sink_type sink_console = {
    .config = &console_config,
    .open = console_open,
    .position = console_position,
    .write = console_write,
    .stop = console_stop,
    .close = console_close,
};
