/* base/view.h - a piece of text or bytes that somebody else owns.
 *
 * A view is a pointer and a length in bytes; it is not ended by NUL unless its maker says so. `at == NULL`
 * means "absent" (a column's NULL); an empty text has `at != NULL` and length 0. A view never outlives its
 * bytes.
 */
#ifndef ROOST_BASE_VIEW_H
#define ROOST_BASE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct view {
    const char *at;
    size_t length;
};

/* For printf's "%.*s": the length is cut to an int. */
#define VIEW_PRINT(v) (int)((v).length), ((v).at ? (v).at : "")

#define VIEW(literal) ((struct view){"" literal, sizeof(literal) - 1})

static inline struct view view_make(const char *at, size_t length)
{
    return (struct view){at, length};
}

/* The absent view. */
static inline struct view view_none(void)
{
    return (struct view){NULL, 0};
}

/* The view of a string ended by NUL; NULL gives the absent view. */
static inline struct view view_of(const char *string)
{
    return (struct view){string, string ? strlen(string) : 0};
}

static inline bool view_absent(struct view v)
{
    return v.at == NULL;
}

/* Same bytes. The absent view equals only itself. */
static inline bool view_equal(struct view a, struct view b)
{
    if (!a.at || !b.at) {
        return !a.at && !b.at;
    }
    return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

/* Equal to a string ended by NUL; an absent view equals no string. */
static inline bool view_is(struct view v, const char *string)
{
    return v.at && view_equal(v, view_of(string));
}

static inline bool view_starts(struct view v, struct view head)
{
    return v.length >= head.length && v.at && memcmp(v.at, head.at, head.length) == 0;
}

/* The rest of v from byte `from` on; past the end: empty. */
static inline struct view view_from(struct view v, size_t from)
{
    if (from > v.length) {
        from = v.length;
    }
    return (struct view){v.at + from, v.length - from};
}

/* Some views: of an array, or of a list of words in a post. `items` may be NULL when count is 0. */
struct view_list {
    const struct view *items;
    size_t count;
};

/* A copy on the heap ended by NUL; the caller frees it. NULL when memory is out, or for the absent view. */
char *view_copy(struct view v);

/* Without the ASCII white space (space, tab, CR, LF, VT, FF) at both ends. */
struct view view_trim(struct view v);

/* Byte order, as memcmp, a shorter prefix first: for qsort and binary search. */
int view_compare(struct view a, struct view b);

#endif
