#include "vectors.h"
#include "base/file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

const char *vector_text(const cJSON *object, const char *key)
{
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(text) ? text->valuestring : "";
}

double vector_number(const cJSON *object, const char *key, double fallback)
{
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(number) ? number->valuedouble : fallback;
}

const cJSON *vector_param(const cJSON *c, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(c, "params"), key);
}

const char *vector_name(const cJSON *c)
{
    return vector_text(c, "name");
}

void vector_expect(const cJSON *c, const cJSON *got, const cJSON *expected)
{
    char *is = cJSON_PrintUnformatted(got), *should = cJSON_PrintUnformatted(expected);
    cr_expect(cJSON_Compare(got, expected, true), "%s\n  is     %s\n  should %s", vector_name(c), is, should);
    free(is);
    free(should);
}

static cJSON *load(const char *file)
{
    const char *shared = getenv("SHARED");
    char path[4096];
    struct err e;
    struct buffer text = BUFFER(64 * 1024 * 1024);
    snprintf(path, sizeof path, "%s/data/dstream/%s", shared ? shared : "../shared", file);
    cJSON *cases = NULL;
    if (file_read(path, &text, &e) == 0) {
        cases = cJSON_ParseWithLength(text.data, text.length);
        cr_assert_not_null(cases, "%s is no JSON", path);
    } else {
        printf("skipped: the test vectors are not there: %s\n", e.text);
    }
    buffer_free(&text);
    return cases;
}

static bool run_case(const cJSON *c, const struct vector_handler *handlers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(handlers[i].operation, vector_text(c, "operation")) == 0) {
            return handlers[i].run(c);
        }
    }
    return false;
}

int vectors_run(const char *file, const struct vector_handler *handlers, size_t count)
{
    cJSON *cases = load(file);
    if (!cases) {
        return -1;
    }
    int done = 0;
    const cJSON *c;
    cJSON_ArrayForEach(c, cases)
    {
        bool ran = run_case(c, handlers, count);
        printf("%s %s: %s: %s\n", ran ? "run  " : "later", file, vector_text(c, "operation"), vector_name(c));
        done += ran;
    }
    cJSON_Delete(cases);
    fflush(stdout);
    return done;
}
