#include "simulator/parameters.h"

#include <stdlib.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

char *parameters_decode(struct view encoded, bool plus)
{
    char *out = malloc(encoded.length + 1);
    if (!out) {
        return NULL;
    }
    size_t length = 0;
    for (size_t i = 0; i < encoded.length; i++) {
        char c = encoded.at[i];
        if (c == '+' && plus) {
            c = ' ';
        } else if (c == '%' && encoded.length - i > 2) {
            int high = hex_value(encoded.at[i + 1]), low = hex_value(encoded.at[i + 2]);
            if (high >= 0 && low >= 0) {
                c = (char)(high * 16 + low);
                i += 2;
            }
        }
        if (!c) {
            free(out);
            return NULL;
        }
        out[length++] = c;
    }
    out[length] = '\0';
    return out;
}

/* Takes both strings over, also when it fails. */
static int add_owned(struct parameters *p, char *name, char *value, struct err *e)
{
    if (!name || !value) {
        err_set(e, ERR_REJECT, "a parameter holds a NUL byte, or memory is out");
        goto fail;
    }
    if (p->count == PARAMETERS_MAX) {
        err_set(e, ERR_REJECT, "more than %d parameters", PARAMETERS_MAX);
        goto fail;
    }
    if (p->count == p->capacity) {
        size_t capacity = p->capacity ? p->capacity * 2 : 16;
        struct parameter *grown = realloc(p->items, capacity * sizeof *grown);
        if (!grown) {
            err_set(e, ERR_RETRY, "memory is out");
            goto fail;
        }
        p->items = grown;
        p->capacity = capacity;
    }
    p->items[p->count++] = (struct parameter){name, value};
    return 0;
fail:
    free(name);
    free(value);
    return -1;
}

int parameters_add(struct parameters *p, struct view name, struct view value, struct err *e)
{
    return add_owned(p, view_copy(name), view_copy(value), e);
}

int parameters_add_form(struct parameters *p, struct view encoded, struct err *e)
{
    while (encoded.length) {
        const char *end = memchr(encoded.at, '&', encoded.length);
        size_t length = end ? (size_t)(end - encoded.at) : encoded.length;
        struct view piece = view_make(encoded.at, length);
        encoded = view_from(encoded, end ? length + 1 : length);
        if (!piece.length) {
            continue;
        }
        const char *equals = memchr(piece.at, '=', piece.length);
        size_t name_length = equals ? (size_t)(equals - piece.at) : piece.length;
        struct view value = equals ? view_from(piece, name_length + 1) : VIEW("");
        if (add_owned(p, parameters_decode(view_make(piece.at, name_length), true),
                      parameters_decode(value, true), e) < 0) {
            return -1;
        }
    }
    return 0;
}

const char *parameters_find(const struct parameters *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++) {
        if (strcmp(p->items[i].name, name) == 0) {
            return p->items[i].value;
        }
    }
    return NULL;
}

const char *parameters_duplicate(const struct parameters *p)
{
    for (size_t i = 0; i < p->count; i++) {
        for (size_t j = i + 1; j < p->count; j++) {
            if (strcmp(p->items[i].name, p->items[j].name) == 0) {
                return p->items[i].name;
            }
        }
    }
    return NULL;
}

void parameters_free(struct parameters *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->items[i].name);
        free(p->items[i].value);
    }
    free(p->items);
    *p = (struct parameters){0};
}
