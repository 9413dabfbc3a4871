#include "ingest/x_part.h"

#include "base/json.h"
#include "base/number.h"
#include "text/json_digits.h"
#include "text/repair.h"

#include <math.h>

const cJSON *x_part_object(const cJSON *object, const char *key)
{
    const cJSON *member = json_member(object, key);
    return cJSON_IsObject(member) ? member : NULL;
}

struct view x_part_text(const cJSON *object, const char *key)
{
    struct view v = json_text(object, key);
    return v.length ? v : view_none();
}

int64_t x_part_count(const cJSON *object, const char *key)
{
    int64_t count = json_number(object, key, POST_NO_NUMBER);
    return count < 0 ? POST_NO_NUMBER : count;
}

bool x_part_is_id(struct view v)
{
    int64_t id;
    return v.length && v.length <= 19 && v.at[0] != '-' && number_parse(v, 0, INT64_MAX, &id) == 0;
}

struct view x_part_id(const cJSON *object, const char *text_key, struct view line, const char *const *path,
                      size_t depth)
{
    struct view id = json_text(object, text_key);
    if (x_part_is_id(id)) {
        return id;
    }
    const cJSON *number = json_member(object, path[depth - 1]);
    bool found = cJSON_IsNumber(number) && text_json_digits(line, path, depth, &id) == 0 && x_part_is_id(id);
    return found ? id : view_none();
}

int64_t x_part_created_at(struct view id, int64_t delivered)
{
    int64_t number = 0;
    if (number_parse(id, 0, INT64_MAX, &number) == 0 && number > X_PART_LAST_PLAIN_ID) {
        return (number >> 22) + X_PART_EPOCH_MS;
    }
    return delivered;
}

struct view x_part_language(struct view code)
{
    if (view_is(code, "in")) {
        return VIEW("id");
    }
    return view_is(code, "iw") ? VIEW("he") : code;
}

static char *put(char *at, struct view v)
{
    memcpy(at, v.at, v.length);
    return at + v.length;
}

struct view x_part_retweet(struct arena *a, struct view name, struct view text)
{
    struct view before = VIEW("RT @"), between = VIEW(": ");
    size_t length = before.length + name.length + between.length + text.length;
    char *start = arena_alloc(a, length);
    if (!start) {
        return view_none();
    }
    put(put(put(put(start, before), name), between), text);
    return view_make(start, length);
}

bool x_part_is_cut(struct view text)
{
    return text.length >= 3 && memcmp(text.at + text.length - 3, "\xE2\x80\xA6", 3) == 0;
}

void x_part_point(const cJSON *point, struct post *p)
{
    const cJSON *pair = json_member(point, "coordinates");
    const cJSON *longitude =
        cJSON_IsArray(pair) ? pair->child : NULL; /* this order: GeoJSON, RFC 7946, 3.1.1 */
    const cJSON *latitude = longitude ? longitude->next : NULL;
    if (latitude && cJSON_IsNumber(longitude) && cJSON_IsNumber(latitude) &&
        fabs(longitude->valuedouble) <= 180 && fabs(latitude->valuedouble) <= 90) {
        p->longitude = longitude->valuedouble;
        p->latitude = latitude->valuedouble;
    }
}

struct view x_part_app(const cJSON *tweet, struct arena *a)
{
    struct view source = x_part_text(tweet, "source");
    const char *close = source.at && source.at[0] == '<' ? memrchr(source.at, '<', source.length) : NULL;
    const char *open = close ? memchr(source.at, '>', source.length) : NULL;
    if (open && close > open) {
        source = view_make(open + 1, (size_t)(close - open - 1));
    } else if (close) {
        return view_none();
    }
    return source.length ? text_unescape_html(source, a) : view_none();
}
