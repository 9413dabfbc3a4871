#include "base/view.h"

#include <stdlib.h>

char *view_copy(struct view v)
{
    if (!v.at) {
        return NULL;
    }
    char *copy = malloc(v.length + 1);
    if (copy) {
        memcpy(copy, v.at, v.length);
        copy[v.length] = '\0';
    }
    return copy;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct view view_trim(struct view v)
{
    while (v.length && is_space(v.at[0])) {
        v.at++;
        v.length--;
    }
    while (v.length && is_space(v.at[v.length - 1])) {
        v.length--;
    }
    return v;
}

int view_compare(struct view a, struct view b)
{
    size_t shorter = a.length < b.length ? a.length : b.length;
    int order = shorter ? memcmp(a.at, b.at, shorter) : 0;
    if (order) {
        return order;
    }
    return (a.length > b.length) - (a.length < b.length);
}
