/* tests/etl/settings.c - the keys of [etl] mean what the design says. */
#include "etl/settings.h"
#include "base/file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct config *load(const char *text)
{
    static const struct config_kind *const kinds[] = {&etl_kind};
    char path[] = "/tmp/roost-etl-settings-XXXXXX";
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    struct config *c = config_load(path, kinds, 1);
    unlink(path);
    cr_assert_not_null(c);
    return c;
}

Test(etl_settings, an_absent_section_has_the_defaults_of_the_design)
{
    struct config *c = load("");
    cr_assert_eq(config_mistakes(c), 0, "%s", config_mistakes(c) ? config_mistake_text(c, 0) : "");
    const struct etl_settings *s = config_settings(c, "etl");
    cr_assert_eq(s->bridge.count, 1);
    cr_expect_str_eq(s->bridge.items[0], "127.0.0.1:5555");
    cr_expect_str_eq(s->consumer, "etl");
    cr_expect_eq(s->batch_interval, 1000);
    cr_expect_eq(s->workers, 0);
    cr_expect_null(s->bridge_token);
    config_free(c);
}

Test(etl_settings, several_bridges_are_taken_and_each_is_checked)
{
    struct config *c = load("[etl]\nbridge = 127.0.0.1:5555, /run/roost/bridge.sock\n");
    cr_expect_eq(config_mistakes(c), 0, "%s", config_mistakes(c) ? config_mistake_text(c, 0) : "");
    config_free(c);
    c = load("[etl]\nbridge = 127.0.0.1:5555, nowhere, 127.0.0.1:5555\n");
    cr_expect_eq(config_mistakes(c), 2);
    config_free(c);
}

Test(etl_settings, values_out_of_range_are_mistakes)
{
    struct config *c = load("[etl]\nbatch_interval = 9ms\nworkers = 257\nconsumer = not a name\n");
    cr_expect_eq(config_mistakes(c), 3);
    config_free(c);
}
