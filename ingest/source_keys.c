#include "ingest/source_keys.h"

#include "base/wipe.h"

#include <string.h>

enum { MOST_IDENTITY = 64 * 1024 };

/* The identity as a string in *identity; NULL: memory is out. */
static const char *identify(const struct source_protocol *protocol, void *state, struct buffer *identity)
{
    *identity = BUFFER(MOST_IDENTITY);
    buffer_reserve(identity, MOST_IDENTITY); /* one that grows would leave copies behind */
    protocol->identify(state, identity);
    return buffer_string(identity);
}

bool source_keys_known(const struct source_protocol *protocol, void *state, const char *path)
{
    struct buffer identity;
    if (!path) {
        return false;
    }
    const char *text = identify(protocol, state, &identity);
    bool known = text && streamed_before(path, text);
    wipe_buffer(&identity);
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
    wipe_buffer(&identity);
    return status;
}

static const char *identify_with(const struct source_protocol *protocol, void *state, const char *url,
                                 struct buffer *identity)
{
    identify(protocol, state, identity);
    buffer_add_text(identity, url);
    return buffer_string(identity);
}

int source_keys_mark(const struct source_protocol *protocol, void *state, const char *url,
                     char mark[STREAMED_MARK_SIZE])
{
    struct buffer identity;
    const char *text = identify_with(protocol, state, url, &identity);
    int status = text ? streamed_mark(text, mark) : -1;
    wipe_buffer(&identity);
    if (status) {
        mark[0] = '\0';
    }
    return status;
}

bool source_keys_are(const struct source_protocol *protocol, void *state, const char *url, const char *mark)
{
    struct buffer identity;
    const char *text = identify_with(protocol, state, url, &identity);
    bool same = text && streamed_is_mark_of(view_of(mark), text);
    wipe_buffer(&identity);
    return same;
}

bool source_keys_same(const struct source_protocol *protocol, void *a, const char *a_url, void *b,
                      const char *b_url)
{
    struct buffer one, two;
    const char *first = identify_with(protocol, a, a_url, &one);
    const char *second = identify_with(protocol, b, b_url, &two);
    bool same = first && second && !strcmp(first, second);
    wipe_buffer(&one);
    wipe_buffer(&two);
    return same;
}
