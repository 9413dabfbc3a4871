/* tests/base/files.c - errors, whole files, JSON: messages name what and where; nothing is half written. */
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

Test(err, a_message_is_wrapped_and_cut_never_overrun)
{
    struct err e;
    cr_assert_eq(err_set(&e, ERR_REJECT, "field %s", "id"), -1);
    err_wrap(&e, "frame %d", 81);
    cr_assert_str_eq(e.text, "frame 81: field id");
    cr_assert_eq(e.kind, ERR_REJECT);
    char long_text[3000];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    err_wrap(&e, "%s", long_text);
    cr_assert_eq(strlen(e.text), ERR_TEXT_SIZE - 1);
    err_set(NULL, ERR_FATAL, "nobody asks");
    err_set(&e, ERR_FATAL, "x");
    cr_assert_eq(err_exit_status(&e), 2);
}

Test(err, what_passes_when_there_is_room_again_is_not_fatal)
{
    const int passing[] = {ENOSPC, EDQUOT, ENOMEM, EMFILE, ENFILE},
              lasting[] = {EACCES, ENOTDIR, EROFS, EIO, 0};
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
        cr_assert_eq(err_kind_of(passing[i]), ERR_RETRY, "errno %d", passing[i]);
        cr_assert_eq(err_kind_of(lasting[i]), ERR_FATAL, "errno %d", lasting[i]);
    }
}

Test(file, a_file_is_replaced_whole_with_its_mode)
{
    char folder[] = "/tmp/roost-file-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    char path[100], deep[100];
    snprintf(path, sizeof path, "%s/one", folder);
    snprintf(deep, sizeof deep, "%s/a/b", folder);
    struct err e;
    cr_assert_eq(file_replace(path, VIEW("first"), 0600, &e), 0);
    cr_assert_eq(file_replace(path, VIEW("second"), 0640, &e), 0);
    struct buffer b = BUFFER(6);
    cr_assert_eq(file_read(path, &b, &e), 0);
    cr_assert(view_is(buffer_view(&b), "second"));
    struct stat status;
    stat(path, &status);
    cr_assert_eq(status.st_mode & 0777, 0640);
    cr_assert_eq(file_read(path, &b, &e), -1, "the limit counts what is there already");
    buffer_free(&b);
    cr_assert_eq(file_make_folder(deep, &e), 0);
    cr_assert_eq(file_make_folder(deep, &e), 0);
    cr_assert_eq(file_make_folder(path, &e), -1);
    cr_assert_not_null(strstr(e.text, path));
    rmdir(deep);
    *strrchr(deep, '/') = '\0';
    rmdir(deep);
    unlink(path);
    cr_assert_eq(file_read(path, &b, &e), -1);
    cr_assert_not_null(strstr(e.text, path));
    rmdir(folder);
}

Test(json, strings_survive_being_written_and_read)
{
    struct buffer b = BUFFER(1000);
    json_add_string(&b, VIEW("a\"\\\n\r\t\x01\x7f\xE2\x80\xA8 z"));
    cr_assert_null(strchr(buffer_string(&b), '\n'));
    cJSON *tree = cJSON_Parse(buffer_string(&b));
    cr_assert_str_eq(tree->valuestring, "a\"\\\n\r\t\x01\x7f\xE2\x80\xA8 z");
    cJSON_Delete(tree);
    buffer_reset(&b);
    json_add_string(&b, view_none());
    cr_assert(view_is(buffer_view(&b), "null"));
    buffer_free(&b);
}

Test(json, a_member_of_the_wrong_type_is_absent)
{
    cJSON *tree =
        cJSON_Parse("{\"s\":\"x\",\"S\":1,\"n\":12,\"big\":1e300,\"half\":0.5,\"f\":true,\"z\":null}");
    cr_assert(view_is(json_text(tree, "s"), "x"));
    cr_assert(view_absent(json_text(tree, "S")), "keys are compared with case");
    cr_assert_eq(json_number(tree, "n", -9), 12);
    cr_assert_eq(json_number(tree, "big", -9), -9);
    cr_assert_eq(json_number(tree, "half", -9), -9);
    cr_assert_eq(json_number(tree, "s", -9), -9);
    cr_assert_eq(json_flag(tree, "f"), 1);
    cr_assert_eq(json_flag(tree, "n"), -1);
    cr_assert_null(json_member(tree, "z"));
    cr_assert_null(json_member(NULL, "z"));
    cJSON_Delete(tree);
}
