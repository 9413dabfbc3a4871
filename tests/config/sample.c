/* The comparison of a sample with the key tables must find what is missing, wrong or too much. */
#include "config/sample.h"
#include "support/fixture.h"

#include <criterion/criterion.h>

static const char agreeing[] =
    "# A sample. The word = here is prose.\n"
    "[box]\n; address = 127.0.0.1:1\n# folder =\n; link = dbname=x ; why\n; key_file = k\n; mode = text\n; "
    "open = yes\n"
    "count = 7\n; count = 3\n; wait = 1s\n; room = 4GiB\n; words = a, b\n"
    "[thing one]\ntype = round\n; loud = no\n; note =\nradius = 5\npassword_file = p\n"
    ";[thing two]\n; type = square\n";

static size_t disagreements(const char *sample, struct buffer *report)
{
    return config_sample_check(view_of(sample), fixture_kinds, fixture_kind_count, report);
}

Test(sample, agreement_is_recognised)
{
    struct buffer report = BUFFER(10000);
    cr_assert_eq(disagreements(agreeing, &report), 0, "%s", buffer_string(&report));
    buffer_free(&report);
}

Test(sample, each_kind_of_disagreement_is_named)
{
    struct buffer report = BUFFER(10000);
    cr_assert_eq(disagreements("[box]\n; wait = 2s\nradius = 5\n", &report), 15, "%s",
                 buffer_string(&report));
    const char *text = buffer_string(&report);
    cr_assert(strstr(text, "[box] address: is not in the sample\n"), "%s", text);
    cr_assert(strstr(text, "[box] wait: the sample has another value than the default, 1s\n"), "%s", text);
    cr_assert(strstr(text, "[thing] type round radius: is not in the sample\n"), "%s", text);
    cr_assert(strstr(text, "[box] radius: the sample has it, no key table does\n"), "%s", text);
    buffer_free(&report);
}
