/* The made-up stream: is it what it says, in form and in variety? */
#include "simulator/sample.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/number.h"
#include "base/utf8.h"
#include "simulator/fresh.h"
#include "simulator/playlist.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <strings.h>

enum { COUNT = 3000 };

static struct buffer make(size_t count, uint64_t seed)
{
    struct err e = {.text = ""};
    struct buffer lines = BUFFER((size_t)1 << 30);
    cr_assert_eq(sample_write(count, seed, SAMPLE_START_MS, &lines, &e), 0, "%s", e.text);
    return lines;
}

static bool next_line(struct view *rest, struct view *line)
{
    const char *end = rest->length ? memchr(rest->at, '\n', rest->length) : NULL;
    if (!end) {
        return false;
    }
    *line = view_make(rest->at, (size_t)(end - rest->at));
    *rest = view_from(*rest, line->length + 1);
    return true;
}

Test(sample, the_same_seed_gives_the_same_bytes_and_another_seed_others)
{
    struct buffer one = make(500, 7), same = make(500, 7), other = make(500, 8), more = make(600, 7);
    cr_expect(view_equal(buffer_view(&one), buffer_view(&same)));
    cr_expect(!view_equal(buffer_view(&one), buffer_view(&other)));
    cr_expect(view_starts(buffer_view(&more), buffer_view(&one)),
              "a longer sample begins as the shorter one");
    buffer_free(&one);
    buffer_free(&same);
    buffer_free(&other);
    buffer_free(&more);
}

/* Does the text have `sign` and `word` at indices, counted in code points? */
static void expect_at(struct view text, const cJSON *item, const char *sign, struct view word)
{
    const cJSON *indices = json_member(item, "indices");
    size_t from = utf8_offset(text, (size_t)cJSON_GetArrayItem(indices, 0)->valueint);
    size_t to = utf8_offset(text, (size_t)cJSON_GetArrayItem(indices, 1)->valueint);
    cr_assert(from < to && word.at);
    struct view there = view_make(text.at + from, to - from);
    size_t n = strlen(sign);
    cr_assert(there.length == n + word.length && memcmp(there.at, sign, n) == 0 &&
                  memcmp(there.at + n, word.at, word.length) == 0,
              "'%.*s' should be %s%.*s in '%.*s'", VIEW_PRINT(there), sign, VIEW_PRINT(word),
              VIEW_PRINT(text));
}

static size_t check_entities(struct view text, const cJSON *entities)
{
    static const struct {
        const char *list, *key, *sign;
    } kinds[] = {{"hashtags", "text", "#"},
                 {"symbols", "text", "$"},
                 {"user_mentions", "screen_name", "@"},
                 {"urls", "url", ""},
                 {"media", "url", ""}};
    size_t count = 0;
    cr_assert(cJSON_IsObject(entities));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const cJSON *item;
        cJSON_ArrayForEach(item, json_member(entities, kinds[i].list))
        {
            expect_at(text, item, kinds[i].sign, json_text(item, kinds[i].key));
            count++;
        }
    }
    return count;
}

static void check_tweet(const cJSON *tweet)
{
    uint64_t id, number;
    struct view digits = json_text(tweet, "id_str"), stamp = json_text(tweet, "timestamp_ms");
    cr_assert_eq(number_parse_unsigned(digits, &id), 0);
    cr_assert(json_member(tweet, "id")->valuedouble == (double)id);
    struct buffer created = BUFFER(64);
    fresh_add_created_at(&created, fresh_time_of(id));
    cr_assert_str_eq(buffer_string(&created), json_member(tweet, "created_at")->valuestring);
    buffer_free(&created);
    if (stamp.at) {
        cr_assert_eq(number_parse_unsigned(stamp, &number), 0);
        cr_assert_eq((int64_t)number, fresh_time_of(id));
    }
    check_entities(json_text(tweet, "text"), json_member(tweet, "entities"));
    const cJSON *extended = json_member(tweet, "extended_tweet");
    cr_assert_eq(json_flag(tweet, "truncated"), extended != NULL);
    cr_assert_leq(utf8_count(json_text(tweet, "text")), 140u + 24 + 280 * !extended);
    if (extended) {
        struct view full = json_text(extended, "full_text");
        check_entities(full, json_member(extended, "entities"));
        const cJSON *range = json_member(extended, "display_text_range");
        cr_assert(cJSON_GetArrayItem(range, 0)->valueint <= cJSON_GetArrayItem(range, 1)->valueint);
        cr_assert_leq((size_t)cJSON_GetArrayItem(range, 1)->valueint, utf8_count(full));
        cr_assert_gt(utf8_count(full), 140);
    }
    static const char *const nested[] = {"retweeted_status", "quoted_status"};
    for (size_t i = 0; i < 2; i++) {
        const cJSON *inner = json_member(tweet, nested[i]);
        if (inner) {
            cr_assert(!json_member(inner, "timestamp_ms"));
            check_tweet(inner);
        }
    }
}

enum property {
    RETWEET,
    RETWEET_OF_EXTENDED,
    QUOTE,
    QUOTE_GONE,
    QUOTE_IN_RETWEET,
    REPLY,
    EXTENDED,
    EXTENDED_MEDIA,
    HASHTAG,
    CASHTAG,
    MENTION,
    URL,
    MEDIA,
    POINT,
    PLACE,
    VERIFIED,
    SENSITIVE,
    NEWLINE,
    ESCAPE,
    JOINER,
    FLAG,
    SEPARATOR,
    MARKER_LOW,
    MARKER_HIGH,
    PROPERTIES
};

static bool filled(const cJSON *object, const char *list)
{
    return cJSON_GetArraySize(json_member(json_member(object, "entities"), list)) > 0;
}

static bool holds(struct view text, const char *what)
{
    return text.at && strstr(text.at, what);
}

static void note_properties(const cJSON *t, size_t seen[PROPERTIES])
{
    struct view text = json_text(t, "text");
    const cJSON *retweeted = json_member(t, "retweeted_status"), *extended = json_member(t, "extended_tweet");
    bool quote = json_flag(t, "is_quote_status") == 1;
    bool has[PROPERTIES] = {
        [RETWEET] = retweeted,
        [RETWEET_OF_EXTENDED] = json_member(retweeted, "extended_tweet"),
        [QUOTE] = json_member(t, "quoted_status"),
        [QUOTE_GONE] = quote && !retweeted && !json_member(t, "quoted_status"),
        [QUOTE_IN_RETWEET] = json_member(retweeted, "quoted_status"),
        [REPLY] = json_member(t, "in_reply_to_status_id_str"),
        [EXTENDED] = extended,
        [EXTENDED_MEDIA] = json_member(extended, "extended_entities"),
        [HASHTAG] = filled(t, "hashtags"),
        [CASHTAG] = filled(t, "symbols"),
        [MENTION] = filled(t, "user_mentions"),
        [URL] = filled(t, "urls"),
        [MEDIA] = json_member(t, "extended_entities"),
        [POINT] = json_member(t, "coordinates"),
        [PLACE] = json_member(t, "place"),
        [VERIFIED] = json_flag(json_member(t, "user"), "verified") == 1,
        [SENSITIVE] = json_flag(t, "possibly_sensitive") == 1,
        [NEWLINE] = holds(text, "\n"),
        [ESCAPE] = holds(text, "&amp;") && holds(text, "&lt;"),
        [JOINER] = holds(text, "\u200d"),
        [FLAG] = holds(text, "\U0001F1EF\U0001F1F5"),
        [SEPARATOR] = holds(text, "\u2028"),
        [MARKER_LOW] = holds(text, "__end"),
        [MARKER_HIGH] = holds(text, "__END"),
    };
    for (size_t i = 0; i < PROPERTIES; i++) {
        seen[i] += has[i];
    }
}

Test(sample, every_line_is_valid_and_every_property_is_there)
{
    struct buffer lines = make(COUNT, 1);
    struct view rest = buffer_view(&lines), line;
    size_t seen[PROPERTIES] = {0}, tweets = 0, deletes = 0, limits = 0, others = 0, languages = 0;
    char codes[40][8];
    while (next_line(&rest, &line)) {
        for (size_t i = 0; i < line.length; i++) {
            cr_assert(line.at[i] >= 0x20 && line.at[i] < 0x7F, "the wire form is ASCII");
        }
        cJSON *json = cJSON_ParseWithLength(line.at, line.length);
        cr_assert(json, "%.*s", VIEW_PRINT(line));
        if (json_text(json, "text").at) {
            tweets++;
            check_tweet(json);
            note_properties(json, seen);
            const char *code = json_member(json, "lang")->valuestring;
            size_t i = 0;
            while (i < languages && strcmp(codes[i], code) != 0) {
                i++;
            }
            if (i == languages) {
                snprintf(codes[languages++], 8, "%s", code);
            }
        } else {
            deletes += json_member(json, "delete") != NULL;
            limits += json_member(json, "limit") != NULL;
            others += !json_member(json, "delete") && !json_member(json, "limit");
        }
        cJSON_Delete(json);
    }
    cr_expect_geq(tweets, 2000);
    cr_expect_eq(languages, 17);
    cr_expect(deletes > 10 && limits > 3 && others > 3);
    for (size_t i = 0; i < PROPERTIES; i++) {
        cr_expect_gt(seen[i], 0, "property %zu is missing", i);
    }
    buffer_free(&lines);
}

Test(sample, its_topics_find_most_of_it_and_not_all)
{
    struct err e;
    struct buffer lines = make(2000, 1), topics = BUFFER(1000);
    struct playlist *list = playlist_from(&lines, NULL, &e);
    cr_assert(list);
    struct view_list words = sample_topics();
    for (size_t i = 0; i < words.count; i++) {
        buffer_print(&topics, "%s%.*s", i ? "," : "", VIEW_PRINT(words.items[i]));
    }
    int status;
    struct track *track = track_compile(buffer_string(&topics), &status);
    cr_assert(track);
    size_t found = 0;
    for (size_t i = 0; i < playlist_count(list); i++) {
        const struct playlist_message *m = playlist_at(list, i);
        found += m->tweet && track_match(track, &m->facts.tokens);
    }
    size_t tweets = playlist_tweets(list);
    cr_expect(found * 10 > tweets * 6 && found * 100 < tweets * 98, "%zu of %zu", found, tweets);
    track_free(track);
    playlist_free(list);
    buffer_free(&topics);
    buffer_free(&lines);
}

Test(sample, ids_are_unique_and_rise)
{
    struct err e;
    struct buffer lines = make(2000, 3);
    struct playlist *list = playlist_from(&lines, NULL, &e);
    uint64_t last = 0;
    for (size_t i = 0; i < playlist_count(list); i++) {
        const struct playlist_message *m = playlist_at(list, i);
        if (m->tweet) {
            cr_assert_gt(m->places.own_id, last);
            last = m->places.own_id;
        }
    }
    playlist_free(list);
    buffer_free(&lines);
}
