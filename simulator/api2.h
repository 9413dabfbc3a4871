/* simulator/api2.h - the paths of API v2 and the app that asks: shared by api2*.c, connection.c and stream.c.
 *
 * Paths, bodies and limits are those of X's documents of August 2026; statuses and bodies that are not
 * documented are marked where they are made. One app per account (API key and secret): its bearer token, its
 * rules, its limits.
 */
#ifndef ROOST_SIMULATOR_API2_H
#define ROOST_SIMULATOR_API2_H

#include "simulator/rule_store.h"
#include "simulator/server.h"

enum api2_limit {
    API2_STREAM,
    API2_RULES_GET,
    API2_RULES_POST,
    API2_RULES_COUNTS,
    API2_CONNECTIONS_GET,
    API2_CONNECTIONS_DELETE,
    API2_USAGE,
    API2_LIMITS
};

struct api2_window {
    int64_t start_ms; /* steady, of the window's first request; 0: none yet */
    uint32_t used;
};

struct app {
    struct account *account;
    const struct oauth_account *keys;
    char base[160], token[200]; /* what tokens are made from; the one that holds */
    bool token_valid;
    unsigned tokens; /* given out so far */
    struct rule_store *rules;
    struct api2_window windows[API2_LIMITS];
    uint64_t posts; /* sent to this app in `month`; one that is sent again is counted again */
    char month[8];  /* of UTC, "2026-07" */
    int64_t day;    /* on which it was looked at last, since 1970 */
};

/* Makes the apps. -1: memory is out, or a token is too long. */
int api2_open(struct simulator *s, struct err *e);
void api2_close(struct simulator *s);

/* Answers the request if its path is one of API v2's. False: it is not. */
bool api2_handle(struct connection *c);

/* ---- for the stream ---- */

/* The rules that the message matches, as JSON; absent: it is not for this stream. */
struct view api2_match(struct connection *c, size_t index);

/* The message as this stream gets it, in the simulator's own memory until the next call. */
struct view api2_render(struct connection *c, const struct feed *feed, size_t index);

/* The line before a forced end: type is a disconnect_type, as "SlowReader". */
void api2_disconnect_line(const char *type, char *json, size_t size);

/* ---- what an account may have (api2_access.c) ---- */

/* The app has had all posts of this month. */
bool api2_spent(struct simulator *s, struct app *app);
void api2_end_spent(struct connection *c); /* a stream of such an app */

/* Bodies: usage-capped ("Daily" or "Monthly"), client-forbidden. */
void api2_add_usage_capped(const char *period, struct buffer *into);
void api2_add_forbidden(struct buffer *into);

/* False: the app's access level has no filtered stream; it is answered. */
bool api2_may_use(struct connection *c, struct app *app, enum api2_limit limit);

/* Sends the last minutes again, oldest first, as backfill_minutes asks. */
void api2_backfill(struct connection *c);

/* start_time and end_time: what is wrong with them, into errors; another job may run; the job: everything
 * between them, then the end. */
void api2_check_recovery(struct connection *c, struct fields *f, struct buffer *errors);
bool api2_may_recover(const struct connection *c, const struct app *app);
void api2_recover(struct connection *c);

/* ---- between the files of the API ---- */

/* Answers with a JSON body; `note` goes to the log. limit: which headers (API2_LIMITS: none). */
void api2_answer(struct connection *c, struct app *app, enum api2_limit limit, int status, struct view body,
                 const char *note);
void api2_answer_text(struct connection *c, struct app *app, enum api2_limit limit, int status,
                      const char *body, const char *note);

/* 400 with these members of its "errors". */
void api2_answer_invalid(struct connection *c, struct app *app, enum api2_limit limit, struct view errors);

/* The x-rate-limit headers as they stand. */
void api2_add_limit_headers(struct simulator *s, const struct app *app, enum api2_limit limit,
                            struct buffer *into);

/* Counts one request. False: it is above the limit. */
bool api2_take(struct simulator *s, struct app *app, enum api2_limit limit);

/* The app whose bearer token the request has; NULL: it is answered already. */
struct app *api2_authenticate(struct connection *c, enum api2_limit limit);

void api2_rules(struct connection *c, struct app *app);        /* GET and POST of .../rules */
void api2_rules_counts(struct connection *c, struct app *app); /* GET of .../rules/counts */
void api2_stream(struct connection *c);                        /* GET of .../stream */
void api2_token(struct connection *c, bool invalidate);        /* POST of /oauth2/... */

/* Streams of the app that are open and whose clients are there. */
size_t api2_streams(struct simulator *s, const struct app *app);

#endif
