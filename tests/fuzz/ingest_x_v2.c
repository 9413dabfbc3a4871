/* tests/fuzz/ingest_x_v2.c - fuzz target: any bytes as a line of the v2 stream and as the body of an answer.
 * A post or event that comes out must cross the bridge; words of a problem are printable and end. */
#include "ingest/message.h"
#include "ingest/x_v2_problem.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void cross_the_bridge(const struct post *post)
{
    struct err e;
    struct buffer b = BUFFER(64 << 20);
    struct arena *a = arena_new(64 << 20);
    struct post p;
    post_write(&b, post);
    if (b.length <= POST_MAXIMUM_BYTES && a && post_read(buffer_view(&b), a, &p, &e)) {
        abort();
    }
    arena_free(a);
    buffer_free(&b);
}

static void look_for_problem(const cJSON *tree)
{
    struct x_v2_problem problem;
    struct source_reaction reaction;
    char words[40];
    if (!tree || !x_v2_problem_find(tree, &problem)) {
        return;
    }
    x_v2_problem_react(&problem, 1700000000000, &reaction);
    x_v2_problem_words(&problem, "secret", words, sizeof words);
    for (const char *at = words; *at; at++) {
        if (*at < ' ' || *at > '~' || at >= words + sizeof words) {
            abort();
        }
    }
    if (strstr(words, "secret")) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e;
    struct message m;
    struct message_reader *r = message_reader_new(&message_form_x_v2, "fuzz", true, &e);
    if (!r) {
        return 0;
    }
    message_read(r, view_make((const char *)data, size), 1700000000000, &m);
    look_for_problem(message_reader_tree(r));
    if (m.kind == MESSAGE_POST || m.kind == MESSAGE_EVENT) {
        cross_the_bridge(&m.post);
    }
    message_reader_free(r);
    return 0;
}
