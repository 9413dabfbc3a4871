#include "base/json.h"

#include <math.h>

static void add_escaped(struct buffer *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char out[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    switch (c) {
    case '"':
    case '\\':
        out[1] = (char)c;
        buffer_append(b, out, 2);
        return;
    case '\n':
        buffer_append(b, "\\n", 2);
        return;
    case '\r':
        buffer_append(b, "\\r", 2);
        return;
    case '\t':
        buffer_append(b, "\\t", 2);
        return;
    default:
        buffer_append(b, out, 6);
    }
}

void json_add_string(struct buffer *b, struct view v)
{
    if (!v.at) {
        buffer_append(b, "null", 4);
        return;
    }
    buffer_add_byte(b, '"');
    size_t run = 0;
    for (size_t i = 0; i < v.length; i++) {
        unsigned char c = (unsigned char)v.at[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F) {
            continue;
        }
        buffer_append(b, v.at + run, i - run);
        add_escaped(b, c);
        run = i + 1;
    }
    buffer_append(b, v.at + run, v.length - run);
    buffer_add_byte(b, '"');
}

const cJSON *json_member(const cJSON *object, const char *key)
{
    if (!cJSON_IsObject(object)) {
        return NULL;
    }
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNull(member) ? NULL : member;
}

struct view json_text(const cJSON *object, const char *key)
{
    const cJSON *member = json_member(object, key);
    return cJSON_IsString(member) ? view_of(member->valuestring) : view_none();
}

int64_t json_number(const cJSON *object, const char *key, int64_t fallback)
{
    const cJSON *member = json_member(object, key);
    if (!cJSON_IsNumber(member) || fabs(member->valuedouble) > 9007199254740992.0 ||
        floor(member->valuedouble) != member->valuedouble) {
        return fallback;
    }
    return (int64_t)member->valuedouble;
}

int json_flag(const cJSON *object, const char *key)
{
    const cJSON *member = json_member(object, key);
    return cJSON_IsBool(member) ? cJSON_IsTrue(member) : -1;
}
