#include "ingest/settings_same.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static bool same_filter(const struct filter_settings *a, const struct filter_settings *b)
{
    bool same = a->keyword_count == b->keyword_count && a->language_count == b->language_count &&
                a->retweets == b->retweets && a->replies == b->replies && a->quotes == b->quotes &&
                a->local_filter == b->local_filter && a->sample == b->sample;
    for (size_t i = 0; same && i < a->keyword_count; i++) {
        same = view_equal(a->keywords[i].keyword.line, b->keywords[i].keyword.line);
    }
    for (size_t i = 0; same && i < a->language_count; i++) {
        same = !strcmp(a->languages[i], b->languages[i]);
    }
    return same;
}

static bool same_x_v1(const struct source_x_v1_settings *a, const struct source_x_v1_settings *b)
{
    return same_text(a->api_key, b->api_key) && same_text(a->api_secret, b->api_secret) &&
           same_text(a->access_token, b->access_token) && same_text(a->access_secret, b->access_secret) &&
           a->delimited == b->delimited && a->stall_warnings == b->stall_warnings;
}

static bool same_x_v2(const struct source_x_v2_settings *a, const struct source_x_v2_settings *b)
{
    return same_text(a->api_key, b->api_key) && same_text(a->api_secret, b->api_secret) &&
           a->rule_length == b->rule_length && a->rules_maximum == b->rules_maximum &&
           a->backfill_minutes == b->backfill_minutes;
}

bool settings_same(const struct source_settings *a, const struct source_settings *b)
{
    if (strcmp(a->name, b->name) != 0 || strcmp(a->type, b->type) != 0 || !same_text(a->url, b->url) ||
        !same_text(a->bearer_token, b->bearer_token) || a->store_raw != b->store_raw ||
        a->tls_insecure_accept_any_certificate != b->tls_insecure_accept_any_certificate ||
        a->stall_timeout != b->stall_timeout || a->change_interval != b->change_interval ||
        !same_filter(&a->filter, &b->filter)) {
        return false;
    }
    if (!strcmp(a->type, "x-v1")) {
        return same_x_v1((const struct source_x_v1_settings *)a, (const struct source_x_v1_settings *)b);
    }
    return !strcmp(a->type, "x-v2") &&
           same_x_v2((const struct source_x_v2_settings *)a, (const struct source_x_v2_settings *)b);
}
