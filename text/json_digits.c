#include "text/json_digits.h"

#include "base/json_scan.h"

static bool is_integer(struct view v)
{
    size_t at = v.length && v.at[0] == '-';
    if (at == v.length || v.length > TEXT_JSON_DIGITS_MOST || (v.at[at] == '0' && v.length > at + 1)) {
        return false;
    }
    while (at < v.length && v.at[at] >= '0' && v.at[at] <= '9') {
        at++;
    }
    return at == v.length;
}

int text_json_digits(struct view json, const char *const *path, size_t depth, struct view *digits)
{
    struct view value = json;
    for (size_t i = 0; i < depth && !view_absent(value); i++) {
        value = json_scan_member(value, path[i]);
    }
    bool found = depth && !view_absent(value) && is_integer(value);
    *digits = found ? value : view_none();
    return found ? 0 : -1;
}
