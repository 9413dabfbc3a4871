/* tests/fuzz/text_repair.c - any bytes as a line: what comes out is UTF-8 without NUL, and nothing is left to
 * repair. */
#include "base/utf8.h"
#include "text/json_digits.h"
#include "text/repair.h"

#include <stdlib.h>

enum { LINE_MOST = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static bool inside(struct view part, struct view whole)
{
    return part.at >= whole.at && part.at + part.length <= whole.at + whole.length;
}

static void check_digits(struct view line)
{
    static const char *const paths[][2] = {{"id", NULL}, {"user", "id"}, {"", ""}};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct view digits;
        int found = text_json_digits(line, paths[i], paths[i][1] ? 2 : 1, &digits);
        require((found == 0) == !view_absent(digits));
        require(found ||
                (digits.length >= 1 && digits.length <= TEXT_JSON_DIGITS_MOST && inside(digits, line)));
    }
}

static void check_html(struct view text)
{
    struct arena *a = arena_new(LINE_MOST * 2);
    require(a != NULL);
    struct view plain = text_unescape_html(text, a);
    require(plain.at != NULL && plain.length <= text.length);
    require(plain.length == text.length || plain.at != text.at);
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > LINE_MOST) {
        return 0;
    }
    struct view line = view_make(size ? (const char *)data : "", size), out, again;
    struct buffer first = BUFFER(3 * LINE_MOST), second = BUFFER(0);
    struct text_repairs counts = {0}, none = {0};
    require(text_repair(line, &first, &counts, &out) == 0);
    uint64_t repairs = counts.invalid_utf8 + counts.surrogates + counts.nul_bytes + counts.nul_escapes;
    require(out.length <= 3 * size);
    require((repairs == 0) == (out.at == line.at));
    require(utf8_valid(out) && (out.length == 0 || !memchr(out.at, 0, out.length)));
    require(text_repair(out, &second, &none, &again) == 0 && again.at == out.at &&
            again.length == out.length);
    check_digits(line);
    check_digits(out);
    check_html(out);
    buffer_free(&first);
    buffer_free(&second);
    return 0;
}
