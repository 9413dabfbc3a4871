#include "text/lower.h"

#include "base/utf8.h"
#include "text/handles.h"

#include <stdint.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>

bool text_is_ascii(struct view v)
{
    size_t i = 0;
    for (uint64_t eight; i + sizeof eight <= v.length; i += sizeof eight) {
        memcpy(&eight, v.at + i, sizeof eight);
        if (eight & 0x8080808080808080u) {
            return false;
        }
    }
    for (; i < v.length; i++) {
        if ((unsigned char)v.at[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

static bool is_capital(char c)
{
    return c >= 'A' && c <= 'Z';
}

static struct view lower_ascii(struct view v, struct arena *a)
{
    size_t i = 0;
    while (i < v.length && !is_capital(v.at[i])) {
        i++;
    }
    if (i == v.length) {
        return v;
    }
    char *out = arena_alloc(a, v.length);
    if (!out) {
        return view_none();
    }
    for (i = 0; i < v.length; i++) {
        out[i] = is_capital(v.at[i]) ? (char)(v.at[i] + ('a' - 'A')) : v.at[i];
    }
    return view_make(out, v.length);
}

/* Fails the arena for good measure: "too long" then looks like "too big for the arena" to the caller. */
static struct view refuse(struct arena *a)
{
    arena_alloc(a, SIZE_MAX);
    return view_none();
}

/* ICU's UTF-8 functions copy what is not UTF-8 as it is, so that is replaced first. */
static struct view made_valid(struct view v, struct arena *a)
{
    if (utf8_valid(v)) {
        return v;
    }
    char *out = arena_alloc(a, 3 * v.length);
    size_t used = 0;
    for (size_t at = 0; out && at < v.length;) {
        uint32_t c = utf8_next(v, &at);
        used += utf8_put(c == UTF8_BAD ? 0xFFFD : c, out + used);
    }
    return out ? view_make(out, used) : view_none();
}

struct view text_lower(const struct text_worker *w, struct view v, struct arena *a)
{
    if (view_absent(v) || text_is_ascii(v)) {
        return lower_ascii(v, a);
    }
    if (v.length > TEXT_MAXIMUM) {
        return refuse(a);
    }
    v = made_valid(v, a);
    /* Lower case has at most half as many bytes more: U+0130 and U+023A have two and become three. */
    size_t room = v.length + v.length / 2 + 1;
    char *out = view_absent(v) ? NULL : arena_alloc(a, room);
    if (!out) {
        return view_none();
    }
    UErrorCode status = U_ZERO_ERROR;
    int32_t n = ucasemap_utf8ToLower(w->cases, out, (int32_t)room, v.at, (int32_t)v.length, &status);
    if (U_FAILURE(status)) {
        return refuse(a);
    }
    arena_shrink(a, out, room, (size_t)n);
    return view_make(out, (size_t)n);
}

/* UTF-16 text in an arena. `at` is NULL when something failed. */
struct units {
    UChar *at;
    int32_t length;
};

static struct units from_utf8(struct view v, struct arena *a)
{
    struct units u = {arena_zeroed(a, v.length + 1, sizeof(UChar)), 0};
    UErrorCode status = U_ZERO_ERROR;
    if (u.at) {
        u_strFromUTF8WithSub(u.at, (int32_t)v.length + 1, &u.length, v.at, (int32_t)v.length, 0xFFFD, NULL,
                             &status);
    }
    return U_SUCCESS(status) ? u : (struct units){NULL, 0};
}

static struct units normalise(const UNormalizer2 *form, struct units u, struct arena *a, UErrorCode *status)
{
    if (!u.at || unorm2_spanQuickCheckYes(form, u.at, u.length, status) == u.length) {
        return u;
    }
    /* No code point grows past 18 units in NFD or 3 in NFC, and only a few do: ask for the length when the
     * guess fails. */
    int32_t room = u.length + u.length / 2 + 32;
    for (int attempt = 0; attempt < 2 && U_SUCCESS(*status); attempt++) {
        UChar *out = arena_alloc(a, (size_t)room * sizeof *out);
        if (!out) {
            break;
        }
        int32_t n = unorm2_normalize(form, u.at, u.length, out, room, status);
        if (U_SUCCESS(*status)) {
            return (struct units){out, n};
        }
        if (*status == U_BUFFER_OVERFLOW_ERROR) {
            *status = U_ZERO_ERROR;
            room = n;
        }
    }
    return (struct units){NULL, 0};
}

static struct units fold_case(struct units u, struct arena *a, UErrorCode *status)
{
    int32_t room = 3 * u.length + 1; /* one code unit folds to three at the most (U+0390) */
    UChar *out = u.at ? arena_alloc(a, (size_t)room * sizeof *out) : NULL;
    if (!out) {
        return (struct units){NULL, 0};
    }
    int32_t n = u_strFoldCase(out, room, u.at, u.length, U_FOLD_CASE_DEFAULT, status);
    return U_SUCCESS(*status) ? (struct units){out, n} : (struct units){NULL, 0};
}

/* Full-width and half-width forms stand together at U+FF00 to U+FFEF, and each is one unit in its usual
 * width: the single step of its decomposition (the Unicode Character Database's <wide> and <narrow>), so that
 * no other compatibility character changes. A half-width katakana's voicing becomes a mark that NFC then
 * joins to it. */
static void make_usual_width(struct units u, UErrorCode *status)
{
    const UNormalizer2 *compatible = unorm2_getNFKCInstance(status);
    for (int32_t i = 0; u.at && U_SUCCESS(*status) && i < u.length; i++) {
        if ((u.at[i] & 0xFF00) == 0xFF00) {
            UChar usual[2];
            UErrorCode own = U_ZERO_ERROR;
            int32_t n = unorm2_getRawDecomposition(compatible, u.at[i], usual, 2, &own);
            u.at[i] = n == 1 && U_SUCCESS(own) ? usual[0] : u.at[i];
        }
    }
}

/* In UTF-8 those characters begin with EF BC to EF BF. */
static bool has_other_width(struct view v)
{
    const char *end = v.at + v.length;
    for (const char *at = v.at; (at = memchr(at, 0xEF, (size_t)(end - at))) && at + 1 < end; at++) {
        if ((unsigned char)at[1] >= 0xBC) {
            return true;
        }
    }
    return false;
}

/* The end of both functions: units as UTF-8, or what a failure before this gives. */
static struct view to_utf8(struct units u, struct arena *a, UErrorCode status)
{
    size_t room = 3 * (size_t)u.length + 1;
    char *out = u.at ? arena_alloc(a, room) : NULL;
    int32_t n = 0;
    if (!out || (u_strToUTF8(out, (int32_t)room, &n, u.at, u.length, &status), U_FAILURE(status))) {
        return refuse(a);
    }
    arena_shrink(a, out, room, (size_t)n);
    return view_make(out, (size_t)n);
}

/* The iota subscript is the one character for which the order of folding and decomposing matters (D145, the
 * note): it is U+0345, or inside a letter of U+1F80 to U+1FFF (E1 BE.. or E1 BF..). */
static bool has_iota_subscript(struct view v)
{
    for (size_t i = 0; i + 1 < v.length; i++) {
        unsigned char first = (unsigned char)v.at[i], second = (unsigned char)v.at[i + 1];
        if ((first == 0xCD && second == 0x85) || (first == 0xE1 && second >= 0xBE && second <= 0xBF)) {
            return true;
        }
    }
    return false;
}

struct view text_fold(struct view v, struct arena *a)
{
    if (view_absent(v) || text_is_ascii(v)) {
        return lower_ascii(v, a);
    }
    if (v.length > TEXT_MAXIMUM) {
        return refuse(a);
    }
    UErrorCode status = U_ZERO_ERROR;
    struct units u = from_utf8(v, a);
    if (has_other_width(v)) {
        make_usual_width(u, &status);
    }
    if (has_iota_subscript(v)) {
        u = normalise(unorm2_getNFDInstance(&status), u, a, &status);
    }
    u = fold_case(u, a, &status);
    u = normalise(unorm2_getNFCInstance(&status), u, a, &status);
    return to_utf8(u, a, status);
}

struct view text_compose(struct view v, struct arena *a)
{
    if (view_absent(v) || text_is_ascii(v)) {
        return v;
    }
    if (v.length > TEXT_MAXIMUM) {
        return refuse(a);
    }
    UErrorCode status = U_ZERO_ERROR;
    struct units u = normalise(unorm2_getNFCInstance(&status), from_utf8(v, a), a, &status);
    return to_utf8(u, a, status);
}
