/* tests/etl/support/words.h - the functions of the test vectors, which are written in words
 * (data/dstream/functions.txt). Records are JSON texts. */
#ifndef ROOST_TESTS_ETL_WORDS_H
#define ROOST_TESTS_ETL_WORDS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

/* The function is one that a map, filter or flatMap of this version may have. */
bool words_known(const char *function);

/* What the function gives for x, or NULL with *error pointing at the message of its `fail`. */
cJSON *words_apply(const char *function, const cJSON *x, char error[200]);

#endif
