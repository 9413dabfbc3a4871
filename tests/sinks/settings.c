/* [sink NAME] sections: what is wrong is named without showing a conninfo, and passwords do not lie in the
 * open. */
#include "config/config.h"
#include "sinks/postgres.h"
#include "sinks/sinks.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/roost-sinks-XXXXXX";

static void remove_folder(void)
{
    char path[100];
    static const char *const names[] = {"roost.conf", "secret"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void make_folder(void)
{
    unsetenv("CREDENTIALS_DIRECTORY");
    cr_assert_not_null(mkdtemp(folder));
}

TestSuite(settings, .init = make_folder, .fini = remove_folder);

static const char *write_file(const char *name, mode_t mode, const char *text)
{
    static char path[100];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
    cr_assert_eq(chmod(path, mode), 0);
    return path;
}

static struct config *load(mode_t mode, const char *text)
{
    static const struct config_kind *const kinds[] = {&sink_kind};
    struct config *c = config_load(write_file("roost.conf", mode, text), kinds, 1);
    cr_assert_not_null(c);
    return c;
}

static const char *conninfo_of(const struct config *c)
{
    const struct config_section *s = config_first(c, "sink");
    cr_assert_str_eq(config_section_type(s), "postgres");
    cr_assert_eq(sink_type_find(config_section_type(s)), &sink_postgres);
    return ((const struct postgres_settings *)config_section_settings(s))->conninfo;
}

static void expect_mistake(mode_t mode, const char *text, const char *line, const char *part)
{
    struct config *c = load(mode, text);
    cr_expect_eq(config_mistakes(c), 1u);
    const char *said = config_mistakes(c) ? config_mistake_text(c, 0) : "";
    cr_expect_not_null(strstr(said, line), "%s", said);
    cr_expect_not_null(strstr(said, part), "\"%s\" does not say \"%s\"", said, part);
    cr_expect_null(strstr(said, "geheim"), "%s", said);
    config_free(c);
}

Test(settings, an_open_file_may_name_a_database_but_no_password)
{
    struct config *c = load(0644, "[sink main]\ntype = postgres\nconninfo = dbname=roost host=/run\n");
    cr_expect_eq(config_mistakes(c), 0u, "%s", config_mistakes(c) ? config_mistake_text(c, 0) : "");
    cr_expect_str_eq(conninfo_of(c), "dbname=roost host=/run");
    config_free(c);
    expect_mistake(0644, "[sink main]\ntype = postgres\nconninfo = dbname=roost password=geheim\n",
                   ":3:", "chmod");
    expect_mistake(0644, "[sink main]\ntype = postgres\nconninfo = postgresql://u:geheim@h/roost\n",
                   ":3:", "chmod");
    c = load(0600, "[sink main]\ntype = postgres\nconninfo = dbname=roost password=geheim\n");
    cr_expect_eq(config_mistakes(c), 0u);
    config_free(c);
}

Test(settings, a_conninfo_in_a_file_of_its_own)
{
    write_file("secret", 0600, "dbname=roost password=geheim\n");
    struct config *c = load(0644, "[sink main]\ntype = postgres\nconninfo_file = secret\n");
    cr_expect_eq(config_mistakes(c), 0u, "%s", config_mistakes(c) ? config_mistake_text(c, 0) : "");
    cr_expect_str_eq(conninfo_of(c), "dbname=roost password=geheim");
    config_free(c);
}

Test(settings, a_conninfo_that_libpq_cannot_parse_is_a_mistake_and_not_shown)
{
    expect_mistake(0600, "[sink main]\ntype = postgres\nconninfo = geheim\n", ":3:", "libpq cannot parse it");
    expect_mistake(0600, "[sink main]\ntype = postgres\nconninfo = passwort=geheim\n", ":3:", "libpq");
    expect_mistake(0600, "[sink main]\ntype = postgres\nconninfo = dbname='geheim\n", ":3:", "libpq");
}

Test(settings, one_of_both_must_be_there)
{
    write_file("secret", 0600, "dbname=geheim\n");
    expect_mistake(0600, "[sink main]\ntype = postgres\n", "[sink main]", "conninfo");
    expect_mistake(0600, "[sink main]\ntype = postgres\nconninfo = dbname=a\nconninfo_file = secret\n", ":",
                   "both given");
}

Test(settings, keep_is_for_ever_unless_it_is_said_and_a_wrong_one_says_what_would_be_right)
{
    static const char head[] = "[sink main]\ntype = postgres\nconninfo = dbname=a\n";
    static const char *const wrong[] = {"180", "6 months", "0d", "1h", "-1d", "40000d", "1.5d", ""};
    char text[200];
    struct config *c = load(0600, head);
    cr_expect_eq(((const struct postgres_settings *)config_section_settings(config_first(c, "sink")))->keep,
                 0);
    config_free(c);
    snprintf(text, sizeof text, "%skeep = 180d\n", head);
    c = load(0600, text);
    cr_expect_eq(config_mistakes(c), 0u);
    cr_expect_eq(((const struct postgres_settings *)config_section_settings(config_first(c, "sink")))->keep,
                 INT64_C(180) * 24 * 3600 * 1000);
    config_free(c);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(text, sizeof text, "%skeep = %s\n", head, wrong[i]);
        expect_mistake(0600, text, ":4:", *wrong[i] ? ", from 1d to 36500d" : "leave the line out");
    }
}

Test(settings, later_types_are_named_as_such)
{
    expect_mistake(0600, "[sink main]\ntype = kafka\n", ":2:", "kafka");
}
