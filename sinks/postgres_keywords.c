#include "sinks/postgres_keywords.h"

#include "base/clock.h"
#include "base/json.h"

#include <stdlib.h>

static const char end_others_sql[] =
    "UPDATE roost.keyword_versions SET ended_at = $3::timestamptz WHERE source = $1 AND network = $2 AND "
    "ended_at IS NULL AND began_at < $3::timestamptz AND (version, contents) IS DISTINCT FROM ($4::text, "
    "$5::text)";

static const char add_sql[] =
    "INSERT INTO roost.keyword_versions (source, network, began_at, version, contents, number, rule_id, tag, "
    "rule, keywords, languages, ended_at) "
    "SELECT $1, $2, $3::timestamptz, $4, $5, (r ->> 'number')::bigint, r ->> 'id', r ->> 'tag', r ->> "
    "'rule', ARRAY(SELECT jsonb_array_elements_text(r -> 'keywords')), "
    "ARRAY(SELECT jsonb_array_elements_text($6::jsonb -> 'languages')), "
    "(SELECT min(later.began_at) FROM roost.keyword_versions AS later WHERE later.source = $1 AND "
    "later.network = $2 AND later.began_at > $3::timestamptz) "
    "FROM jsonb_array_elements($6::jsonb -> 'rules') AS r WHERE NOT EXISTS (SELECT FROM "
    "roost.keyword_versions AS v WHERE v.source = $1 AND v.network = $2 AND v.version = $4 AND v.contents = "
    "$5 AND v.number = (r ->> 'number')::bigint AND v.began_at <= $3::timestamptz AND (v.ended_at IS NULL OR "
    "v.ended_at > $3::timestamptz)) ON CONFLICT DO NOTHING";

/* Both NULL in `version`: the source has left, and all of its versions end. */
struct telling {
    char *source, *network;
    const char *version, *contents; /* in the body */
    char at[CLOCK_TEXT_SIZE];
};

static bool is_text_list(const cJSON *list)
{
    bool good = cJSON_IsArray(list);
    for (const cJSON *item = good ? list->child : NULL; item && good; item = item->next) {
        good = cJSON_IsString(item);
    }
    return good;
}

static bool has_rules(const cJSON *body)
{
    const cJSON *rules = json_member(body, "rules");
    bool good = cJSON_IsArray(rules) && is_text_list(json_member(body, "languages"));
    for (const cJSON *rule = good ? rules->child : NULL; rule && good; rule = rule->next) {
        good = json_number(rule, "number", 0) > 0 && is_text_list(json_member(rule, "keywords"));
    }
    return good;
}

/* False: the body lacks something, or memory is out (*out). The two strings are the caller's to free. */
static bool read_telling(const struct post *event, const cJSON *body, struct telling *t, bool *out)
{
    struct view version = json_text(body, "version"), contents = json_text(body, "contents");
    struct view ended = json_text(body, "ended_at");
    int64_t at;
    bool ends = !view_absent(ended);
    *t = (struct telling){.version = version.at, .contents = contents.at};
    if (view_absent(event->source) || view_absent(event->network) ||
        clock_parse(ends ? ended : json_text(body, "since"), &at) ||
        (!ends && (view_absent(version) || view_absent(contents) || !has_rules(body)))) {
        return false;
    }
    t->version = ends ? NULL : t->version;
    t->contents = ends ? NULL : t->contents;
    clock_format(at, t->at);
    t->source = view_copy(event->source);
    t->network = view_copy(event->network);
    *out = !t->source || !t->network;
    return !*out;
}

int postgres_keywords_write(struct postgres_link *link, const struct post *event, struct err *e)
{
    cJSON *body = cJSON_ParseWithLength(event->body.at, event->body.length);
    char *text = view_copy(event->body);
    struct telling t;
    bool out = !text;
    int rc = 0;
    if (read_telling(event, body, &t, &out) && text) {
        const char *values[] = {t.source, t.network, t.at, t.version, t.contents, text};
        rc = postgres_link_ask(link, end_others_sql, 5, values, NULL, e);
        if (rc == 0 && t.version) {
            rc = postgres_link_ask(link, add_sql, 6, values, NULL, e);
        }
    } else if (out) {
        rc = err_set(e, ERR_RETRY, "memory is out for the keywords of a batch");
    }
    free(t.source);
    free(t.network);
    free(text);
    cJSON_Delete(body);
    return rc;
}
