/* tests/ingest/support/posts.h - what posts hold, compared with what they should, with a message that shows
 * both. */
#ifndef ROOST_TESTS_INGEST_SUPPORT_POSTS_H
#define ROOST_TESTS_INGEST_SUPPORT_POSTS_H

#include "base/view.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define expect_text(view, string)                                                                            \
    cr_expect(view_is(view, string), "%s is \"%.*s\", not \"%s\"", #view, VIEW_PRINT(view), string)
#define expect_absent(view)                                                                                  \
    cr_expect(view_absent(view), "%s is \"%.*s\", not absent", #view, VIEW_PRINT(view))

/* The list as one string, items ended by '|'. */
static inline void check_list(const char *name, struct view_list list, const char *want)
{
    char text[4000] = "";
    size_t n = 0;
    for (size_t i = 0; i < list.count && n < 3000; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%.*s|", VIEW_PRINT(list.items[i]));
    }
    cr_expect_str_eq(text, want, "%s is \"%s\", not \"%s\"", name, text, want);
}
#define expect_list(list, want) check_list(#list, list, want)

#endif
