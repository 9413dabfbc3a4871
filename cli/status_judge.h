/* cli/status_judge.h - what the answers of both services amount to, for monitors: docs/status.md has the
 * rules. */
#ifndef ROOST_CLI_STATUS_JUDGE_H
#define ROOST_CLI_STATUS_JUDGE_H

#include "base/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum status_level { STATUS_OK, STATUS_WARNING, STATUS_CRITICAL, STATUS_UNKNOWN }; /* as exit statuses */

/* What one service said. */
struct status_said {
    bool wanted;     /* the configuration has work for it */
    const char *raw; /* its answer, ended by NUL; NULL: none */
    cJSON *json;     /* the same, read; NULL: none */
    char error[300]; /* why there is none; "": there is one */
};

enum { STATUS_PROBLEMS = 64 };
struct status_problem {
    enum status_level level;
    char text[300];
};

struct status_verdict {
    enum status_level level; /* the worst */
    size_t count;
    struct status_problem problems[STATUS_PROBLEMS]; /* the first ones */
    char summary[400];                               /* one line, without the level's word */
    char figures[300];                               /* performance data, as monitoring plugins print it */
};

void status_judge(const struct status_said *listen, const struct status_said *etl, struct status_verdict *v);

/* "OK", "WARNING", "CRITICAL", "UNKNOWN" */
const char *status_level_name(enum status_level level);

/* Milliseconds from the object's member, a time, to the answer's own `now`; -1: there is none. */
int64_t status_age(const cJSON *answer, const cJSON *object, const char *member);

#endif
