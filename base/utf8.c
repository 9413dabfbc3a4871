#include "base/utf8.h"

static unsigned char byte_at(struct view text, size_t at)
{
    return (unsigned char)text.at[at];
}

uint32_t utf8_next(struct view text, size_t *at)
{
    unsigned char first = byte_at(text, (*at)++);
    if (first < 0x80) {
        return first;
    }
    size_t more;
    uint32_t point;
    unsigned char low = 0x80, high = 0xBF; /* the range of the second byte (RFC 3629, section 4) */
    if (first >= 0xC2 && first <= 0xDF) {
        more = 1;
        point = first & 0x1Fu;
    } else if (first >= 0xE0 && first <= 0xEF) {
        more = 2;
        point = first & 0x0Fu;
        low = first == 0xE0 ? 0xA0 : 0x80;
        high = first == 0xED ? 0x9F : 0xBF;
    } else if (first >= 0xF0 && first <= 0xF4) {
        more = 3;
        point = first & 0x07u;
        low = first == 0xF0 ? 0x90 : 0x80;
        high = first == 0xF4 ? 0x8F : 0xBF;
    } else {
        return UTF8_BAD;
    }
    for (; more; more--) {
        if (*at >= text.length || byte_at(text, *at) < low || byte_at(text, *at) > high) {
            return UTF8_BAD;
        }
        point = point << 6 | (byte_at(text, (*at)++) & 0x3Fu);
        low = 0x80;
        high = 0xBF;
    }
    return point;
}

size_t utf8_put(uint32_t point, char out[4])
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xC0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xE0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3F));
        out[2] = (char)(0x80 | (point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3F));
    out[2] = (char)(0x80 | (point >> 6 & 0x3F));
    out[3] = (char)(0x80 | (point & 0x3F));
    return 4;
}

bool utf8_valid(struct view text)
{
    for (size_t at = 0; at < text.length;) {
        if (utf8_next(text, &at) == UTF8_BAD) {
            return false;
        }
    }
    return true;
}

size_t utf8_count(struct view text)
{
    size_t count = 0;
    for (size_t at = 0; at < text.length; count++) {
        utf8_next(text, &at);
    }
    return count;
}

size_t utf8_offset(struct view text, size_t index)
{
    size_t at = 0;
    while (index && at < text.length) {
        utf8_next(text, &at);
        index--;
    }
    return at;
}
