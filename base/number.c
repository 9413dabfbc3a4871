#include "base/number.h"

int number_parse_unsigned(struct view text, uint64_t *value)
{
    uint64_t v = 0;
    if (!text.at || !text.length) {
        return -1;
    }
    for (size_t i = 0; i < text.length; i++) {
        char c = text.at[i];
        if (c < '0' || c > '9') {
            return -1;
        }
        if (__builtin_mul_overflow(v, 10U, &v) || __builtin_add_overflow(v, (uint64_t)(c - '0'), &v)) {
            return -1;
        }
    }
    *value = v;
    return 0;
}

int number_parse(struct view text, int64_t min, int64_t max, int64_t *value)
{
    bool negative = text.at && text.length && text.at[0] == '-';
    uint64_t size;
    if (number_parse_unsigned(negative ? view_from(text, 1) : text, &size)) {
        return -1;
    }
    if (size > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
        return -1;
    }
    int64_t v = negative ? (int64_t)(0 - size) : (int64_t)size;
    if (v < min || v > max) {
        return -1;
    }
    *value = v;
    return 0;
}

int number_parse_hex32(struct view text, uint32_t *value)
{
    uint32_t v = 0;
    if (!text.at || text.length != 8) {
        return -1;
    }
    for (size_t i = 0; i < 8; i++) {
        char c = text.at[i];
        uint32_t digit;
        if (c >= '0' && c <= '9') {
            digit = (uint32_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = (uint32_t)(c - 'a') + 10;
        } else if (c >= 'A' && c <= 'F') {
            digit = (uint32_t)(c - 'A') + 10;
        } else {
            return -1;
        }
        v = v << 4 | digit;
    }
    *value = v;
    return 0;
}
