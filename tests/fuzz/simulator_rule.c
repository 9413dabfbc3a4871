/* Any text as a rule of API v2: read or refused with words, matched without reading beyond, a match within
 * its cover. */
#include "simulator/rule.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char PAYLOAD[] = "{\"data\":{\"id\":\"5\",\"text\":\"cat and dog, "
                              "coca-cola\",\"author_id\":\"1\",\"lang\":\"en\",\"entities\":{"
                              "\"hashtags\":[{\"tag\":\"cat\"}]}},\"includes\":{\"users\":[{\"id\":\"1\","
                              "\"username\":\"ada\",\"public_metrics\":{"
                              "\"followers_count\":5}}]}}";

static void match(const struct rule *rule)
{
    struct rule_facts facts;
    struct rule_words cover = {0};
    struct arena *memory = arena_new(1 << 20);
    cJSON *payload = cJSON_Parse(PAYLOAD);
    if (!memory || !payload || rule_facts_of(payload, memory, &facts) < 0) {
        abort();
    }
    bool matched = rule_match(rule, &facts), any = false;
    if (rule_cover(rule, &cover)) {
        for (size_t i = 0; i < cover.count; i++) {
            any = any || rule_facts_has(&facts, cover.items[i]);
        }
        if (matched && !any) {
            abort();
        }
    }
    rule_words_free(&cover);
    cJSON_Delete(payload);
    arena_free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rule_problems problems;
    struct rule *rule = rule_parse(view_make((const char *)data, size), 4096, true, &problems);
    if (!rule && !problems.count) {
        abort();
    }
    if (rule) {
        match(rule);
    }
    rule_free(rule);
    return 0;
}
