/* Whatever a source goes by makes two configurations different; where it stands in its file does not. */
#include "ingest/settings_same.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static const struct filter_keyword tea = {.keyword = {.line = {"tea", 3}}, .place = {.line = 1}};
static const struct filter_keyword tea_further_down = {.keyword = {.line = {"tea", 3}}, .place = {.line = 9}};
static const struct filter_keyword milk = {.keyword = {.line = {"milk", 4}}, .place = {.line = 1}};
static const char *const english[] = {"en"};
static const char *const french[] = {"fr"};

static const struct source_x_v1_settings v1 = {
    .common = {.name = "a",
               .type = "x-v1",
               .url = "http://127.0.0.1/",
               .filter = {.keywords = &tea, .keyword_count = 1, .languages = english, .language_count = 1}},
    .api_key = "1",
    .api_secret = "2",
    .access_token = "3",
    .access_secret = "4"};

static const struct source_x_v2_settings v2 = {
    .common = {.name = "a", .type = "x-v2", .url = "http://127.0.0.1", .bearer_token = "t"},
    .rule_length = 1024,
    .rules_maximum = 1000};

#define V1_DIFFERS(field, value)                                                                             \
    do {                                                                                                     \
        struct source_x_v1_settings other = v1;                                                              \
        other.field = value;                                                                                 \
        cr_expect(not(settings_same(&v1.common, &other.common)), #field);                                    \
        cr_expect(not(settings_same(&other.common, &v1.common)), #field);                                    \
    } while (0)
#define V2_DIFFERS(field, value)                                                                             \
    do {                                                                                                     \
        struct source_x_v2_settings other = v2;                                                              \
        other.field = value;                                                                                 \
        cr_expect(not(settings_same(&v2.common, &other.common)), #field);                                    \
        cr_expect(not(settings_same(&other.common, &v2.common)), #field);                                    \
    } while (0)

Test(settings_same, each_key_counts)
{
    V1_DIFFERS(common.url, "http://127.0.0.2/");
    V1_DIFFERS(common.store_raw, true);
    V1_DIFFERS(common.tls_insecure_accept_any_certificate, true);
    V1_DIFFERS(common.stall_timeout, 1);
    V1_DIFFERS(common.change_interval, 1);
    V1_DIFFERS(common.filter.keywords, &milk);
    V1_DIFFERS(common.filter.keyword_count, 0);
    V1_DIFFERS(common.filter.languages, french);
    V1_DIFFERS(common.filter.language_count, 0);
    V1_DIFFERS(common.filter.retweets, true);
    V1_DIFFERS(common.filter.replies, true);
    V1_DIFFERS(common.filter.quotes, true);
    V1_DIFFERS(common.filter.local_filter, FILTER_LOCAL_NO);
    V1_DIFFERS(common.filter.sample, 100000);
    V1_DIFFERS(api_key, "x");
    V1_DIFFERS(api_secret, "x");
    V1_DIFFERS(access_token, "x");
    V1_DIFFERS(access_secret, "x");
    V1_DIFFERS(delimited, true);
    V1_DIFFERS(stall_warnings, true);
    V2_DIFFERS(common.bearer_token, NULL);
    V2_DIFFERS(common.bearer_token, "u");
    V2_DIFFERS(api_key, "x");
    V2_DIFFERS(api_secret, "x");
    V2_DIFFERS(rule_length, 512);
    V2_DIFFERS(rules_maximum, 25);
    V2_DIFFERS(backfill_minutes, 5);
    cr_expect(not(settings_same(&v1.common, &v2.common)));
}

Test(settings_same, what_was_read_again_without_a_change_is_the_same)
{
    struct source_x_v1_settings one = v1;
    struct source_x_v2_settings two = v2;
    char key[] = "1";
    one.api_key = key;
    one.common.filter.keywords = &tea_further_down;
    cr_expect(settings_same(&v1.common, &one.common));
    cr_expect(settings_same(&v2.common, &two.common));
}
