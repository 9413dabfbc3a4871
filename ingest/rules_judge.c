#include "ingest/rules_judge.h"

struct judging {
    struct config *c;
    const struct config_section *section;
};

static void tell(void *user, struct config_place place, const char *text)
{
    struct judging *j = user;
    if (place.line) {
        config_mistake(j->c, place, "%s", text);
    } else {
        config_mistake(j->c, config_section_place(j->section), "[source %s]: %s",
                       config_section_name(j->section), text);
    }
}

/* A rule must want something: exclusions alone are none. */
static bool asks_for_something(const struct keyword *k)
{
    for (size_t i = 0; i < k->part_count; i++) {
        if (!k->parts[i].excluded) {
            return true;
        }
    }
    return k->rule.at != NULL;
}

static bool has_something_to_ask_for(const struct filter_settings *filter)
{
    for (size_t i = 0; i < filter->keyword_count; i++) {
        if (asks_for_something(&filter->keywords[i].keyword)) {
            return true;
        }
    }
    return false;
}

void rules_judge(struct config *c, const struct config_section *s)
{
    const struct source_x_v2_settings *source = config_section_settings(s);
    const struct rules_limits limits = {source->rule_length, source->rules_maximum};
    struct judging j = {c, s};
    struct err e;
    if (source->common.filter.broken || limits.rule_length < 1 || limits.rules_maximum < 1) {
        return; /* each has its mistake already */
    }
    if (!has_something_to_ask_for(&source->common.filter)) {
        config_mistake(
            c, config_section_place(s),
            "[source %s] %s: add keywords = ... or keywords_file = ..., here or in [filter]; x-v2 makes "
            "its rules of them, and without a rule nothing is streamed",
            config_section_name(s),
            source->common.filter.keyword_count
                ? "has only keywords that exclude (a rule must want something)"
                : "has no keyword");
        return;
    }
    struct rules *rules = rules_compile(&source->common.filter, config_section_name(s), &limits,
                                        &(struct rules_mistakes){tell, &j}, &e);
    if (!rules && e.kind == ERR_RETRY) {
        tell(&j, (struct config_place){NULL, 0}, e.text);
    }
    rules_free(rules);
}

static void ignore(void *user, struct config_place place, const char *text)
{
    (void)user, (void)place, (void)text;
}

struct rules *rules_of_source(const struct source_x_v2_settings *source, struct err *e)
{
    const struct rules_limits limits = {source->rule_length, source->rules_maximum};
    return rules_compile(&source->common.filter, source->common.name, &limits,
                         &(struct rules_mistakes){ignore, NULL}, e);
}
