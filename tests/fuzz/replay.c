/* tests/fuzz/replay.c - runs a fuzz target over files, folders, and small changes of them, without a fuzzer.
 *
 * So each ordinary test run replays the corpora, also with gcc. Usage: TARGET CORPUS... Every file is given
 * whole, cut at some places and with some bytes changed (by a fixed seed).
 */
#include "base/buffer.h"
#include "base/file.h"
#include "base/random.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAXIMUM_FILE = 16 * 1024 * 1024, CHANGED_COPIES = 64 };

static void run_copy(const char *bytes, size_t n)
{
    /* A block of exactly this size, so that AddressSanitizer sees one byte read too far. */
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy) {
        abort();
    }
    if (n) {
        memcpy(copy, bytes, n);
    }
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static void run_changed(struct buffer *b, struct random *r)
{
    size_t n = b->length;
    run_copy(b->data, n);
    for (int i = 0; i < CHANGED_COPIES && n; i++) {
        run_copy(b->data, random_below(r, n));
        size_t at = random_below(r, n);
        char kept = b->data[at];
        b->data[at] = (char)random_next(r);
        run_copy(b->data, n);
        b->data[at] = kept;
    }
}

static int run_path(const char *path, struct random *r)
{
    struct stat status;
    if (stat(path, &status)) {
        perror(path);
        return 1;
    }
    if (S_ISDIR(status.st_mode)) {
        struct dirent **names;
        int count = scandir(path, &names, NULL, alphasort), bad = 0;
        for (int i = 0; i < count; i++) {
            char *inner;
            if (names[i]->d_name[0] != '.' && asprintf(&inner, "%s/%s", path, names[i]->d_name) >= 0) {
                bad |= run_path(inner, r);
                free(inner);
            }
            free(names[i]);
        }
        free(names);
        return bad;
    }
    struct buffer b = BUFFER(MAXIMUM_FILE);
    struct err e;
    int bad = 0;
    if (file_read(path, &b, &e)) {
        fprintf(stderr, "%s\n", e.text);
        bad = 1;
    } else {
        run_changed(&b, r);
    }
    buffer_free(&b);
    return bad;
}

int main(int argc, char **argv)
{
    struct random r = {20260101};
    int bad = 0;
    run_copy("", 0);
    for (int i = 1; i < argc; i++) {
        bad |= run_path(argv[i], &r);
    }
    return bad;
}
