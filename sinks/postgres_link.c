#include "sinks/postgres_link.h"

#include "base/clock.h"
#include "base/number.h"
#include "base/view.h"
#include "base/watchdog.h"
#include "sinks/interrupt.h"
#include "sinks/postgres_error.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECT_MS = 30 * 1000, OLDEST_SERVER = 130000 };

struct postgres_link {
    PQconninfoOption *options; /* what the conninfo says, parsed */
    const char *name;          /* the session's, for who looks at the server */
    PGconn *connection;        /* NULL: closed */
    int interrupt;
    int64_t connect_ms;
    char state[POSTGRES_STATE_SIZE];
};

/* Set before what the conninfo says, which may override them. tcp_user_timeout also ends a connect that
 * nobody answers. */
static const char *const defaults[][2] = {
    {"keepalives", "1"},       {"keepalives_idle", "30"},     {"keepalives_interval", "10"},
    {"keepalives_count", "3"}, {"tcp_user_timeout", "30000"},
};
enum { DEFAULT_COUNT = sizeof defaults / sizeof defaults[0] };

static const char session_sql[] =
    "SET search_path = pg_catalog; SET statement_timeout = 0; SET lock_timeout = 0;"
    "SET idle_in_transaction_session_timeout = 0; SET client_min_messages = error;"
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED;"
    /* An acknowledged batch leaves the spool, so a commit must not be a promise only. */
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = "
    "'off'";

int postgres_link_check(const char *conninfo, bool *secret, struct err *e)
{
    if (!conninfo[strspn(conninfo, " \t\r\n")]) {
        return err_set(e, ERR_FATAL, "it is empty: write KEY=VALUE pairs (host=... dbname=... user=...)");
    }
    char *message = NULL; /* may quote a part of the conninfo, so it is not shown */
    PQconninfoOption *options = PQconninfoParse(conninfo, &message);
    PQfreemem(message);
    if (!options) {
        return err_set(e, ERR_FATAL,
                       "libpq cannot parse it: write KEY=VALUE pairs (host=... dbname=... user=...) or "
                       "postgresql://...");
    }
    bool found = false;
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        found = found || (o->val && o->val[0] && o->dispchar && o->dispchar[0] == '*');
    }
    PQconninfoFree(options);
    if (secret) {
        *secret = found;
    }
    return 0;
}

static int64_t connect_limit(const PQconninfoOption *options)
{
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        int64_t seconds = 0;
        if (strcmp(o->keyword, "connect_timeout") == 0 && o->val &&
            number_parse(view_of(o->val), 1, 3600, &seconds) == 0) {
            return seconds * 1000;
        }
    }
    return CONNECT_MS;
}

struct postgres_link *postgres_link_new(const char *conninfo, struct err *e)
{
    if (postgres_link_check(conninfo, NULL, e)) {
        return NULL;
    }
    struct postgres_link *link = calloc(1, sizeof *link);
    if (!link) {
        err_set(e, ERR_FATAL, "memory is out");
        return NULL;
    }
    link->interrupt = interrupt_new(e);
    if (link->interrupt < 0) {
        goto fail;
    }
    link->options = PQconninfoParse(conninfo, NULL);
    if (!link->options) {
        err_set(e, ERR_FATAL, "memory is out");
        goto fail;
    }
    link->connect_ms = connect_limit(link->options);
    link->name = "roost";
    return link;

fail:
    postgres_link_free(link);
    return NULL;
}

void postgres_link_set_name(struct postgres_link *link, const char *name)
{
    link->name = name;
}

void postgres_link_drop(struct postgres_link *link)
{
    PQfinish(link->connection);
    link->connection = NULL;
}

void postgres_link_free(struct postgres_link *link)
{
    if (!link) {
        return;
    }
    postgres_link_drop(link);
    PQconninfoFree(link->options);
    if (link->interrupt >= 0) {
        close(link->interrupt);
    }
    free(link);
}

void postgres_link_stop(struct postgres_link *link)
{
    interrupt_raise(link->interrupt);
}

bool postgres_link_is_open(const struct postgres_link *link)
{
    return link->connection && PQstatus(link->connection) == CONNECTION_OK;
}

const char *postgres_link_state(const struct postgres_link *link)
{
    return link->state;
}

static int report(struct postgres_link *link, const char *message, size_t length, struct err *e)
{
    const char *advice = postgres_error_advice(link->state);
    return err_set(e, postgres_error_kind(link->state), "PostgreSQL: %.*s%s%s%s%s%s", (int)length, message,
                   link->state[0] ? " (" : "", link->state, link->state[0] ? ")" : "", advice[0] ? ": " : "",
                   advice);
}

/* The connection is lost or was never made. libpq gives the SQLSTATE of a refused connection only inside the
 * message
 * ("FATAL:  28P01: ..."), when errors are verbose. The first line is the one that says it. */
static int report_connection(struct postgres_link *link, struct err *e)
{
    char line[ERR_TEXT_SIZE];
    const char *message = PQerrorMessage(link->connection);
    int length = (int)strcspn(message, "\n");
    snprintf(line, sizeof line, "%.*s", length, message[0] ? message : "the connection was lost");
    if (!message[0]) {
        snprintf(line, sizeof line, "the connection was lost");
    }
    link->state[0] = '\0';
    for (char *at = strstr(line, ":  "); at; at = strstr(at + 1, ":  ")) {
        if (strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && at[8] == ':') {
            memcpy(link->state, at + 3, 5);
            link->state[5] = '\0';
            memmove(at + 1, at + 9, strlen(at + 9) + 1);
            break;
        }
    }
    report(link, line, strlen(line), e);
    postgres_link_drop(link);
    return -1;
}

static int report_stop(struct postgres_link *link, struct err *e)
{
    link->state[0] = '\0';
    postgres_link_drop(link);
    return err_set(e, ERR_RETRY, "PostgreSQL: told to stop");
}

static void drop_notice(void *unused, const PGresult *notice)
{
    (void)unused;
    (void)notice;
}

static int connection_start(struct postgres_link *link, struct err *e)
{
    size_t most = DEFAULT_COUNT + 3;
    for (const PQconninfoOption *o = link->options; o->keyword; o++) {
        most++;
    }
    const char **keywords = calloc(most * 2, sizeof *keywords);
    if (!keywords) {
        return err_set(e, ERR_RETRY, "memory is out");
    }
    const char **values = keywords + most;
    size_t n = 0;
    for (; n < DEFAULT_COUNT; n++) {
        keywords[n] = defaults[n][0];
        values[n] = defaults[n][1];
    }
    keywords[n] = "fallback_application_name";
    values[n++] = link->name;
    for (const PQconninfoOption *o = link->options; o->keyword; o++) {
        if (o->val) {
            keywords[n] = o->keyword;
            values[n++] = o->val;
        }
    }
    keywords[n] = "client_encoding";
    values[n] = "UTF8";
    watchdog_call_begins(); /* it looks up the host's name */
    link->connection = PQconnectStartParams(keywords, values, 0);
    watchdog_call_ends();
    free(keywords);
    if (!link->connection) {
        return err_set(e, ERR_RETRY, "memory is out");
    }
    PQsetErrorVerbosity(link->connection, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(link->connection, drop_notice, NULL);
    return 0;
}

static int connection_wait(struct postgres_link *link, struct err *e)
{
    int64_t deadline = clock_real_ms() + link->connect_ms;
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    if (PQstatus(link->connection) == CONNECTION_BAD) {
        return report_connection(link, e);
    }
    while (state != PGRES_POLLING_OK) {
        short events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        int ready = interrupt_wait(link->interrupt, PQsocket(link->connection), events, deadline);
        if (ready == INTERRUPT_RAISED) {
            return report_stop(link, e);
        }
        if (ready == INTERRUPT_TIMEOUT) {
            postgres_link_drop(link);
            link->state[0] = '\0';
            return err_set(e, ERR_RETRY, "PostgreSQL: no answer within %lld s",
                           (long long)link->connect_ms / 1000);
        }
        watchdog_call_begins(); /* the next host's name, GSSAPI's talk with its own servers */
        state = PQconnectPoll(link->connection);
        watchdog_call_ends();
        if (state == PGRES_POLLING_FAILED) {
            return report_connection(link, e);
        }
    }
    return 0;
}

/* Waits for the socket until libpq got or sent something. */
static int exchange(struct postgres_link *link, bool sending, struct err *e)
{
    short events = sending ? POLLIN | POLLOUT : POLLIN;
    int ready = interrupt_wait(link->interrupt, PQsocket(link->connection), events, INT64_MAX);
    if (ready == INTERRUPT_RAISED) {
        return report_stop(link, e);
    }
    if ((ready & ~POLLOUT) && !PQconsumeInput(link->connection)) {
        return report_connection(link, e);
    }
    return 0;
}

static int flush(struct postgres_link *link, struct err *e)
{
    for (;;) {
        int left = PQflush(link->connection);
        if (left < 0) {
            return report_connection(link, e);
        }
        if (left == 0) {
            return 0;
        }
        if (exchange(link, true, e)) {
            return -1;
        }
    }
}

static int report_result(struct postgres_link *link, const PGresult *result, struct err *e)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (!state || !message) { /* libpq's own: the connection broke */
        return report_connection(link, e);
    }
    snprintf(link->state, sizeof link->state, "%s", state);
    return report(link, message, strlen(message), e);
}

/* Takes all results of what was sent. The first failure is what is reported; otherwise *last gets the last
 * one. */
static int results(struct postgres_link *link, PGresult **last, struct err *e)
{
    PGresult *kept = NULL;
    bool failed = false;
    if (flush(link, e)) {
        return -1;
    }
    for (;;) {
        while (PQisBusy(link->connection)) {
            if (exchange(link, false, e)) {
                PQclear(kept);
                return -1;
            }
        }
        PGresult *next = PQgetResult(link->connection);
        if (!next) {
            break;
        }
        ExecStatusType status = PQresultStatus(next);
        if (!failed && status == PGRES_FATAL_ERROR) {
            failed = true;
            report_result(link, next, e);
        }
        PQclear(kept);
        kept = next;
        if (status == PGRES_COPY_IN || !link->connection) {
            break;
        }
    }
    if (link->connection && PQstatus(link->connection) == CONNECTION_BAD) {
        if (!failed) {
            report_connection(link, e);
        }
        failed = true;
        postgres_link_drop(link);
    }
    if (failed || !last) {
        PQclear(kept);
        kept = NULL;
    }
    if (last) {
        *last = kept;
    }
    return failed ? -1 : 0;
}

static int not_open(struct postgres_link *link, struct err *e)
{
    link->state[0] = '\0';
    return err_set(e, ERR_RETRY, "PostgreSQL: not connected");
}

int postgres_link_run(struct postgres_link *link, const char *sql, struct err *e)
{
    if (!link->connection) {
        return not_open(link, e);
    }
    if (!PQsendQuery(link->connection, sql)) {
        return report_connection(link, e);
    }
    return results(link, NULL, e);
}

int postgres_link_ask(struct postgres_link *link, const char *sql, int count, const char *const *values,
                      PGresult **result, struct err *e)
{
    if (result) {
        *result = NULL;
    }
    if (!link->connection) {
        return not_open(link, e);
    }
    if (!PQsendQueryParams(link->connection, sql, count, NULL, values, NULL, NULL, 0)) {
        return report_connection(link, e);
    }
    return results(link, result, e);
}

int postgres_link_copy_start(struct postgres_link *link, const char *sql, struct err *e)
{
    PGresult *result = NULL;
    if (!link->connection) {
        return not_open(link, e);
    }
    if (!PQsendQuery(link->connection, sql)) {
        return report_connection(link, e);
    }
    if (results(link, &result, e)) {
        return -1;
    }
    PQclear(result);
    return 0;
}

int postgres_link_copy_bytes(struct postgres_link *link, const char *bytes, size_t n, struct err *e)
{
    if (!link->connection) {
        return not_open(link, e);
    }
    if (n > INT32_MAX) {
        return err_set(e, ERR_RETRY, "a piece of %zu bytes is too long for COPY", n);
    }
    int taken;
    watchdog_progress();
    while ((taken = PQputCopyData(link->connection, bytes, (int)n)) == 0) {
        if (exchange(link, true, e)) {
            return -1;
        }
    }
    /* Sent whole each time, or libpq would gather the load in its own memory. */
    return taken < 0 ? report_connection(link, e) : flush(link, e);
}

int postgres_link_copy_end(struct postgres_link *link, uint64_t *rows, struct err *e)
{
    PGresult *result = NULL;
    int taken;
    if (!link->connection) {
        return not_open(link, e);
    }
    while ((taken = PQputCopyEnd(link->connection, NULL)) == 0) {
        if (exchange(link, true, e)) {
            return -1;
        }
    }
    if (taken < 0) {
        return report_connection(link, e);
    }
    if (results(link, &result, e)) {
        return -1;
    }
    *rows = 0;
    int bad = number_parse_unsigned(view_of(result ? PQcmdTuples(result) : ""), rows);
    PQclear(result);
    return bad ? err_set(e, ERR_RETRY, "PostgreSQL: COPY ended without a count of rows") : 0;
}

static int session_set_up(struct postgres_link *link, struct err *e)
{
    int version = PQserverVersion(link->connection);
    if (version < OLDEST_SERVER) {
        postgres_link_drop(link);
        return err_set(e, ERR_FATAL, "PostgreSQL: the server is version %d: roost needs 13 or later",
                       version / 10000);
    }
    if (postgres_link_run(link, session_sql, e)) {
        return -1;
    }
    /* So that a statement of ours that waits for a lock ends soon after we do, and so that a machine of ours
     * that lost its power does not keep its consumer's lock for the server's two hours. Servers on some
     * systems cannot, and then the setting is refused. */
    static const char *const wishes[] = {"SET tcp_keepalives_idle = 30", "SET tcp_keepalives_interval = 10",
                                         "SET tcp_keepalives_count = 3",
                                         "SET client_connection_check_interval = '2s'"};
    size_t count = sizeof wishes / sizeof wishes[0] - (version < 140000); /* the last one is of 14 */
    for (size_t i = 0; i < count; i++) {
        struct err passed_over;
        if (postgres_link_run(link, wishes[i], &passed_over) && !postgres_link_is_open(link)) {
            *e = passed_over;
            return -1;
        }
    }
    return 0;
}

int postgres_link_connect(struct postgres_link *link, bool *fresh, struct err *e)
{
    if (fresh) {
        *fresh = false;
    }
    if (interrupt_wait(link->interrupt, -1, 0, 0) == INTERRUPT_RAISED) {
        return report_stop(link, e);
    }
    if (postgres_link_is_open(link)) {
        return 0;
    }
    postgres_link_drop(link);
    if (connection_start(link, e) || connection_wait(link, e)) {
        return -1;
    }
    PQsetErrorVerbosity(link->connection, PQERRORS_DEFAULT);
    if (PQsetnonblocking(link->connection, 1)) {
        return report_connection(link, e);
    }
    if (session_set_up(link, e)) {
        postgres_link_drop(link);
        return -1;
    }
    if (fresh) {
        *fresh = true;
    }
    return 0;
}
