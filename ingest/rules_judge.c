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

void rules_judge(struct config *c, const struct config_section *s)
{
    const struct source_x_v2_settings *source = config_section_settings(s);
    const struct rules_limits limits = {source->rule_length, source->rules_maximum};
    struct judging j = {c, s};
    struct err e;
    if (source->common.filter.broken || limits.rule_length < 1 || limits.rules_maximum < 1) {
        return; /* each has its mistake already */
    }
    if (!source->common.filter.keyword_count) {
        config_mistake(
            c, config_section_place(s),
            "[source %s] has no keyword: add keywords = ... or keywords_file = ..., here or in [filter]; "
            "x-v2 streams nothing without one",
            config_section_name(s));
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
