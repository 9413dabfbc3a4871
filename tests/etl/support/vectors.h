/* tests/etl/support/vectors.h - goes through files of test vectors ($SHARED/data/dstream), case by case.
 *
 * Each case goes to the handler of its operation. What this version does not have yet is listed by operation
 * name, so that a later version sees what waits. */
#ifndef ROOST_TESTS_ETL_VECTORS_H
#define ROOST_TESTS_ETL_VECTORS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

struct vector_handler {
    const char *operation;
    bool (*run)(const cJSON *c); /* false: part of the case is for a later version */
};

/* Runs the cases of a file, prints which were run and which are for later, and returns how many were run.
 * Without the data it says so in a line that begins with "skipped: " and returns -1. */
int vectors_run(const char *file, const struct vector_handler *handlers, size_t count);

/* Shorthands for a case. */
const char *vector_text(const cJSON *object, const char *key); /* "" when absent */
double vector_number(const cJSON *object, const char *key, double fallback);
const cJSON *vector_param(const cJSON *c, const char *key);
const char *vector_name(const cJSON *c);

/* Expects that the value is what the vector says, with the case's name in the message. */
void vector_expect(const cJSON *c, const cJSON *got, const cJSON *expected);

#endif
