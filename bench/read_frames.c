/* bench/read_frames.c - a numbered client that reads N frames as fast as they come and keeps nothing.
 *
 * Usage: read_frames ADDRESS TOKEN-FILE N. Ends with 0 when N frames were read: so the benchmark knows when
 * `roost listen` has taken, synced and handed out everything. Nothing is acknowledged: the spool keeps it
 * all.
 */
#include "base/file.h"
#include "base/number.h"
#include "bridge/client.h"

#include <stdio.h>
#include <stdlib.h>

enum { TIMEOUT_MS = 60000 };

static int read_all(struct bridge_client *client, uint64_t wanted, struct err *e)
{
    uint64_t bytes = 0;
    for (uint64_t count = 0; count < wanted;) {
        struct bridge_frame frame;
        int got = bridge_client_read(client, TIMEOUT_MS, &frame, e);
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            return err_set(e, ERR_RETRY, "no frame for %d s after %llu of them", TIMEOUT_MS / 1000,
                           (unsigned long long)count);
        }
        count++;
        bytes += frame.payload.length;
    }
    printf("%llu bytes\n", (unsigned long long)bytes);
    return 0;
}

int main(int argc, char **argv)
{
    int64_t wanted;
    struct err e = {.text = "usage: read_frames ADDRESS TOKEN-FILE N"};
    struct buffer token = BUFFER(4096);
    struct bridge_client *client = NULL;
    int result = -1;
    if (argc != 4 || number_parse(view_of(argv[3]), 1, INT64_MAX, &wanted) ||
        file_read(argv[2], &token, &e)) {
        goto out;
    }
    struct view trimmed = view_trim(buffer_view(&token));
    char *secret = view_copy(trimmed);
    struct bridge_client_settings settings = {.address = argv[1], .consumer = "bench", .token = secret};
    client = bridge_client_new(&settings, &e);
    struct bridge_welcome welcome;
    if (client && bridge_client_connect(client, TIMEOUT_MS, &welcome, &e) == 0 &&
        bridge_client_start(client, 1, &e) == 0) {
        result = read_all(client, (uint64_t)wanted, &e);
    }
    bridge_client_free(client);
    free(secret);
out:
    if (result) {
        fprintf(stderr, "read_frames: %s\n", e.text);
    }
    buffer_free(&token);
    return result ? 1 : 0;
}
