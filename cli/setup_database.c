/* cli/setup_database.c - role, database, reader and first rows. Names go to the server as parameters, and it
 * quotes them itself (format's %I): no statement is put together here from what somebody typed.
 */
#include "base/clock.h"
#include "cli/setup.h"
#include "sinks/postgres_link.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CONNINFO_MAXIMUM = 16 * 1024, AGAIN_MS = 500, ADMIN_WAIT_MS = 30 * 1000, ROWS_SHOWN = 5 };

/* ---- conninfos ---- */

static void add_pair(struct buffer *b, const char *keyword, const char *value)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
    bool quote = !*value || value[strspn(value, plain)];
    buffer_print(b, "%s%s=%s", b->length ? " " : "", keyword, quote ? "'" : "");
    for (const char *at = value; *at; at++) {
        if (*at == '\'' || *at == '\\') {
            buffer_add_byte(b, '\\');
        }
        buffer_add_byte(b, *at);
    }
    buffer_add_text(b, quote ? "'" : "");
}

/* Where a conninfo's server is, or all that it says but the database; then this database. */
static void rewrite(const char *conninfo, bool server_alone, const char *database, struct buffer *into)
{
    static const char *const server[] = {"host", "hostaddr", "port"};
    PQconninfoOption *options = conninfo ? PQconninfoParse(conninfo, NULL) : NULL;
    for (const PQconninfoOption *o = options; o && o->keyword; o++) {
        bool wanted = !server_alone && strcmp(o->keyword, "dbname") != 0;
        for (size_t i = 0; i < sizeof server / sizeof server[0]; i++) {
            wanted = wanted || strcmp(o->keyword, server[i]) == 0;
        }
        if (wanted && o->val) {
            add_pair(into, o->keyword, o->val);
        }
    }
    PQconninfoFree(options);
    add_pair(into, "dbname", database);
}

void setup_sink_conninfo(const struct setup *s, struct buffer *conninfo)
{
    rewrite(s->admin, true, s->database, conninfo);
}

static struct postgres_link *connect_to(const char *conninfo, int64_t wait_ms, struct err *e)
{
    struct postgres_link *link = postgres_link_new(conninfo, e);
    int64_t deadline = clock_real_ms() + wait_ms;
    if (!link) {
        return NULL;
    }
    while (postgres_link_connect(link, NULL, e)) {
        const struct timespec pause = {.tv_nsec = AGAIN_MS * 1000000L};
        if (e->kind != ERR_RETRY || clock_real_ms() >= deadline) {
            postgres_link_free(link);
            return NULL;
        }
        nanosleep(&pause, NULL);
    }
    return link;
}

static struct postgres_link *connect_admin(const struct setup *s, const char *database, struct err *e)
{
    struct buffer conninfo = BUFFER(CONNINFO_MAXIMUM);
    rewrite(s->admin, false, database, &conninfo);
    const char *text = buffer_string(&conninfo);
    struct postgres_link *link = NULL;
    if (text) {
        link = connect_to(text, s->wait_ms < ADMIN_WAIT_MS ? s->wait_ms : ADMIN_WAIT_MS, e);
    } else {
        err_set(e, ERR_RETRY, "out of memory");
    }
    setup_wipe(&conninfo); /* it may hold a password */
    return link;
}

/* ---- statements ---- */

/* Asks with one or two parameters (the second may be NULL); *yes: the only answer is true. */
static int ask_whether(struct postgres_link *link, const char *sql, const char *first, const char *second,
                       bool *yes, struct err *e)
{
    const char *values[] = {first, second};
    PGresult *rows;
    if (postgres_link_ask(link, sql, second ? 2 : 1, values, &rows, e)) {
        return -1;
    }
    *yes = PQntuples(rows) > 0 && PQgetvalue(rows, 0, 0)[0] == 't';
    PQclear(rows);
    return 0;
}

/* Lets the server put quoted names into a statement, then runs that. */
static int run_with(struct postgres_link *link, const char *format_sql, const char *first, const char *second,
                    struct err *e)
{
    const char *values[] = {first, second};
    PGresult *rows;
    if (postgres_link_ask(link, format_sql, second ? 2 : 1, values, &rows, e)) {
        return -1;
    }
    int rc = postgres_link_run(link, PQgetvalue(rows, 0, 0), e);
    PQclear(rows);
    return rc;
}

static int make_role(struct postgres_link *link, const char *name, const char *format_sql, struct err *e)
{
    bool there;
    if (ask_whether(link, "SELECT count(*) > 0 FROM pg_roles WHERE rolname = $1", name, NULL, &there, e)) {
        return -1;
    }
    if (there) {
        return 0;
    }
    if (run_with(link, format_sql, name, NULL, e)) {
        return -1;
    }
    printf("made the role %s\n", name);
    return 0;
}

/* template0 takes UTF8 in any cluster, but for one whose locale demands another encoding: then with C. */
static int create_database(struct postgres_link *link, const struct setup *s, struct err *e)
{
    static const char usual[] = "SELECT format('CREATE DATABASE %I OWNER %I ENCODING ''UTF8'' TEMPLATE "
                                "template0', $1::text, $2::text)";
    static const char with_c[] = "SELECT format('CREATE DATABASE %I OWNER %I ENCODING ''UTF8'' TEMPLATE "
                                 "template0 LC_COLLATE ''C'' LC_CTYPE ''C''', $1::text, $2::text)";
    if (run_with(link, usual, s->database, s->user, e) && (strcmp(postgres_link_state(link), "22023") != 0 ||
                                                           run_with(link, with_c, s->database, s->user, e))) {
        return -1;
    }
    printf("made the database %s, owned by role %s\n", s->database, s->user);
    return 0;
}

static int make_role_and_database(struct postgres_link *link, const struct setup *s, struct err *e)
{
    bool there;
    if (make_role(link, s->user, "SELECT format('CREATE ROLE %I LOGIN', $1::text)", e) ||
        ask_whether(link, "SELECT count(*) > 0 FROM pg_database WHERE datname = $1", s->database, NULL,
                    &there, e)) {
        return -1;
    }
    if (!there) {
        return create_database(link, s, e);
    }
    /* Somebody else's database: roost makes its schema in it, and temporary tables. */
    return run_with(link,
                    "SELECT format('GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %I TO %I', $1::text, "
                    "$2::text)",
                    s->database, s->user, e);
}

/* ---- as administrator, in a child process ---- */

struct admin_work {
    const struct setup *setup;
    const char *database; /* to connect to */
    int (*work)(struct postgres_link *link, const struct setup *s, struct err *e);
};

static int admin_main(void *context)
{
    const struct admin_work *w = context;
    struct err e;
    struct postgres_link *link = connect_admin(w->setup, w->database, &e);
    int rc = link ? w->work(link, w->setup, &e) : -1;
    postgres_link_free(link);
    if (rc) {
        fprintf(stderr, "roost setup: %s\n", e.text);
        return err_exit_status(&e);
    }
    return 0;
}

static int as_admin(const struct admin_work *w, struct err *e)
{
    struct admin_work work = *w;
    int status = setup_as(w->setup->admin ? NULL : "postgres", admin_main, &work, e);
    if (status < 0) {
        return err_wrap(e,
                        "PostgreSQL's administrator (apt install postgresql, or name another server's with "
                        "--admin)");
    }
    return status ? err_set(
                        e, status == 2 ? ERR_FATAL : ERR_RETRY,
                        "PostgreSQL's part was not done; what was done before stays, and setup may run again")
                  : 0;
}

int setup_make_database(const struct setup *s, struct err *e)
{
    return as_admin(&(struct admin_work){s, "postgres", make_role_and_database}, e);
}

/* ---- the reader ---- */

static int let_read(struct postgres_link *link, const struct setup *s, struct err *e)
{
    static const char reader[] = "roost_reader";
    static const char grants[] = "BEGIN; GRANT USAGE ON SCHEMA roost TO roost_reader; "
                                 "GRANT SELECT ON ALL TABLES IN SCHEMA roost TO roost_reader";
    if (make_role(link, reader, "SELECT format('CREATE ROLE %I NOLOGIN', $1::text)", e) ||
        make_role(link, s->reader, "SELECT format('CREATE ROLE %I LOGIN', $1::text)", e) ||
        postgres_link_run(link, grants, e) ||
        run_with(link,
                 "SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA roost GRANT SELECT ON "
                 "TABLES TO roost_reader', $1::text)",
                 s->user, NULL, e) ||
        run_with(link, "SELECT format('GRANT CONNECT ON DATABASE %I TO roost_reader', $1::text)", s->database,
                 NULL, e) ||
        run_with(link, "SELECT format('GRANT roost_reader TO %I', $1::text)", s->reader, NULL, e) ||
        run_with(link,
                 "SELECT format('ALTER ROLE %I IN DATABASE %I SET search_path = roost, public', $1::text, "
                 "$2::text)",
                 s->reader, s->database, e) ||
        postgres_link_run(link, "COMMIT", e)) {
        return -1;
    }
    printf("%s may read: psql %s\n", s->reader, s->database);
    return 0;
}

int setup_let_read(const struct setup *s, struct err *e)
{
    return as_admin(&(struct admin_work){s, s->database, let_read}, e);
}

/* ---- the first rows ---- */

struct rows_work {
    const char *conninfo;
    int64_t wait_ms;
};

/* Somebody's text goes to a terminal: what could steer it is left out. */
static const char rows_sql[] =
    "SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), "
    "regexp_replace(coalesce(author_handle, ''), '[[:cntrl:]]', ' ', 'g'), "
    "left(regexp_replace(text, '[[:cntrl:]\\u0080-\\u009f\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]', ' "
    "', "
    "'g'), 70) FROM roost.posts ORDER BY created_at DESC LIMIT 5";

enum { STATUS_NO_ROWS = 10 };

static int print_rows_main(void *context)
{
    const struct rows_work *w = context;
    struct err e;
    int64_t deadline = clock_real_ms() + w->wait_ms;
    struct postgres_link *link = connect_to(w->conninfo, w->wait_ms, &e);
    PGresult *rows = NULL;
    while (link && postgres_link_ask(link, rows_sql, 0, NULL, &rows, &e) == 0 && PQntuples(rows) == 0 &&
           clock_real_ms() < deadline) {
        const struct timespec pause = {.tv_nsec = AGAIN_MS * 1000000L};
        PQclear(rows);
        rows = NULL;
        nanosleep(&pause, NULL);
    }
    postgres_link_free(link);
    if (!rows && clock_real_ms() < deadline) {
        fprintf(stderr, "roost setup: %s\n", e.text);
        return err_exit_status(&e);
    }
    int count = rows ? PQntuples(rows) : 0;
    for (int i = 0; i < count; i++) {
        printf("    %s  %-15s  %s\n", PQgetvalue(rows, i, 0), PQgetvalue(rows, i, 1), PQgetvalue(rows, i, 2));
    }
    PQclear(rows);
    return count ? 0 : STATUS_NO_ROWS;
}

int setup_print_rows(const struct setup *s, const char *conninfo, int64_t wait_ms, size_t *rows,
                     struct err *e)
{
    struct rows_work work = {conninfo, wait_ms};
    int status = setup_as(s->user, print_rows_main, &work, e);
    *rows = status == 0;
    if (status < 0) {
        return -1;
    }
    return status == 0 || status == STATUS_NO_ROWS
               ? 0
               : err_set(e, status == 2 ? ERR_FATAL : ERR_RETRY, "the first rows could not be read");
}
