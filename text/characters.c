#include "text/characters.h"

uint32_t point_before(struct view text, size_t at)
{
    if (at == 0) {
        return POINT_NONE;
    }
    size_t start = at - 1;
    while (start > 0 && at - start < 4 && ((unsigned char)text.at[start] & 0xC0) == 0x80) {
        start--;
    }
    size_t end = start;
    uint32_t point = utf8_next(text, &end);
    return end == at ? point : UTF8_BAD;
}

bool is_letter_or_mark(uint32_t c)
{
    if (c < 0x80) {
        return is_ascii_letter(c);
    }
    return c != UTF8_BAD && (U_GET_GC_MASK((UChar32)c) & (U_GC_L_MASK | U_GC_M_MASK));
}

bool is_decimal_digit(uint32_t c)
{
    if (c < 0x80) {
        return is_ascii_digit(c);
    }
    return c != UTF8_BAD && u_charType((UChar32)c) == U_DECIMAL_DIGIT_NUMBER;
}

bool is_accented_latin(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {{0xC0, 0xD6},   {0xD8, 0xF6},   {0xF8, 0x24F},  {0x253, 0x254},
                  {0x256, 0x257}, {0x259, 0x259}, {0x25B, 0x25B}, {0x263, 0x263},
                  {0x268, 0x268}, {0x26F, 0x26F}, {0x272, 0x272}, {0x289, 0x289},
                  {0x28B, 0x28B}, {0x2BB, 0x2BB}, {0x300, 0x36F}, {0x1E00, 0x1EFF}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges && c >= ranges[i].first; i++) {
        if (c <= ranges[i].last) {
            return true;
        }
    }
    return false;
}
