/* cli/setup.h - what the files of `roost setup` share: the answers, and the parts of the work.
 *
 * setup.c has the command line and the order of things; setup_ask the terminal; setup_files the
 * configuration; setup_database what is done in PostgreSQL; setup_process other users and programs. One
 * thread. Parts say on stdout what they did, and return failures as struct err.
 */
#ifndef ROOST_CLI_SETUP_H
#define ROOST_CLI_SETUP_H

#include "base/buffer.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum setup_secret {
    SETUP_BEARER_TOKEN,
    SETUP_API_KEY,
    SETUP_API_SECRET,
    SETUP_ACCESS_TOKEN,
    SETUP_ACCESS_SECRET,
    SETUP_SECRET_COUNT
};

/* "bearer_token" ...: the keys of the configuration, and the names of the files beside it. */
extern const char *const setup_secret_names[SETUP_SECRET_COUNT];

enum {
    SETUP_SECRET_MAXIMUM = 16 * 1024,
    SETUP_TEXT_MAXIMUM = 8 * 1024 * 1024 /* a keyword file, an answer */
};

/* What was asked or given; strings are the command line's or on the heap, and live until the end. NULL or
 * empty: not given. */
struct setup {
    const char *etc_dir; /* /etc/roost, unless a test says otherwise */
    const char *user;    /* the services' user on this machine, and their role in PostgreSQL */
    const char *admin;   /* conninfo of an administrator; NULL: OS user postgres, over the Unix socket */
    const char *database;
    const char *network; /* "x-v1", "x-v2" */
    const char *url;
    const char *languages;
    const char *reader;     /* login that may read; "": nobody */
    struct buffer keywords; /* what keywords.txt will hold */
    struct buffer secrets[SETUP_SECRET_COUNT];
    const char *secret_paths[SETUP_SECRET_COUNT]; /* where they come from; "-": standard input */
    bool replace, dry_run, no_start, yes;
    int64_t wait_ms; /* for PostgreSQL's server, and for the first rows */
    char *kept[8];   /* answers on the heap */
    size_t kept_count;
};

/* --- setup_ask --- */

/* Prints the question on stdout and reads a line from the terminal (standard input); with `hidden` without
 * echo, which is given back also when a signal ends the program in between. *answer is trimmed and wiped by
 * who wipes the buffer. -1: ERR_FATAL, the input is at its end, or the answer too long. */
int setup_ask(const char *question, bool hidden, struct buffer *answer, struct err *e);

/* Asks again until check (may be NULL) takes the answer, saying what is wrong. An empty answer is `fallback`
 * (NULL: there must be one; "": none). The string is on the heap. NULL: as above, or memory is out. */
char *setup_ask_until(const char *question, const char *fallback, int (*check)(const char *, struct err *),
                      struct err *e);

/* A line of standard input, byte by byte, so that the next reader finds the next line; without its end. */
int setup_read_line(struct buffer *line, struct err *e);

/* A secret: the only line of the file, or a line of standard input ("-"). */
int setup_read_secret(const char *path, const char *name, struct buffer *secret, struct err *e);

/* Overwrites what is in it, and frees it. */
void setup_wipe(struct buffer *b);

/* Comma separated keywords as lines of a file; a comma between double quotes does not separate. */
void setup_keyword_lines(const char *keywords, struct buffer *lines);

/* Checks of single answers: 0, or -1 with what would be right. */
int setup_check_network(const char *value, struct err *why);
int setup_check_keywords(const char *value, struct err *why);
int setup_check_languages(const char *value, struct err *why);
int setup_check_name(const char *value, struct err *why);  /* of a database or login */
int setup_check_plain(const char *value, struct err *why); /* may stand in a configuration at all */

/* --- setup_files --- */

/* Is there a configuration that somebody wrote, so that it stays unless --replace says otherwise? What the
 * package installed and nobody changed, and a file of comments alone, is none. */
bool setup_has_configuration(const struct setup *s);

/* Checks the new configuration as `roost check` does, and puts it in its place with its keyword and secret
 * files: mode 0640, the user's group; what is replaced is kept as NAME.TIME. *changed: it did. With dry_run
 * it is shown and checked, no more; nothing is changed either when anything is wrong with it. */
int setup_write_files(const struct setup *s, bool *changed, struct err *e);

/* The path ETC_DIR/NAME, on the heap; NULL: memory is out. */
char *setup_path(const struct setup *s, const char *name);

/* --- setup_database --- */

/* The conninfo of the new configuration's sink. */
void setup_sink_conninfo(const struct setup *s, struct buffer *conninfo);

/* As administrator: the role and its database, made where they are missing. */
int setup_make_database(const struct setup *s, struct err *e);

/* As administrator, when the tables are there: roost_reader may read them, all later ones too, and the login
 * is a member of it, with search_path roost, public in this database. */
int setup_let_read(const struct setup *s, struct err *e);

/* As the services' user: waits for rows and prints the newest. *rows: how many. */
int setup_print_rows(const struct setup *s, const char *conninfo, int64_t wait_ms, size_t *rows,
                     struct err *e);

/* --- setup_process --- */

/* Runs work in a child process as this user (NULL: as who we are), in /, without the environment's PG*
 * variables. Returns what work returned (0 to 255); -1: there is no such user, or no process could be made.
 */
int setup_as(const char *user, int (*work)(void *), void *context, struct err *e);

/* Runs a program by its name in PATH, without a shell; its standard output goes into *output unless that is
 * NULL. Returns its exit status; -1: it could not be run. */
int setup_run(const char *const *arguments, struct buffer *output, struct err *e);

#endif
