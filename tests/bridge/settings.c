/* Addresses and markers as they may stand in a configuration. */
#include "bridge/settings.h"

#include "bridge/address.h"

#include "support/bridge_support.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

Test(settings, addresses_are_read_and_written_back_the_same)
{
    const char *const right[] = {"127.0.0.1:5555", "[::1]:5555", "/run/roost/bridge.sock", "10.0.0.1:0"};
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        struct address a;
        struct err e;
        char text[ADDRESS_TEXT_SIZE];
        cr_assert_eq(address_parse(right[i], &a, &e), 0, "%s", right[i]);
        cr_assert_str_eq(address_format(&a, text), right[i]);
    }
    struct address a;
    char text[ADDRESS_TEXT_SIZE];
    cr_assert_eq(address_parse("localhost:1", &a, NULL), 0);
    cr_assert_str_eq(address_format(&a, text), "127.0.0.1:1");
}

Test(settings, addresses_of_another_form_are_refused)
{
    const char *const wrong[] = {"",           "5555",     "127.0.0.1",    "127.0.0.1:",    "127.0.0.1:65536",
                                 "host:5555",  "::1:5555", "[::1]",        "[::1:5555",     "127.0.0.1:5555 ",
                                 "run/x.sock", "/",        "127.0.0.1:-1", "[127.0.0.1]:1", "127.1:1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct err e;
        cr_assert_eq(bridge_check_address(wrong[i], &e), -1, "%s", wrong[i]);
    }
    char path[300] = "/";
    memset(path + 1, 'x', 200);
    struct err e;
    cr_assert_eq(bridge_check_address(path, &e), -1);
}

Test(settings, the_bridge_listens_only_where_other_machines_cannot_reach_it)
{
    struct err e;
    cr_assert_eq(bridge_check_listen("127.0.0.1:5555", &e), 0);
    cr_assert_eq(bridge_check_listen("127.1.2.3:5555", &e), 0);
    cr_assert_eq(bridge_check_listen("[::1]:5555", &e), 0);
    cr_assert_eq(bridge_check_listen("/run/x.sock", &e), 0);
    cr_assert_eq(bridge_check_listen("0.0.0.0:5555", &e), -1);
    cr_assert_eq(bridge_check_listen("[::]:5555", &e), -1);
    cr_assert_eq(bridge_check_listen("192.168.1.1:5555", &e), -1);
}

Test(settings, markers_that_lowercasing_or_splitting_would_lose_are_refused)
{
    const char *const right[] = {"__end", "--end--", "||x||", "ab", "0123456789012345678901234567890z"};
    const char *const wrong[] = {
        "", "x", "__END", "a b", "a\tb", "--", "12", "\xC3\xA9nd", "0123456789012345678901234567890zz"};
    struct err e;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        cr_assert_eq(bridge_check_marker(right[i], &e), 0, "%s", right[i]);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_assert_eq(bridge_check_marker(wrong[i], &e), -1, "%s", wrong[i]);
    }
}

/* The mistakes in a configuration whose [bridge] section has these lines; the first one's text in `text`. */
static size_t mistakes_of(const char *lines, char text[1000], struct bridge_settings *settings)
{
    char *folder = support_folder();
    char *path = support_path(folder, "roost.conf");
    FILE *file = fopen(path, "w");
    cr_assert(file);
    fprintf(file, "[bridge]\n%s", lines);
    fclose(file);
    const struct config_kind *kinds[] = {&bridge_kind};
    struct config *c = config_load(path, kinds, 1);
    size_t count = config_mistakes(c);
    snprintf(text, 1000, "%s", count ? config_mistake_text(c, 0) : "");
    *settings = *(struct bridge_settings *)config_settings(c, "bridge");
    config_free(c);
    free(path);
    support_remove(folder);
    return count;
}

Test(settings, the_defaults_are_the_promised_ones)
{
    char text[1000];
    struct bridge_settings set;
    cr_assert_eq(mistakes_of("", text, &set), 0, "%s", text);
    cr_assert_eq(set.plain, BRIDGE_PLAIN_TEXT);
    cr_assert_eq(set.start, BRIDGE_START_NOW);
    cr_assert_eq(set.when_full, BRIDGE_WHEN_FULL_STOP);
    cr_assert_eq(set.spool_sync, 100);
    cr_assert_eq(set.spool_max, INT64_C(4) << 30);
}

Test(settings, plain_json_needs_a_marker_that_json_cannot_look_like)
{
    char text[1000];
    struct bridge_settings set;
    cr_assert_eq(mistakes_of("plain = text\nend_marker = --end--\n", text, &set), 0, "%s", text);
    cr_assert_eq(mistakes_of("plain = json\nend_marker = __end\n", text, &set), 0, "%s", text);
    cr_assert_eq(mistakes_of("plain = json\nend_marker = --end--\n", text, &set), 1);
    cr_assert(strstr(text, "roost.conf:3") && strstr(text, "end_marker"), "%s", text);
}

Test(settings, each_wrong_value_of_the_section_is_named)
{
    char text[1000];
    struct bridge_settings set;
    cr_assert_eq(mistakes_of("listen = 0.0.0.0:5555\nend_marker = END\nplain = xml\nspool_max = 1MiB\n"
                             "spool_sync = 2s\nwhen_full = wait\n",
                             text, &set),
                 6, "%s", text);
    cr_assert_eq(mistakes_of("spool_sync = 0ms\nlisten = /run/roost/bridge.sock\n", text, &set), 0, "%s",
                 text);
    cr_assert_eq(set.spool_sync, 0);
}

Test(settings, a_second_configuration_of_the_services_has_a_spool_of_its_own)
{
    const struct {
        const char *folder, *path, *spool;
    } cases[] = {
        {"/etc/roost", "/etc/roost/roost.conf", "/var/lib/roost/spool"},
        {"/etc/roost", "/etc/roost/news.conf", "/var/lib/roost/news/spool"},
        {"/etc/roost", "a.b.conf", "/var/lib/roost/a.b/spool"},
        {"/usr/local/etc/roost", "/usr/local/etc/roost/x.conf", "/var/lib/roost/x/spool"},
        {"/etc/roost", "/etc/roost/news", "/var/lib/roost/spool"},
        {"/etc/roost", "/etc/roost/.conf", "/var/lib/roost/spool"},
        {"/home/ada", "/home/ada/news.conf", "/var/lib/roost/spool"},
        {"/", "/news.conf", "/var/lib/roost/spool"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *spool = bridge_default_spool(cases[i].folder, cases[i].path);
        cr_expect_str_eq(spool, cases[i].spool, "%s", cases[i].path);
        free(spool);
    }
}
