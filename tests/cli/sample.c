/* tests/cli/sample.c - the sample files users copy are right: every key of every room stands in them with its
 * default. */
#include "config/sample.h"
#include "base/file.h"
#include "bridge/settings.h"
#include "config/service.h"
#include "etl/settings.h"
#include "ingest/settings.h"
#include "sinks/sinks.h"
#include "text/keyword.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { SAMPLE_MAXIMUM = 1024 * 1024 };

static const struct config_kind *const kinds[] = {&source_kind, &filter_kind, &bridge_kind,
                                                  &etl_kind,    &sink_kind,   &service_kind};

static void read_sample(const char *name, struct buffer *into)
{
    const char *source = getenv("SOURCE");
    char path[4096];
    struct err e;
    snprintf(path, sizeof path, "%s/config/%s", source ? source : ".", name);
    cr_assert_eq(file_read(path, into, &e), 0, "%s", e.text);
}

Test(sample, the_sample_configuration_has_every_key_with_its_default_and_no_other)
{
    struct buffer sample = BUFFER(SAMPLE_MAXIMUM), report = BUFFER(SAMPLE_MAXIMUM);
    read_sample("roost.conf", &sample);
    size_t wrong = config_sample_check(buffer_view(&sample), kinds, sizeof kinds / sizeof *kinds, &report);
    cr_expect_eq(wrong, 0, "%s", buffer_string(&report));
    buffer_free(&sample);
    buffer_free(&report);
}

Test(sample, a_key_that_is_missing_from_the_sample_is_seen)
{
    struct buffer report = BUFFER(SAMPLE_MAXIMUM);
    cr_expect(config_sample_check(VIEW("[bridge]\n"), kinds, sizeof kinds / sizeof *kinds, &report) > 20);
    cr_expect_not_null(strstr(buffer_string(&report), "spool_dir"));
    buffer_free(&report);
}

Test(sample, every_line_of_the_sample_keyword_file_is_a_keyword_or_a_comment)
{
    struct buffer sample = BUFFER(SAMPLE_MAXIMUM);
    struct arena *arena = arena_new(SAMPLE_MAXIMUM);
    read_sample("keywords.txt", &sample);
    size_t keywords = 0;
    struct view rest = buffer_view(&sample);
    while (rest.length) {
        const char *end = memchr(rest.at, '\n', rest.length);
        struct view line = view_make(rest.at, end ? (size_t)(end - rest.at) : rest.length);
        struct keyword k;
        struct err e;
        int found = keyword_parse(view_trim(line), arena, &k, &e);
        cr_expect_neq(found, -1, "%.*s: %s", VIEW_PRINT(line), found < 0 ? e.text : "");
        keywords += found == 1;
        rest = view_from(rest, line.length + 1);
    }
    cr_expect_geq(keywords, 5, "it shows the forms of a line");
    arena_free(arena);
    buffer_free(&sample);
}
