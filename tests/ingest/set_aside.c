#include "ingest/set_aside.h"

#include "base/file.h"
#include "base/json.h"
#include "ingest/streamed.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void make_folder(char folder[64])
{
    snprintf(folder, 64, "/tmp/roost-test-XXXXXX");
    cr_assert(ne(ptr, mkdtemp(folder), NULL));
}

static void remove_folder(const char *folder)
{
    static const char *const names[] = {"set-aside.ndjson", "set-aside.ndjson.1", "streamed"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    cr_expect(eq(int, rmdir(folder), 0));
}

Test(set_aside, the_file_stays_bounded_and_holds_any_bytes)
{
    char folder[64];
    make_folder(folder);
    struct set_aside *aside = set_aside_new(folder, 1000);
    for (int i = 0; i < 100; i++) {
        set_aside_put(aside, "test", 0, "is no JSON", view_make("\xff\0\r\n", 4));
    }
    set_aside_free(aside);
    static const char *const names[] = {"set-aside.ndjson", "set-aside.ndjson.1"};
    for (size_t i = 0; i < 2; i++) {
        char path[128];
        struct buffer b = BUFFER(1001); /* reading a longer file would fail */
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        cr_assert(eq(int, file_read(path, &b, NULL), 0), "%s", names[i]);
        const char *text = buffer_string(&b), *end = strchr(text, '\n');
        cJSON *line = cJSON_ParseWithLength(text, (size_t)(end - text));
        cr_expect(view_is(json_text(line, "base64"), "/wANCg=="));
        cr_expect(view_is(json_text(line, "received_at"), "1970-01-01T00:00:00.000Z"));
        cJSON_Delete(line);
        buffer_free(&b);
    }
    remove_folder(folder);
}

Test(set_aside, a_folder_that_is_not_there_is_no_reason_to_stop)
{
    struct set_aside *aside = set_aside_new("/nowhere/at/all", SET_ASIDE_FILE_LIMIT);
    set_aside_put(aside, "test", 0, "is no JSON", VIEW("x"));
    set_aside_free(aside);
}

Test(streamed, keys_are_known_again_and_cannot_be_read_from_the_file)
{
    char folder[64], path[128];
    struct err e;
    make_folder(folder);
    snprintf(path, sizeof path, "%s/streamed", folder);
    cr_expect(not(streamed_before(path, "host key secret")));
    cr_assert(eq(int, streamed_remember(path, "host key secret", &e), 0));
    cr_expect(streamed_before(path, "host key secret"));
    cr_expect(not(streamed_before(path, "host key secret2")));
    for (int i = 0; i < 99; i++) {
        char other[32];
        snprintf(other, sizeof other, "other %d", i);
        cr_assert(eq(int, streamed_remember(path, other, &e), 0));
    }
    cr_expect(streamed_before(path, "host key secret"));
    cr_assert(eq(int, streamed_remember(path, "one more", &e), 0));
    cr_expect(not(streamed_before(path, "host key secret"))); /* the newest 100 are kept */
    struct buffer b = BUFFER(1 << 16);
    struct stat status;
    cr_assert(eq(int, file_read(path, &b, NULL), 0));
    cr_expect(eq(ptr, strstr(buffer_string(&b), "secret"), NULL));
    cr_assert(eq(int, stat(path, &status), 0));
    cr_expect(eq(int, status.st_mode & 0777, 0600));
    buffer_free(&b);
    remove_folder(folder);
}
