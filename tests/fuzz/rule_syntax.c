/* tests/fuzz/rule_syntax.c - fuzz target: any bytes as a rule. Its alternatives are parts of it, in order,
 * and a text that is no rule is refused, never read beyond its end. */
#include "ingest/rule_syntax.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct walk {
    struct view rule;
    const char *last;
    size_t count;
};

static void look(void *user, struct view text)
{
    struct walk *w = user;
    if (text.at < w->last || text.at + text.length > w->rule.at + w->rule.length) {
        abort();
    }
    w->last = text.at + text.length;
    w->count++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e;
    struct walk w = {.rule = view_make((const char *)data, size), .last = (const char *)data};
    rule_syntax_check(w.rule, &e);
    rule_syntax_alternatives(w.rule, look, &w);
    if (!w.count) {
        abort();
    }
    return 0;
}
