/* simulator/parameters.h - names and values of a request, decoded from query strings and form bodies.
 *
 * Decoding is that of application/x-www-form-urlencoded: '+' is a space, %XX a byte; a '%' that no two
 * hexadecimal digits follow stands for itself. Names and values are strings ended by NUL, so %00 is refused.
 */
#ifndef ROOST_SIMULATOR_PARAMETERS_H
#define ROOST_SIMULATOR_PARAMETERS_H

#include "base/err.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

enum { PARAMETERS_MAX = 1000 }; /* of one request; a client of the streaming API sends fewer than twenty */

struct parameter {
    char *name, *value; /* decoded; a name without '=' has the value "" */
};

/* Zeroed is empty. */
struct parameters {
    struct parameter *items;
    size_t count, capacity;
};

/* Adds one parameter, copies of both. -1: memory is out or there are too many. */
int parameters_add(struct parameters *p, struct view name, struct view value, struct err *e);

/* Splits "a=1&b=2" and adds what it holds, decoded, in order; empty pieces are left out. The absent view adds
 * nothing. -1: a NUL byte, too many parameters, memory; what was added before stays. */
int parameters_add_form(struct parameters *p, struct view encoded, struct err *e);

/* Percent-decodes onto the heap; `plus` makes '+' a space. NULL: a NUL byte (or memory is out). The caller
 * frees it. */
char *parameters_decode(struct view encoded, bool plus);

/* The first value of that name (case matters), or NULL. Valid until parameters_free. */
const char *parameters_find(const struct parameters *p, const char *name);

/* The name that occurs twice, or NULL. */
const char *parameters_duplicate(const struct parameters *p);

/* Frees all and leaves it empty. */
void parameters_free(struct parameters *p);

#endif
