/* Secrets: by file, in $CREDENTIALS_DIRECTORY, refused where the world can read them, never shown. */
#include "support/fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

TestSuite(secrets, .init = fixture_open, .fini = fixture_close);

static struct config *load_mode(const char *text, mode_t mode)
{
    return config_load(fixture_write("test.conf", view_of(text), mode), fixture_kinds, fixture_kind_count);
}

static void expect_one(struct config *c, const char *piece)
{
    cr_assert_eq(config_mistakes(c), 1, "%zu mistakes", config_mistakes(c));
    cr_assert(strstr(config_mistake_text(c, 0), piece), "%s", config_mistake_text(c, 0));
    cr_assert_not(strstr(config_mistake_text(c, 0), "hush"));
    config_free(c);
}

Test(secrets, file_beside_the_configuration_is_read_and_trimmed)
{
    fixture_write("api_key",
                  VIEW("\xEF\xBB\xBF"
                       "hush \r\n\n"),
                  0600);
    struct config *c = fixture_load("[box]\nkey_file = api_key\n");
    cr_assert_eq(config_mistakes(c), 0, "%s", config_mistake_text(c, 0));
    cr_assert_str_eq(((struct box_settings *)config_settings(c, "box"))->key, "hush");
    cr_assert_eq(config_key_place(config_first(c, "box"), "key").line, 2);
    config_free(c);
}

Test(secrets, credentials_directory_goes_before_the_configurations_folder)
{
    const char *path = fixture_write("api_key", VIEW("wrong"), 0600);
    char folder[400];
    snprintf(folder, sizeof folder, "%.*s/creds", (int)(strrchr(path, '/') - path), path);
    cr_assert_eq(mkdir(folder, 0700), 0);
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    fixture_write("creds/api_key", VIEW("hush\n"), 0400);
    struct config *c = fixture_load("[box]\nkey_file = api_key\nlink_file = api_key\n");
    cr_assert_eq(config_mistakes(c), 0, "%s", config_mistake_text(c, 0));
    const struct box_settings *box = config_settings(c, "box");
    cr_assert_str_eq(box->key, "hush");
    cr_assert_str_eq(box->link, "hush", "a hidden text has a file as a secret has");
    config_free(c);
    c = fixture_load("[box]\nkey_file = other\n");
    expect_one(
        c, "other: No such file or directory: name a file that holds the secret (a relative name begins in "
           "$CREDENTIALS_DIRECTORY)");
}

Test(secrets, configuration_with_a_secret_that_the_world_can_read_is_refused)
{
    expect_one(load_mode("[box]\ncount = 1\nkey = hush\n", 0644), "test.conf:3: here stands a secret");
    struct config *c = load_mode("[box]\ncount = 1\nkey = hush\n", 0640);
    cr_assert_eq(config_mistakes(c), 0);
    config_free(c);
    fixture_write("api_key", VIEW("hush"), 0600);
    c = load_mode("[box]\nlink = dbname=roost\nkey_file = api_key\n", 0644);
    cr_assert_eq(config_mistakes(c), 0, "without a secret in it the world may read it");
    config_free(c);
}

Test(secrets, password_in_a_hidden_text_is_a_secret)
{
    expect_one(load_mode("[box]\nlink = dbname=roost password=hush\n", 0604),
               "test.conf:2: here stands a secret");
    fixture_write("link", VIEW("dbname=roost\npassword=hush"), 0600);
    struct config *c = load_mode("[box]\nlink_file = link\n", 0604);
    cr_assert_eq(config_mistakes(c), 0, "the secret is in the other file");
    config_free(c);
}

Test(secrets, secret_file_that_the_world_can_read_is_refused)
{
    fixture_write("api_key", VIEW("hush"), 0604);
    expect_one(fixture_load("[box]\nkey_file = api_key\n"),
               "api_key can be read by every user of this machine");
}

Test(secrets, broken_secret_files_are_named_without_their_bytes)
{
    static const struct {
        struct view bytes;
        const char *piece;
    } cases[] = {
        {{" \n", 2}, "is empty"},
        {{"hush\nhush\n", 10}, "more than one line"},
        {{"hush\xFF", 5}, "not UTF-8"},
        {{"hush\0x", 6}, "NUL byte"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_write("api_key", cases[i].bytes, 0600);
        expect_one(fixture_load("[box]\nkey_file = api_key\n"), cases[i].piece);
    }
}

Test(secrets, required_secret_whose_file_is_missing_is_one_mistake)
{
    expect_one(fixture_load("[thing a]\ntype = round\nradius = 1\npassword_file = nowhere\n"),
               ":4: password_file: ");
}
