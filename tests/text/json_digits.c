/* Ids above 2^53 that come only as numbers. */
#include "text/json_digits.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct view digits_at(struct view json, const char *first, const char *second)
{
    const char *path[] = {first, second};
    struct view digits;
    int result = text_json_digits(json, path, second ? 2 : 1, &digits);
    cr_assert_eq(result, view_absent(digits) ? -1 : 0);
    return digits;
}

Test(json_digits, an_id_keeps_all_its_digits)
{
    struct view line = VIEW("{\"text\":\"\\\"id\\\":1,{[\",\"user\":{\"id\":7},\"delete\":{\"id\":1},\"id\" "
                            ": 1050118621198921729 ,\"z\":0}");
    cr_assert(view_is(digits_at(line, "id", NULL), "1050118621198921729"));
    cr_assert(view_is(digits_at(line, "user", "id"), "7"));
    cr_assert(view_is(digits_at(line, "z", NULL), "0"));
    cr_assert(view_is(digits_at(VIEW("{\"id\":-12}"), "id", NULL), "-12"));
}

Test(json_digits, what_is_no_integer_is_not_found)
{
    static const char *const lines[] = {"",
                                        "{",
                                        "{}",
                                        "[1]",
                                        "{\"id\":\"5\"}",
                                        "{\"id\":1.0}",
                                        "{\"id\":1e5}",
                                        "{\"id\":-}",
                                        "{\"id\":}",
                                        "{\"id\":null}",
                                        "{\"id\":{}}",
                                        "{\"id\"",
                                        "{\"id\":01}",
                                        "{\"i\":{\"id\":1}}",
                                        "{\"id\":9999999999999999999999}",
                                        "\"id\":1"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        cr_assert(view_absent(digits_at(view_of(lines[i]), "id", NULL)), "%s", lines[i]);
    }
    struct view none;
    cr_assert_eq(text_json_digits(VIEW("5"), NULL, 0, &none), -1);
}

Test(json_digits, a_line_cut_anywhere_is_read_within_its_bytes)
{
    static const char line[] = "{\"a\":{\"b\\\"\":[1,{\"id\":5}],\"id\":123456789012345678},\"id\":42}";
    for (size_t n = 0; n < sizeof line; n++) {
        char *copy = malloc(n + 1); /* exactly n used: AddressSanitizer sees a byte read too far */
        memcpy(copy, line, n);
        struct view digits = digits_at(view_make(copy, n), "a", "id");
        cr_assert(view_absent(digits) || (digits.at >= copy && digits.at + digits.length <= copy + n));
        free(copy);
    }
}
