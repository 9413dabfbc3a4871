#include "words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double number_of(const cJSON *x)
{
    return x->valuedouble;
}

static cJSON *copy(const cJSON *x)
{
    return cJSON_Duplicate(x, true);
}

static cJSON *pair(cJSON *first, cJSON *second)
{
    cJSON *list = cJSON_CreateArray();
    cJSON_AddItemToArray(list, first);
    cJSON_AddItemToArray(list, second);
    return list;
}

static double length_of(const cJSON *x)
{
    if (cJSON_IsArray(x)) {
        return cJSON_GetArraySize(x);
    }
    double points = 0;
    for (const char *at = x->valuestring; *at; at++) {
        points += ((unsigned char)*at & 0xc0) != 0x80;
    }
    return points;
}

static cJSON *characters(const cJSON *x)
{
    cJSON *list = cJSON_CreateArray();
    for (const char *at = x->valuestring; *at;) {
        char one[5] = {0};
        size_t n = 1;
        while (((unsigned char)at[n] & 0xc0) == 0x80) {
            n++;
        }
        memcpy(one, at, n);
        cJSON_AddItemToArray(list, cJSON_CreateString(one));
        at += n;
    }
    return list;
}

/* Split at each single blank. */
static cJSON *split_words(const cJSON *x)
{
    cJSON *list = cJSON_CreateArray();
    char *text = strdup(x->valuestring), *rest = text;
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        cJSON_AddItemToArray(list, cJSON_CreateString(word));
    }
    free(text);
    return list;
}

static cJSON *with_each_character(cJSON *first, const cJSON *text)
{
    cJSON *list = cJSON_CreateArray(), *each;
    cJSON *letters = characters(text);
    cJSON_ArrayForEach(each, letters)
    {
        cJSON_AddItemToArray(list, pair(copy(first), copy(each)));
    }
    cJSON_Delete(letters);
    cJSON_Delete(first);
    return list;
}

static cJSON *repeated(const cJSON *x)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < x->valueint; i++) {
        cJSON_AddItemToArray(list, copy(x));
    }
    return list;
}

static cJSON *as_text(const cJSON *x)
{
    if (cJSON_IsString(x)) {
        return copy(x);
    }
    char *printed = cJSON_PrintUnformatted(x);
    cJSON *text = cJSON_CreateString(printed);
    free(printed);
    return text;
}

static cJSON *joined(const cJSON *x, const char *end)
{
    char text[1000];
    snprintf(text, sizeof text, "%s%s", x->valuestring, end);
    return cJSON_CreateString(text);
}

static cJSON *boolean(bool value)
{
    return cJSON_CreateBool(value);
}

static cJSON *fail(char error[200], const char *why)
{
    snprintf(error, 200, "%s", why);
    return NULL;
}

#define FIRST  cJSON_GetArrayItem(x, 0)
#define SECOND cJSON_GetArrayItem(x, 1)

#define FUNCTIONS                                                                                            \
    F("kv -> [kv[1], c] for c in characters(kv[0])", with_each_character(copy(SECOND), FIRST))               \
    F("kv -> [kv[1], kv[0]]", pair(copy(SECOND), copy(FIRST)))                                               \
    F("kv -> kv[0] contains \"a\"", boolean(strchr(FIRST->valuestring, 'a') != NULL))                        \
    F("kv -> kv[1]", copy(SECOND))                                                                           \
    F("kv -> kv[1] != 0", boolean(number_of(SECOND) != 0))                                                   \
    F("kv -> kv[1] > 0", boolean(number_of(SECOND) > 0))                                                     \
    F("x -> []", cJSON_CreateArray())                                                                        \
    F("x -> [length(x), c] for c in characters(x)",                                                          \
      with_each_character(cJSON_CreateNumber(length_of(x)), x))                                              \
    F("x -> [x mod 10, 1]", pair(cJSON_CreateNumber(x->valueint % 10), cJSON_CreateNumber(1)))               \
    F("x -> [x mod 3, x]", pair(cJSON_CreateNumber(x->valueint % 3), copy(x)))                               \
    F("x -> [x, \"x\"]", pair(copy(x), cJSON_CreateString("x")))                                             \
    F("x -> [x, 1]", pair(copy(x), cJSON_CreateNumber(1)))                                                   \
    F("x -> [x, length(x)]", pair(copy(x), cJSON_CreateNumber(length_of(x))))                                \
    F("x -> [x, x * 2]", pair(copy(x), cJSON_CreateNumber(number_of(x) * 2)))                                \
    F("x -> [x] * x", repeated(x))                                                                           \
    F("x -> characters(x)", characters(x))                                                                   \
    F("x -> false", boolean(false))                                                                          \
    F("x -> length(x)", cJSON_CreateNumber(length_of(x)))                                                    \
    F("x -> number(x)", cJSON_CreateNumber(strtod(x->valuestring, NULL)))                                    \
    F("x -> text(x)", as_text(x))                                                                            \
    F("x -> true", boolean(true))                                                                            \
    F("x -> words(x)", split_words(x))                                                                       \
    F("x -> x * x", cJSON_CreateNumber(number_of(x) * number_of(x)))                                         \
    F("x -> x + \".\"", joined(x, "."))                                                                      \
    F("x -> x + 1", cJSON_CreateNumber(number_of(x) + 1))                                                    \
    F("x -> x + 1 (counts its calls)", cJSON_CreateNumber(number_of(x) + 1))                                 \
    F("x -> x + 100", cJSON_CreateNumber(number_of(x) + 100))                                                \
    F("x -> x + 2", cJSON_CreateNumber(number_of(x) + 2))                                                    \
    F("x -> x + 4", cJSON_CreateNumber(number_of(x) + 4))                                                    \
    F("x -> x + 8", cJSON_CreateNumber(number_of(x) + 8))                                                    \
    F("x -> x contains \"a\"", boolean(strchr(x->valuestring, 'a') != NULL))                                 \
    F("x -> x is even", boolean(x->valueint % 2 == 0))                                                       \
    F("x -> x is odd", boolean(x->valueint % 2 != 0))                                                        \
    F("fail \"This is a special error\"", fail(error, "This is a special error"))                            \
    F("x = 0 ? fail \"no zero\" : x", number_of(x) == 0 ? fail(error, "no zero") : copy(x))                  \
    F("x = 1 ? fail \"This is a special error\" : x",                                                        \
      number_of(x) == 1 ? fail(error, "This is a special error") : copy(x))

bool words_known(const char *function)
{
#define F(words, value)                                                                                      \
    if (strcmp(function, words) == 0) {                                                                      \
        return true;                                                                                         \
    }
    FUNCTIONS
#undef F
    return false;
}

cJSON *words_apply(const char *function, const cJSON *x, char error[200])
{
#define F(words, value)                                                                                      \
    if (strcmp(function, words) == 0) {                                                                      \
        return value;                                                                                        \
    }
    FUNCTIONS
#undef F
    return fail(error, "a function that the test does not know");
}
