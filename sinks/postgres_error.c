#include "sinks/postgres_error.h"

#include <stddef.h>
#include <string.h>

struct rule {
    const char *state; /* a whole SQLSTATE or its class, the longest first */
    enum err_kind kind;
    const char *advice;
};

#define MIGRATE "the tables are not as this roost knows them: run `roost migrate -c FILE`"

static const struct rule rules[] = {
    {"22P03", ERR_FATAL, MIGRATE}, /* a column of another type: every row would fail, none is to blame */
    {"22P04", ERR_FATAL, MIGRATE},
    {"25006", ERR_RETRY, "the server takes no writes: it is a standby, or set read-only"},
    {"28", ERR_FATAL, "check user, password and the server's pg_hba.conf"},
    {"3D000", ERR_FATAL, "make the database (createdb -E UTF8 NAME), then run `roost migrate -c FILE`"},
    {"3F", ERR_FATAL, MIGRATE},
    {"42501", ERR_FATAL,
     "grant the role what it lacks, or run `roost migrate -c FILE` and roost etl as the same role"},
    {"42", ERR_FATAL, MIGRATE},
    {"0A", ERR_FATAL, "roost needs PostgreSQL 13 or later"},
    {"53100", ERR_RETRY, "make room on the server's disk"},
    {"53300", ERR_RETRY, "raise max_connections or close other sessions"},
    {"22", ERR_REJECT, ""},
    {"23", ERR_REJECT, ""},
    {"44", ERR_REJECT, ""},
    {"54", ERR_REJECT, ""},
    {"38", ERR_REJECT, ""},
    {"39", ERR_REJECT, ""},
    {"P0", ERR_REJECT, ""}, /* raised by somebody's trigger */
};

static const struct rule *rule_of(const char *sqlstate)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (strncmp(sqlstate, rules[i].state, strlen(rules[i].state)) == 0) {
            return &rules[i];
        }
    }
    return NULL;
}

enum err_kind postgres_error_kind(const char *sqlstate)
{
    const struct rule *rule = rule_of(sqlstate);
    return rule ? rule->kind : ERR_RETRY;
}

const char *postgres_error_advice(const char *sqlstate)
{
    const struct rule *rule = rule_of(sqlstate);
    return rule ? rule->advice : "";
}

bool postgres_error_is_collision(const char *sqlstate)
{
    return strcmp(sqlstate, "23505") == 0;
}

bool postgres_error_is_lock(const char *sqlstate)
{
    return strcmp(sqlstate, "55P03") == 0;
}

bool postgres_error_is_rights(const char *sqlstate)
{
    return strcmp(sqlstate, "42501") == 0;
}
