#include "ingest/streamed.h"

#include "base/buffer.h"
#include "base/file.h"
#include "base/random.h"
#include "ingest/hmac.h"

#include <stdio.h>
#include <stdlib.h>

enum { MOST_FILE = 64 * 1024, MOST_LINES = 100, SALT_BYTES = 16, SALT_SIZE = 2 * SALT_BYTES + 1 };

bool streamed_is_mark_of(struct view line, const char *identity)
{
    char salt[SALT_SIZE];
    if (line.length <= sizeof salt || line.at[sizeof salt - 1] != ' ') {
        return false;
    }
    snprintf(salt, sizeof salt, "%.*s", SALT_SIZE - 1, line.at);
    char *hash = hmac_sha1_base64(identity, salt);
    bool same = view_is(view_from(line, sizeof salt), hash);
    free(hash);
    return same;
}

int streamed_mark(const char *identity, char mark[STREAMED_MARK_SIZE])
{
    char salt[SALT_SIZE];
    random_hex(salt, SALT_BYTES);
    char *hash = hmac_sha1_base64(identity, salt);
    int length = snprintf(mark, STREAMED_MARK_SIZE, "%s %s", salt, hash ? hash : "");
    bool made = hash && length < STREAMED_MARK_SIZE;
    free(hash);
    return made ? 0 : -1;
}

/* The next line of *rest, which moves behind it; false: there are no more. */
static bool next_line(struct view *rest, struct view *line)
{
    if (!rest->length) {
        return false;
    }
    const char *end = memchr(rest->at, '\n', rest->length);
    *line = view_make(rest->at, end ? (size_t)(end - rest->at) : rest->length);
    *rest = view_from(*rest, line->length + 1);
    return true;
}

bool streamed_before(const char *path, const char *identity)
{
    struct buffer file = BUFFER(MOST_FILE);
    bool found = false;
    if (file_read(path, &file, NULL) == 0) {
        struct view rest = buffer_view(&file), line;
        while (!found && next_line(&rest, &line)) {
            found = streamed_is_mark_of(line, identity);
        }
    }
    buffer_free(&file);
    return found;
}

int streamed_remember(const char *path, const char *identity, struct err *e)
{
    struct buffer file = BUFFER(MOST_FILE);
    struct view line;
    char mark[STREAMED_MARK_SIZE];
    int status = streamed_mark(identity, mark);
    if (file_read(path, &file, NULL)) {
        buffer_reset(&file); /* none yet, or none that can be read: begin anew */
    }
    size_t lines = 0;
    for (struct view rest = buffer_view(&file); next_line(&rest, &line);) {
        lines++;
    }
    for (; lines >= MOST_LINES; lines--) {
        struct view rest = buffer_view(&file);
        next_line(&rest, &line);
        buffer_drop(&file, line.length + 1);
    }
    if (file.length && file.data[file.length - 1] != '\n') {
        buffer_add_byte(&file, '\n');
    }
    buffer_print(&file, "%s\n", mark);
    status = !status && !buffer_failed(&file) ? file_replace(path, buffer_view(&file), 0600, e)
                                              : err_set(e, ERR_RETRY, "%s: memory is out", path);
    buffer_free(&file);
    return status;
}
