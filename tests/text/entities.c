/* Hashtags, mentions, cashtags, links and emoji, beside twitter-text's own cases. */
#include "text/entities.h"
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct arena *arena;
static struct text_worker *worker;

static void begin(void)
{
    struct err e;
    arena = arena_new(256 << 20);
    worker = text_worker_new(&e);
    cr_assert(worker, "%s", e.text);
}

static void end(void)
{
    text_worker_free(worker);
    arena_free(arena);
}

TestSuite(entities, .init = begin, .fini = end);

/* "a|b|c" */
static void check_list(const char *text, struct view_list got, const char *expected)
{
    struct buffer b = BUFFER(1 << 20);
    for (size_t i = 0; i < got.count; i++) {
        buffer_add_text(&b, i ? "|" : "");
        buffer_add_view(&b, got.items[i]);
    }
    cr_assert(view_is(buffer_view(&b), expected), "%s: got %.*s, not %s", text, VIEW_PRINT(buffer_view(&b)),
              expected);
    buffer_free(&b);
}

static void check(const char *text, enum text_entity_kind kind, const char *expected)
{
    struct text_entities found;
    cr_assert_eq(text_entities(view_of(text), arena, &found), 0);
    check_list(text, text_entity_names(&found, kind, arena), expected);
}

static void check_emoji(const char *text, const char *expected)
{
    check_list(text, text_emoji(worker, view_of(text), arena), expected);
}

/* Cases of extract.json that roost does not meet, and why. */
static const struct {
    const char *description, *why;
} not_met[] = {
    {"Extract URLs without protocol on (com|org|edu|gov|net) domains", "no bare domains"},
    {"Extract URLs beginning with a space", "no bare domains"},
    {"Extract long URL without protocol surrounded by CJK characters", "no bare domains"},
    {"Extract short URL without protocol surrounded by CJK characters", "no bare domains"},
    {"Extract URLs with a - in the middle", "no bare domains"},
    {"Extract some (tv|co) short URLs without protocol on ccTLD domains without path", "no bare domains"},
    {"Extract URLs beginning with a non-breaking space (U+00A0)", "no bare domains"},
    {"Extract valid URL ELPAÍS.com", "no bare domains"},
    {"Extract domain followed by Japanese characters", "no bare domains"},
    {"Extract URLs from RTL text with embedded directional marks", "one of its two links is a bare domain"},
};

static bool is_not_met(struct view description)
{
    for (size_t i = 0; i < sizeof not_met / sizeof *not_met; i++) {
        if (view_is(description, not_met[i].description)) {
            return true;
        }
    }
    return false;
}

/* The kind that a case's section is about; false: a section that roost has no use for. */
static bool kind_of_section(struct view name, enum text_entity_kind *kind)
{
    static const struct {
        const char *head;
        enum text_entity_kind kind;
    } sections[] = {{"hashtags", TEXT_HASHTAG},
                    {"mentions", TEXT_MENTION},
                    {"cashtags", TEXT_CASHTAG},
                    {"urls", TEXT_LINK},
                    {"tco_urls", TEXT_LINK}};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        if (view_starts(name, view_of(sections[i].head))) {
            *kind = sections[i].kind;
            return !view_starts(name, VIEW("mentions_or_lists")); /* a list is nothing in roost's tables */
        }
    }
    return false; /* "replies": the payload says what a post replies to */
}

static struct view expected_name(const cJSON *item)
{
    static const char *const keys[] = {"hashtag", "screen_name", "cashtag", "url"};
    if (cJSON_IsString(item)) {
        return view_of(item->valuestring);
    }
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (json_member(item, keys[i])) {
            return json_text(item, keys[i]);
        }
    }
    return view_none();
}

static size_t utf16_length(struct view text)
{
    size_t units = 0;
    for (size_t at = 0; at < text.length;) {
        units += utf8_next(text, &at) > 0xFFFF ? 2 : 1;
    }
    return units;
}

static bool case_holds(const cJSON *item, enum text_entity_kind kind)
{
    struct view text = json_text(item, "input");
    const cJSON *expected = json_member(item, "expected"), *one = expected ? expected->child : NULL;
    struct text_entities found;
    cr_assert_eq(text_entities(text, arena, &found), 0);
    for (size_t i = 0; i < found.count; i++) {
        const struct text_entity *entity = &found.items[i];
        if (entity->kind != kind) {
            continue;
        }
        if (!one || !view_equal(entity->name, expected_name(one))) {
            return false;
        }
        const cJSON *indices = json_member(one, "indices");
        if (indices && (cJSON_GetArrayItem(indices, 0)->valueint !=
                            (int)utf16_length(view_make(text.at, entity->start)) ||
                        cJSON_GetArrayItem(indices, 1)->valueint !=
                            (int)utf16_length(view_make(text.at, entity->end)))) {
            return false;
        }
        one = one->next;
    }
    return one == NULL;
}

Test(entities, twitter_texts_cases_hold_but_for_those_listed)
{
    const char *shared = getenv("SHARED");
    struct buffer path = BUFFER(4096), file = BUFFER(1 << 20);
    struct err e;
    buffer_print(&path, "%s/data/twitter-text/extract.json", shared ? shared : "../shared");
    if (file_read(buffer_string(&path), &file, &e)) {
        cr_log_warn("skipped: no twitter-text cases (%s)", e.text);
        buffer_free(&path);
        return;
    }
    cJSON *cases = cJSON_ParseWithLength(file.data, file.length);
    cr_assert(cases);
    const cJSON *item;
    int held = 0, listed = 0, wrong = 0;
    cJSON_ArrayForEach(item, cases)
    {
        enum text_entity_kind kind;
        if (!kind_of_section(json_text(item, "name"), &kind)) {
            continue;
        }
        bool holds = case_holds(item, kind), excused = is_not_met(json_text(item, "description"));
        held += holds;
        listed += excused;
        if (holds == excused) {
            wrong++;
            cr_log_error("%s: %s", holds ? "listed as not met, but it is" : "not met",
                         json_text(item, "description").at);
        }
    }
    cr_log_info("%d twitter-text cases hold, %d are listed as not met", held, listed);
    cr_assert_eq(wrong, 0);
    cr_assert_gt(held, 80);
    cJSON_Delete(cases);
    buffer_free(&path);
    buffer_free(&file);
}

Test(entities, hashtags_end_and_begin_where_the_networks_say)
{
    check("#covid19 x#no &#no ##two #1 #a_1 #日本語 ＃wide #é́", TEXT_HASHTAG,
          "covid19|two|a_1|日本語|wide|é́");
    check("#tag#other #tag:// #️⃣ #", TEXT_HASHTAG, "");
    check("https://a.com/#frag example.com/x/#frag #yes", TEXT_HASHTAG, "yes");
    check("👍#after 👨‍👩‍👧#family", TEXT_HASHTAG, "after|family");
}

Test(entities, mentions_and_cashtags_follow_twitters_rule)
{
    check("@a mail@b.com ＠wide .@dot RT@c port@d @e@f @é", TEXT_MENTION, "a|wide|dot|c");
    check("https://medium.com/@writer @real", TEXT_MENTION, "real");
    check("$AAPL $BRK.A $toolongsym $A1 x$B $GOOG, $", TEXT_CASHTAG, "AAPL|BRK.A|GOOG");
}

Test(entities, links_end_before_the_punctuation_around_them)
{
    check("see http://example.com/a_(b), and (https://example.org/x?y=1&z=2#f).", TEXT_LINK,
          "http://example.com/a_(b)|https://example.org/x?y=1&z=2#f");
    check("HTTPS://EXAMPLE.COM xhttp://no.com http:// http://localhost/ http://1.2.3.4/", TEXT_LINK,
          "HTTPS://EXAMPLE.COM");
    check("http://t.co/abc。続き http://t.coです http://xn--abc.com:8080/ http://foo.com/((((((((", TEXT_LINK,
          "http://t.co/abc|http://t.co|http://xn--abc.com:8080/|http://foo.com/");
}

Test(entities, emoji_are_clusters_once_each_in_order)
{
    check_emoji("plain text, no emoji: 1 2 # * © ™ é 日本", "");
    check_emoji("😀 a 👍🏽 😀 👍 b", "😀|👍🏽|👍");
    check_emoji("👨‍👩‍👧‍👦🏳️‍🌈", "👨‍👩‍👧‍👦|🏳️‍🌈");
    check_emoji("🇩🇪🇫🇷 🇩", "🇩🇪|🇫🇷");
    check_emoji("1️⃣ #️⃣ ©️ ❤ ❤️ ☺︎", "1️⃣|#️⃣|©️|❤|❤️");
    check_emoji("🏴\xF3\xA0\x81\xA7\xF3\xA0\x81\xA2\xF3\xA0\x81\xA5\xF3\xA0\x81\xAE\xF3\xA0\x81\xA7\xF3\xA0"
                "\x81\xBF",
                "🏴\xF3\xA0\x81\xA7\xF3\xA0\x81\xA2\xF3\xA0\x81\xA5\xF3\xA0\x81\xAE\xF3\xA0\x81\xA7\xF3\xA0"
                "\x81\xBF");
}

Test(entities, many_distinct_emoji_are_all_kept)
{
    struct buffer b = BUFFER(1 << 20);
    char point[4];
    for (int round = 0; round < 3; round++) {
        for (uint32_t c = 0x1F600; c < 0x1F650; c++) {
            buffer_append(&b, point, utf8_put(c, point));
            buffer_add_byte(&b, ' ');
        }
    }
    cr_assert_eq(text_emoji(worker, buffer_view(&b), arena).count, 80);
    buffer_free(&b);
}

Test(entities, broken_huge_and_hostile_texts_take_no_longer_than_their_length)
{
    static const char *const pieces[] = {"#",     "@",    "$A ", "http://", "http://a.", "http://a.co/(",
                                         "a.b/#", "\xFF", "rt@", "://",     "😀"};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct buffer b = BUFFER(1 << 20);
        while (b.length < 300000) {
            buffer_add_text(&b, pieces[i]);
        }
        struct text_entities found;
        cr_assert_eq(text_entities(buffer_view(&b), arena, &found), 0);
        text_emoji(worker, buffer_view(&b), arena);
        arena_reset(arena);
        buffer_free(&b);
    }
}
