#include "config/language.h"

#include <stdio.h>
#include <string.h>
#include <unicode/uloc.h>

/* The second line: languages of ISO 639 that ICU's list leaves out, because it writes them as others (tl as
 * fil); networks do not, and roost stores what they say. */
static const char *const special[] = {"und", "zxx", "qam", "qct", "qht", "qme",
                                      "qst", "art", "tl",  "bh",  "sh"};
static const char *const old_and_new[][2] = {
    {"in", "id"}, {"iw", "he"}, {"ji", "yi"}, {"jw", "jv"}, {"mo", "ro"}};

enum {
    OLD_COUNT = sizeof old_and_new / sizeof old_and_new[0],
    SPECIAL_COUNT = sizeof special / sizeof special[0]
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool is_letter(char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool all_letters(struct view part)
{
    for (size_t i = 0; i < part.length; i++) {
        if (!is_letter(part.at[i])) {
            return false;
        }
    }
    return true;
}

static const char *special_of(const char *letters)
{
    for (size_t i = 0; i < SPECIAL_COUNT; i++) {
        if (!strcmp(letters, special[i])) {
            return special[i];
        }
    }
    return NULL;
}

/* The language's part, 2 or 3 lower-case letters, as roost writes it; NULL: there is no such language. */
static const char *language_of(const char *letters, char out[ULOC_LANG_CAPACITY])
{
    for (size_t i = 0; i < OLD_COUNT; i++) {
        if (!strcmp(letters, old_and_new[i][0])) {
            return old_and_new[i][1];
        }
    }
    if (special_of(letters)) {
        return special_of(letters);
    }
    /* ICU turns three letters into two where the language has both (eng = en). */
    UErrorCode status = U_ZERO_ERROR;
    uloc_getLanguage(letters, out, ULOC_LANG_CAPACITY, &status);
    if (U_FAILURE(status)) {
        return NULL;
    }
    if (special_of(out)) {
        return special_of(out);
    }
    for (const char *const *known = uloc_getISOLanguages(); *known; known++) {
        if (!strcmp(*known, out)) {
            return *known;
        }
    }
    return NULL;
}

static const char *country_of(const char *letters)
{
    for (const char *const *known = uloc_getISOCountries(); *known; known++) {
        if (!strcmp(*known, letters)) {
            return *known;
        }
    }
    return NULL;
}

/* Takes the part up to the next '-' off *rest. */
static struct view next_part(struct view *rest)
{
    const char *dash = rest->length ? memchr(rest->at, '-', rest->length) : NULL;
    size_t end = dash ? (size_t)(dash - rest->at) : rest->length;
    struct view part = view_make(rest->at, end);
    *rest = dash ? view_from(*rest, end + 1) : view_none();
    return part;
}

/* Appends "-Latn", "-CN" or "-419"; -1: the part is neither a script nor a region. */
static int add_part(struct view part, bool *region, char *out, size_t *length)
{
    char text[5] = "";
    if (*region || part.length < 2 || part.length > 4) {
        return -1;
    }
    for (size_t i = 0; i < part.length; i++) {
        text[i] = part.length == 4 && i ? lower(part.at[i]) : upper(part.at[i]);
    }
    bool digits = part.length == 3 && is_digit(text[0]) && is_digit(text[1]) && is_digit(text[2]);
    bool country = part.length == 2 && country_of(text);
    bool script = part.length == 4 && all_letters(part);
    if (!digits && !country && !script) {
        return -1;
    }
    *region = digits || country;
    *length += (size_t)snprintf(out + *length, LANGUAGE_SIZE - *length, "-%s", text);
    return *length < LANGUAGE_SIZE ? 0 : -1;
}

char *language_canonical(struct view code, char out[LANGUAGE_SIZE])
{
    if (!code.at || code.length < 2 || code.length >= LANGUAGE_SIZE) {
        return NULL;
    }
    struct view rest = code;
    struct view first = next_part(&rest);
    if (first.length < 2 || first.length > 3 || !all_letters(first)) {
        return NULL;
    }
    char letters[4] = "", found[ULOC_LANG_CAPACITY];
    for (size_t i = 0; i < first.length; i++) {
        letters[i] = lower(first.at[i]);
    }
    const char *language = language_of(letters, found);
    if (!language) {
        return NULL;
    }
    size_t length = (size_t)snprintf(out, LANGUAGE_SIZE, "%s", language);
    bool region = false;
    for (int parts = 0; rest.at; parts++) {
        bool was_script = parts == 1 && !region;
        struct view part = next_part(&rest);
        if (parts > 1 || (was_script && part.length == 4) || add_part(part, &region, out, &length)) {
            return NULL;
        }
    }
    return out;
}

bool language_known(struct view code)
{
    char canonical[LANGUAGE_SIZE];
    return language_canonical(code, canonical) != NULL;
}

size_t language_spellings(const char *canonical, char out[LANGUAGE_SPELLINGS][LANGUAGE_SIZE])
{
    snprintf(out[0], LANGUAGE_SIZE, "%s", canonical);
    for (size_t i = 0; i < OLD_COUNT; i++) {
        size_t n = strlen(old_and_new[i][1]);
        if (!strncmp(canonical, old_and_new[i][1], n) && (canonical[n] == '\0' || canonical[n] == '-')) {
            snprintf(out[1], LANGUAGE_SIZE, "%s%s", old_and_new[i][0], canonical + n);
            return 2;
        }
    }
    return 1;
}

bool language_wants(const char *canonical, struct view delivered)
{
    char written[LANGUAGE_SIZE];
    size_t n = strlen(canonical);
    return language_canonical(delivered, written) && !strncmp(written, canonical, n) &&
           (written[n] == '\0' || written[n] == '-');
}
