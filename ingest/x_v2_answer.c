#include "ingest/x_v2_answer.h"

#include "base/json.h"
#include "base/utf8.h"

#include <stdio.h>

enum { TOKEN_MOST = 4096 };

static struct view keep_text(const cJSON *object, const char *key, struct arena *a)
{
    return arena_view(a, json_text(object, key));
}

static struct view or_empty(struct view v)
{
    return view_absent(v) ? VIEW("") : v;
}

static size_t count_of(const cJSON *array)
{
    size_t count = 0;
    for (const cJSON *item = cJSON_IsArray(array) ? array->child : NULL; item; item = item->next) {
        count++;
    }
    return count;
}

static void read_rules(const cJSON *data, struct arena *a, struct x_v2_answer *answer)
{
    size_t most = count_of(data);
    struct rules_held *rules = arena_zeroed(a, most + 1, sizeof *rules);
    for (const cJSON *item = rules && most ? data->child : NULL; item; item = item->next) {
        struct rules_held held = {keep_text(item, "id", a), keep_text(item, "value", a),
                                  keep_text(item, "tag", a)};
        if (held.id.length && held.value.length) {
            rules[answer->rule_count++] = held;
        } else {
            answer->rules_unreadable++;
        }
    }
    answer->rules = rules;
}

/* `details`, a list of sentences, or `detail`, or v1.1's `message`. */
static struct view read_detail(const cJSON *item, struct arena *a)
{
    const cJSON *list = json_member(item, "details");
    if (!count_of(list)) {
        struct view detail = json_text(item, "detail");
        return arena_view(a, or_empty(view_absent(detail) ? json_text(item, "message") : detail));
    }
    struct buffer text = BUFFER(64 * 1024);
    for (const cJSON *one = list->child; one; one = one->next) {
        if (cJSON_IsString(one)) {
            buffer_add_text(&text, text.length ? " " : "");
            buffer_add_text(&text, one->valuestring);
        }
    }
    struct view kept = arena_view(a, or_empty(buffer_view(&text)));
    buffer_free(&text);
    return kept;
}

static struct x_v2_complaint read_problem(const cJSON *item, struct arena *a)
{
    struct view type = json_text(item, "type");
    for (size_t i = type.length; i > 0; i--) {
        if (type.at[i - 1] == '/') {
            type = view_from(type, i);
            break;
        }
    }
    return (struct x_v2_complaint){.type = arena_view(a, or_empty(type)),
                                   .title = or_empty(keep_text(item, "title", a)),
                                   .detail = read_detail(item, a),
                                   .value = keep_text(item, "value", a),
                                   .id = keep_text(item, "id", a),
                                   .code = json_number(item, "code", 0)};
}

static void read_problems(const cJSON *root, struct arena *a, struct x_v2_answer *answer)
{
    const cJSON *errors = json_member(root, "errors");
    size_t most = count_of(errors);
    struct x_v2_complaint *problems = arena_zeroed(a, most + 1, sizeof *problems);
    answer->problems = problems;
    for (const cJSON *item = problems && most ? errors->child : NULL; item; item = item->next) {
        problems[answer->problem_count++] = read_problem(item, a);
    }
    bool whole = !view_absent(json_text(root, "title")) || !view_absent(json_text(root, "detail"));
    if (problems && !most && whole) {
        problems[answer->problem_count++] = read_problem(root, a);
    }
}

/* The token goes into a header, so it has no character that could end one. */
static struct view read_token(const cJSON *root, struct arena *a)
{
    struct view type = json_text(root, "token_type"), token = json_text(root, "access_token");
    bool right =
        type.length == 6 && !strncasecmp(type.at, "bearer", 6) && token.length && token.length <= TOKEN_MOST;
    for (size_t i = 0; right && i < token.length; i++) {
        right = token.at[i] > ' ' && token.at[i] < 0x7F;
    }
    return right ? arena_view(a, token) : view_none();
}

static void wipe_token(const cJSON *root)
{
    const cJSON *token = json_member(root, "access_token");
    if (cJSON_IsString(token)) {
        explicit_bzero(token->valuestring, strlen(token->valuestring));
    }
}

int x_v2_answer_read(struct view body, struct arena *a, struct x_v2_answer *answer, struct err *e)
{
    *answer = (struct x_v2_answer){0};
    cJSON *root = utf8_valid(body) && body.length ? cJSON_ParseWithLength(body.at, body.length) : NULL;
    if (!cJSON_IsObject(root)) {
        cJSON_Delete(root);
        return err_set(e, ERR_REJECT, "the answer is no JSON object");
    }
    read_rules(json_member(root, "data"), a, answer);
    read_problems(root, a, answer);
    answer->next_token = keep_text(json_member(root, "meta"), "next_token", a);
    answer->access_token = read_token(root, a);
    wipe_token(root);
    cJSON_Delete(root);
    return arena_failed(a) ? err_set(e, ERR_RETRY, "no memory for an answer of %zu bytes", body.length) : 0;
}

bool x_v2_complaint_is_duplicate(const struct x_v2_complaint *p)
{
    return view_is(p->type, "duplicate-rules") || view_is(p->title, "DuplicateRule");
}

bool x_v2_complaint_may_pass(const struct x_v2_complaint *p)
{
    static const char *const types[] = {"internal-error", "rate-limit-exceeded", "usage-capped", "credits"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (view_is(p->type, types[i])) {
            return true;
        }
    }
    return false;
}

bool x_v2_complaint_is_cap(const struct x_v2_complaint *p)
{
    return view_is(p->type, "rule-cap") || view_is(p->title, "RulesCapExceeded");
}

void x_v2_answer_quote(const struct x_v2_answer *answer, char *out, size_t size)
{
    out[0] = '\0';
    if (!answer->problem_count) {
        return;
    }
    const struct x_v2_complaint *p = &answer->problems[0];
    bool both = p->title.length && p->detail.length && !view_equal(p->title, p->detail);
    struct view first = p->title.length ? p->title : p->detail;
    int length = snprintf(out, size - 1, " (%.*s%s%.*s", VIEW_PRINT(first), both ? ": " : "",
                          both ? (int)p->detail.length : 0, both ? p->detail.at : "");
    size_t used = length < 0 ? 0 : (size_t)length < size - 1 ? (size_t)length : size - 2;
    for (size_t i = 0; i < used; i++) {
        out[i] = out[i] >= ' ' && out[i] <= '~' ? out[i] : '?';
    }
    out[used] = ')';
    out[used + 1] = '\0';
}
