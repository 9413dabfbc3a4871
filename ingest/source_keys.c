#include "ingest/source_keys.h"

#include "base/buffer.h"
#include "ingest/streamed.h"

#include <string.h>

enum { MOST_IDENTITY = 64 * 1024 };

/* The identity as a string in *identity; NULL: memory is out. */
static const char *identify(const struct source_protocol *protocol, void *state, struct buffer *identity)
{
    *identity = BUFFER(MOST_IDENTITY);
    protocol->identify(state, identity);
    return buffer_string(identity);
}

static void wipe(struct buffer *identity)
{
    if (identity->data) {
        explicit_bzero(identity->data, identity->capacity);
    }
    buffer_free(identity);
}

bool source_keys_known(const struct source_protocol *protocol, void *state, const char *path)
{
    struct buffer identity;
    if (!path) {
        return false;
    }
    const char *text = identify(protocol, state, &identity);
    bool known = text && streamed_before(path, text);
    wipe(&identity);
    return known;
}

int source_keys_remember(const struct source_protocol *protocol, void *state, const char *path, struct err *e)
{
    struct buffer identity;
    if (!path) {
        return 0;
    }
    const char *text = identify(protocol, state, &identity);
    int status = text ? streamed_remember(path, text, e) : err_set(e, ERR_RETRY, "memory is out");
    wipe(&identity);
    return status;
}
