/* cli/setup_ask.c - questions on a terminal, secrets from files, and what is wrong with an answer. */
#include "base/arena.h"
#include "base/file.h"
#include "base/utf8.h"
#include "cli/setup.h"
#include "config/language.h"
#include "text/keyword.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

enum { CHECK_MEMORY = 8 * 1024 * 1024 };

const char *const setup_secret_names[SETUP_SECRET_COUNT] = {"bearer_token", "api_key", "api_secret",
                                                            "access_token", "access_secret"};

void setup_wipe(struct buffer *b)
{
    if (b->data) {
        explicit_bzero(b->data, b->length);
    }
    buffer_free(b);
}

/* ---- lines ---- */

int setup_read_line(struct buffer *line, struct err *e)
{
    for (;;) {
        char byte;
        ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_set(e, ERR_FATAL, "cannot read the answer: %s", strerror(errno));
        }
        if (n == 0 && line->length == 0) {
            return err_set(e, ERR_FATAL, "the input ended before all was answered; nothing was changed");
        }
        if (n == 0 || byte == '\n') {
            break;
        }
        buffer_add_byte(line, byte);
    }
    return buffer_failed(line) ? err_set(e, ERR_FATAL, "the answer is too long") : 0;
}

static void trim(struct buffer *b)
{
    struct view whole = buffer_view(b), kept = view_trim(whole);
    size_t front = kept.length ? (size_t)(kept.at - whole.at) : whole.length;
    buffer_drop(b, front);
    b->length = kept.length;
}

/* The signals that end a program wait while the terminal does not echo, so that it can be given back first.
 */
static void ending_signals(sigset_t *set)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
    sigemptyset(set);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaddset(set, numbers[i]);
    }
}

/* Waits for a line, or for one of the signals. */
static void wait_for_line(int signals)
{
    struct pollfd waits[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    while (poll(waits, 2, -1) < 0 && errno == EINTR) {
    }
}

static void print_question(const char *question)
{
    printf("%s ", question);
    fflush(stdout);
}

/* The terminal is silent before the question can be seen. */
static int ask_hidden(const char *question, struct buffer *line, struct err *e)
{
    struct termios before, silent;
    sigset_t ending, mask;
    if (tcgetattr(STDIN_FILENO, &before)) {
        print_question(question);
        return setup_read_line(line, e);
    }
    ending_signals(&ending);
    sigprocmask(SIG_BLOCK, &ending, &mask);
    int signals = signalfd(-1, &ending, SFD_CLOEXEC);
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    silent.c_lflag |= ECHONL;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    print_question(question);
    wait_for_line(signals);
    struct pollfd line_there = {.fd = STDIN_FILENO, .events = POLLIN};
    int rc = 0;
    if (poll(&line_there, 1, 0) == 1) {
        rc = setup_read_line(line, e);
    }
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
    close(signals);
    sigprocmask(SIG_SETMASK, &mask, NULL); /* a signal that waited ends the program here */
    return rc;
}

int setup_ask(const char *question, bool hidden, struct buffer *answer, struct err *e)
{
    if (hidden ? ask_hidden(question, answer, e) : (print_question(question), setup_read_line(answer, e))) {
        return -1;
    }
    trim(answer);
    return 0;
}

char *setup_ask_until(const char *question, const char *fallback, int (*check)(const char *, struct err *),
                      struct err *e)
{
    for (;;) {
        struct buffer answer = BUFFER(SETUP_TEXT_MAXIMUM);
        struct err why;
        if (setup_ask(question, false, &answer, e)) {
            buffer_free(&answer);
            return NULL;
        }
        const char *given = answer.length ? buffer_string(&answer) : fallback;
        bool right = given && (!given[0] || !check || check(given, &why) == 0);
        char *copy = right ? strdup(given) : NULL;
        if (!given) {
            puts("  an answer is needed here");
        } else if (!right) {
            printf("  %s\n", why.text);
        }
        buffer_free(&answer);
        if (right) {
            if (!copy) {
                err_set(e, ERR_RETRY, "out of memory");
            }
            return copy;
        }
    }
}

/* ---- secrets ---- */

int setup_read_secret(const char *path, const char *name, struct buffer *secret, struct err *e)
{
    bool input = strcmp(path, "-") == 0;
    if (input ? setup_read_line(secret, e) : file_read(path, secret, e)) {
        return err_wrap(e, "%s", name);
    }
    trim(secret);
    struct view v = buffer_view(secret);
    if (!v.length || memchr(v.at, '\n', v.length) || memchr(v.at, '\0', v.length) || !utf8_valid(v)) {
        return err_set(e, ERR_FATAL,
                       "%s: %s holds no single line of text: it holds the secret and nothing else", name,
                       input ? "standard input" : path);
    }
    return 0;
}

/* ---- keywords ---- */

/* The next item of a comma separated text; false: no more. */
static bool next_item(struct view *rest, struct view *item)
{
    if (view_absent(*rest)) {
        return false;
    }
    bool quoted = false;
    size_t n = 0;
    while (n < rest->length && (quoted || rest->at[n] != ',')) {
        quoted ^= rest->at[n] == '"';
        n++;
    }
    *item = view_trim(view_make(rest->at, n));
    *rest = n < rest->length ? view_from(*rest, n + 1) : view_none();
    return true;
}

void setup_keyword_lines(const char *keywords, struct buffer *lines)
{
    struct view rest = view_of(keywords), item;
    while (next_item(&rest, &item)) {
        if (item.length) {
            buffer_add_view(lines, item);
            buffer_add_byte(lines, '\n');
        }
    }
}

/* ---- what is wrong with an answer ---- */

int setup_check_plain(const char *value, struct err *why)
{
    for (const char *at = value; *at; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f || *at == '"') {
            return err_set(why, ERR_FATAL, "it may hold neither a double quote nor a line break or the like");
        }
    }
    return utf8_valid(view_of(value)) ? 0 : err_set(why, ERR_FATAL, "it is not UTF-8");
}

int setup_check_network(const char *value, struct err *why)
{
    if (strcmp(value, "x-v1") == 0 || strcmp(value, "x-v2") == 0) {
        return 0;
    }
    return err_set(why, ERR_FATAL,
                   "x-v2 (X's API of today) or x-v1 (servers that speak Twitter's API v1.1) is right");
}

int setup_check_keywords(const char *value, struct err *why)
{
    struct view rest = view_of(value), item;
    struct arena *memory = arena_new(CHECK_MEMORY);
    struct keyword keyword;
    size_t count = 0;
    int rc = memory && utf8_valid(rest) ? 0 : err_set(why, ERR_FATAL, "it is not UTF-8");
    while (rc == 0 && next_item(&rest, &item)) {
        int kind = item.length ? keyword_parse(item, memory, &keyword, why) : 0;
        rc = kind < 0 ? err_wrap(why, "%.*s", VIEW_PRINT(item)) : 0;
        count += kind > 0;
    }
    arena_free(memory);
    if (rc == 0 && count == 0) {
        return err_set(why, ERR_FATAL,
                       "at least one keyword is needed: word, \"two words\", #tag, @name, -never");
    }
    return rc;
}

int setup_check_languages(const char *value, struct err *why)
{
    struct view rest = view_of(value), item;
    while (next_item(&rest, &item)) {
        if (!language_known(item)) {
            return err_set(why, ERR_FATAL, "%.*s: each is the code of a language (ISO 639): en, es, zh-CN",
                           VIEW_PRINT(item));
        }
    }
    return 0;
}

int setup_check_name(const char *value, struct err *why)
{
    if (strlen(value) > 63 || value[0] == '\0') {
        return err_set(why, ERR_FATAL, "a name of 1 to 63 bytes is right");
    }
    return setup_check_plain(value, why);
}
