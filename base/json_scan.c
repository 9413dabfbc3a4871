#include "base/json_scan.h"

#include <stdint.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static size_t skip_space(struct view t, size_t i)
{
    while (i < t.length && is_space(t.at[i])) {
        i++;
    }
    return i;
}

static size_t skip_digits(struct view t, size_t i)
{
    while (i < t.length && is_digit(t.at[i])) {
        i++;
    }
    return i;
}

/* Each check_ function is at the first byte of its item, moves *i behind it, or leaves *i at what is wrong.
 */

static bool check_escape(struct view t, size_t *i)
{
    if (*i + 1 >= t.length) {
        return false;
    }
    char c = t.at[*i + 1];
    if (c != 'u') {
        if (!c || !strchr("\"\\/bfnrt", c)) {
            return false;
        }
        *i += 2;
        return true;
    }
    for (size_t k = 2; k < 6; k++) {
        if (*i + k >= t.length || !is_hex(t.at[*i + k])) {
            return false;
        }
    }
    *i += 6;
    return true;
}

static bool check_string(struct view t, size_t *i)
{
    if (*i >= t.length || t.at[*i] != '"') {
        return false;
    }
    (*i)++;
    while (*i < t.length && t.at[*i] != '"') {
        if (t.at[*i] == '\\') {
            if (!check_escape(t, i)) {
                return false;
            }
        } else if ((unsigned char)t.at[*i] < 0x20) {
            return false;
        } else {
            (*i)++;
        }
    }
    if (*i >= t.length) {
        return false;
    }
    (*i)++;
    return true;
}

static bool check_some_digits(struct view t, size_t *i, size_t most)
{
    size_t end = skip_digits(t, *i);
    if (end == *i || end - *i > most) {
        return false;
    }
    *i = end;
    return true;
}

static bool check_number(struct view t, size_t *i)
{
    if (t.at[*i] == '-') {
        (*i)++;
    }
    size_t first = *i;
    if (!check_some_digits(t, i, JSON_SCAN_NUMBER_BYTES) || (t.at[first] == '0' && *i > first + 1)) {
        return false;
    }
    if (*i < t.length && t.at[*i] == '.') {
        (*i)++;
        if (!check_some_digits(t, i, JSON_SCAN_NUMBER_BYTES)) {
            return false;
        }
    }
    if (*i < t.length && (t.at[*i] == 'e' || t.at[*i] == 'E')) {
        (*i)++;
        if (*i < t.length && (t.at[*i] == '+' || t.at[*i] == '-')) {
            (*i)++;
        }
        return check_some_digits(t, i, JSON_SCAN_EXPONENT_DIGITS);
    }
    return true;
}

static bool check_word(struct view t, size_t *i)
{
    static const struct view words[] = {{"true", 4}, {"false", 5}, {"null", 4}};
    for (size_t k = 0; k < sizeof words / sizeof words[0]; k++) {
        if (view_starts(view_from(t, *i), words[k])) {
            *i += words[k].length;
            return true;
        }
    }
    return false;
}

static bool check_scalar(struct view t, size_t *i)
{
    if (*i >= t.length) {
        return false;
    }
    char c = t.at[*i];
    if (c == '"') {
        return check_string(t, i);
    }
    return c == '-' || is_digit(c) ? check_number(t, i) : check_word(t, i);
}

/* A key, its colon and the white space around both. */
static bool check_key(struct view t, size_t *i)
{
    *i = skip_space(t, *i);
    if (!check_string(t, i)) {
        return false;
    }
    *i = skip_space(t, *i);
    if (*i >= t.length || t.at[*i] != ':') {
        return false;
    }
    *i = skip_space(t, *i + 1);
    return true;
}

/* Which brackets are open: one bit each, set for an object. */
struct nesting {
    uint64_t objects[JSON_SCAN_DEPTH / 64 + 1];
    size_t depth;
};

static bool inside_object(const struct nesting *n)
{
    size_t top = n->depth - 1;
    return (n->objects[top / 64] >> (top % 64)) & 1;
}

static bool open_bracket(struct nesting *n, bool object)
{
    if (n->depth == JSON_SCAN_DEPTH) {
        return false;
    }
    uint64_t bit = UINT64_C(1) << (n->depth % 64);
    uint64_t *word = &n->objects[n->depth / 64];
    *word = object ? *word | bit : *word & ~bit;
    n->depth++;
    return true;
}

/* Behind a value: closes what closes here and moves to the next value, or to the end when nothing is open any
 * more. */
static bool check_after(struct view t, size_t *i, struct nesting *n)
{
    while (n->depth) {
        *i = skip_space(t, *i);
        if (*i >= t.length) {
            return false;
        }
        bool object = inside_object(n);
        if (t.at[*i] == ',') {
            (*i)++;
            return !object || check_key(t, i);
        }
        if (t.at[*i] != (object ? '}' : ']')) {
            return false;
        }
        (*i)++;
        n->depth--;
    }
    return true;
}

/* One value, or the opening bracket of one, and what follows it up to the next value. */
static bool check_step(struct view t, size_t *i, struct nesting *n)
{
    *i = skip_space(t, *i);
    if (*i >= t.length || (t.at[*i] != '{' && t.at[*i] != '[')) {
        return check_scalar(t, i) && check_after(t, i, n);
    }
    bool object = t.at[*i] == '{';
    if (!open_bracket(n, object)) {
        return false;
    }
    *i = skip_space(t, *i + 1);
    if (*i < t.length && t.at[*i] == (object ? '}' : ']')) {
        return check_after(t, i, n);
    }
    return !object || check_key(t, i);
}

int json_scan_check(struct view text, size_t *at)
{
    struct nesting n = {.depth = 0};
    size_t i = 0;
    bool good = text.at != NULL;
    do {
        good = good && check_step(text, &i, &n);
    } while (good && n.depth);
    if (good) {
        i = skip_space(text, i);
        good = i == text.length;
    }
    if (at) {
        *at = i;
    }
    return good ? 0 : -1;
}

/* The byte behind the string whose opening quote is at i; the length of t when it does not end. */
static size_t string_end(struct view t, size_t i)
{
    for (i++; i < t.length && t.at[i] != '"'; i++) {
        if (t.at[i] == '\\') {
            i++;
        }
    }
    return i < t.length ? i + 1 : t.length;
}

/* The byte behind the value at i, by its brackets and quotes alone. */
static size_t value_end(struct view t, size_t i)
{
    size_t depth = 0;
    while (i < t.length) {
        char c = t.at[i];
        if (c == '"') {
            i = string_end(t, i);
            if (!depth) {
                return i;
            }
            continue;
        }
        if (c == '{' || c == '[') {
            depth++;
        } else if (!depth && (c == ',' || c == '}' || c == ']' || is_space(c))) {
            return i;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            return i + 1;
        }
        i++;
    }
    return t.length;
}

int json_scan_next(struct view object, size_t *at, struct view *key, struct view *value)
{
    size_t i = skip_space(object, *at);
    if (i >= object.length || object.at[i] != (*at ? ',' : '{')) {
        return 0;
    }
    i = skip_space(object, i + 1);
    if (i >= object.length || object.at[i] != '"') {
        return 0;
    }
    size_t end = string_end(object, i);
    size_t colon = skip_space(object, end);
    if (end - i < 2 || colon >= object.length || object.at[colon] != ':') {
        return 0;
    }
    *key = view_make(object.at + i + 1, end - i - 2);
    i = skip_space(object, colon + 1);
    end = value_end(object, i);
    *value = view_make(object.at + i, end - i);
    *at = end;
    return end > i;
}

struct view json_scan_member(struct view text, const char *key)
{
    struct view name, value;
    size_t at = 0;
    while (text.at && json_scan_next(text, &at, &name, &value)) {
        if (view_is(name, key)) {
            return value;
        }
    }
    return view_none();
}

int json_scan_element(struct view array, size_t *at, struct view *value)
{
    if (!array.at) {
        return 0;
    }
    size_t i = skip_space(array, *at);
    if (i >= array.length || array.at[i] != (*at ? ',' : '[')) {
        return 0;
    }
    i = skip_space(array, i + 1);
    size_t end = value_end(array, i);
    *value = view_make(array.at + i, end - i);
    *at = end;
    return end > i;
}
