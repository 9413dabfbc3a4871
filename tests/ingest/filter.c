/* Which keyword lines a post matches, which posts are left out, and what the server is asked for. */
#include "ingest/filter.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { LINES_MOST = 16 };

/* Settings as the configuration would make them, from keyword lines. */
struct wanted {
    struct arena *arena;
    struct filter_keyword keywords[LINES_MOST];
    const char *languages[LINES_MOST];
    struct filter_settings settings;
    struct filter *filter;
};

static void wanted_make(struct wanted *w, const char *const *lines, int local_filter)
{
    struct err e;
    *w = (struct wanted){
        .arena = arena_new(8 << 20),
        .settings = {.retweets = true, .replies = true, .quotes = true, .local_filter = local_filter}};
    for (size_t i = 0; lines[i]; i++) {
        int got = keyword_parse(view_of(lines[i]), w->arena, &w->keywords[i].keyword, &e);
        cr_assert_eq(got, 1, "%s: %s", lines[i], got < 0 ? e.text : "no keyword");
        w->settings.keyword_count++;
    }
    w->settings.keywords = w->keywords;
    w->settings.languages = w->languages;
}

static void wanted_open(struct wanted *w)
{
    struct err e;
    w->filter = filter_new(&w->settings, &e);
    cr_assert_not_null(w->filter, "%s", e.text);
}

static void wanted_free(struct wanted *w)
{
    filter_free(w->filter);
    arena_free(w->arena);
}

static struct post post_of(const char *text)
{
    struct post p;
    post_init(&p);
    p.text = view_of(text);
    p.lang = VIEW("en");
    p.is_retweet = p.is_reply = p.is_quote = 0;
    /* A network that states its entities, and states none. */
    static const struct view nothing[1];
    p.hashtags = p.mentions = p.cashtags = p.urls = (struct view_list){nothing, 0};
    return p;
}

/* Kept or not, and the keywords as one string, each ended by '|'. */
static void expect_post(struct wanted *w, struct post *p, bool kept, const char *keywords)
{
    char text[1000] = "";
    size_t n = 0;
    cr_expect_eq(filter_match(w->filter, w->arena, p), kept, "%.*s: %s", VIEW_PRINT(p->text),
                 kept ? "left out" : "kept");
    for (size_t i = 0; i < p->keywords.count; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%.*s|", VIEW_PRINT(p->keywords.items[i]));
    }
    cr_expect_str_eq(text, keywords, "%.*s: keywords are \"%s\", not \"%s\"", VIEW_PRINT(p->text), text,
                     keywords);
    cr_expect_eq(p->keywords.items == NULL, p->keywords.count == 0);
}

static void expect(struct wanted *w, const char *text, bool kept, const char *keywords)
{
    struct post p = post_of(text);
    expect_post(w, &p, kept, keywords);
}

static const char *const news[] = {"Covid", "\"New York\"", "climate change", "#Tea", "@Ada",
                                   "$AAPL", "-Giveaway",    "vaccine -trial", NULL};

Test(filter, auto_leaves_out_only_what_the_server_cannot)
{
    struct wanted w;
    wanted_make(&w, news, FILTER_LOCAL_AUTO);
    wanted_open(&w);
    expect(&w, "COVID is here", true, "covid|");
    expect(&w, "in new york today", true, "\"new york\"|");
    expect(&w, "york is not new", false, "");
    expect(&w, "york, covid and the new", true, "covid|");
    expect(&w, "the change of our climate", true, "climate change|");
    expect(&w, "the server delivered it for a reason of its own", true, "");
    expect(&w, "covid giveaway!", false, "covid|");
    expect(&w, "vaccine news", true, "vaccine -trial|");
    expect(&w, "a trial of covid", false, "covid|");
    wanted_free(&w);
}

Test(filter, yes_keeps_only_what_a_line_wants)
{
    struct wanted w;
    wanted_make(&w, news, FILTER_LOCAL_YES);
    wanted_open(&w);
    expect(&w, "COVID is here", true, "covid|");
    expect(&w, "york is not new", false, "");
    expect(&w, "the server delivered it for a reason of its own", false, "");
    expect(&w, "covid giveaway!", false, "covid|");
    wanted_free(&w);
}

Test(filter, no_keeps_everything_and_still_says_what_matched)
{
    struct wanted w;
    wanted_make(&w, news, FILTER_LOCAL_NO);
    w.settings.retweets = w.settings.replies = w.settings.quotes = false;
    wanted_open(&w);
    expect(&w, "york is not new", true, "");
    expect(&w, "covid giveaway!", true, "covid|");
    struct post p = post_of("RT @bob: covid");
    p.is_retweet = p.is_quote = p.is_reply = 1;
    expect_post(&w, &p, true, "covid|");
    wanted_free(&w);
}

Test(filter, switches_leave_out_retweets_replies_and_quotes)
{
    for (int local = FILTER_LOCAL_AUTO; local <= FILTER_LOCAL_YES; local++) {
        for (int which = 0; which < 3; which++) {
            struct wanted w;
            wanted_make(&w, news, local);
            bool *switches[] = {&w.settings.retweets, &w.settings.replies, &w.settings.quotes};
            *switches[which] = false;
            wanted_open(&w);
            for (int kind = 0; kind < 3; kind++) {
                struct post p = post_of("covid");
                int *flags[] = {&p.is_retweet, &p.is_reply, &p.is_quote};
                *flags[kind] = 1;
                expect_post(&w, &p, kind != which, "covid|");
            }
            wanted_free(&w);
        }
    }
}

Test(filter, languages_are_checked_where_the_server_is_not_trusted)
{
    static const struct {
        const char *lang;
        bool kept;
    } cases[] = {{"en", true}, {"id", true}, {"fr", false}, {"und", false}, {NULL, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wanted w;
        wanted_make(&w, news, FILTER_LOCAL_YES);
        w.languages[0] = "en";
        w.languages[1] = "id";
        w.settings.language_count = 2;
        wanted_open(&w);
        struct post p = post_of("covid");
        p.lang = view_of(cases[i].lang);
        expect_post(&w, &p, cases[i].kept, "covid|");
        w.settings.local_filter = FILTER_LOCAL_AUTO;
        expect_post(&w, &p, true, "covid|");
        wanted_free(&w);
    }
}

/* A server that takes rules has done all of it: only `yes` does it again. */
Test(filter, with_rules_exclusions_switches_and_languages_are_checked_by_yes_alone)
{
    static const struct {
        int local;
        bool kept;
    } all[] = {{FILTER_LOCAL_AUTO, true}, {FILTER_LOCAL_YES, false}, {FILTER_LOCAL_NO, true}};
    for (size_t i = 0; i < 3; i++) {
        struct wanted w;
        struct err e;
        wanted_make(&w, news, all[i].local);
        w.settings.retweets = w.settings.replies = w.settings.quotes = false;
        w.languages[0] = "en";
        w.settings.language_count = 1;
        w.filter = filter_new_for(FILTER_SERVER_RULES, &w.settings, &e);
        cr_assert_not_null(w.filter);
        expect(&w, "covid", true, "covid|");
        expect(&w, "covid giveaway!", all[i].kept, "covid|");
        struct post fresh = post_of("covid"), p = fresh;
        p.lang = VIEW("fr");
        expect_post(&w, &p, all[i].kept, "covid|");
        int *flags[] = {&p.is_retweet, &p.is_reply, &p.is_quote};
        for (size_t kind = 0; kind < 3; kind++) {
            p = fresh;
            *flags[kind] = 1;
            expect_post(&w, &p, all[i].kept, "covid|");
        }
        wanted_free(&w);
    }
}

/* Of x/1 (6e34...), x/20 (b5ab...) and x/1234567890123456789 (282b...). */
Test(filter, the_sample_holds_with_every_local_filter_and_whatever_matched)
{
    static const int all[] = {FILTER_LOCAL_AUTO, FILTER_LOCAL_YES, FILTER_LOCAL_NO};
    static const size_t raw[] = {0};
    for (size_t i = 0; i < 3; i++) {
        struct wanted w;
        wanted_make(&w, news, all[i]);
        wanted_open(&w);
        struct post p = post_of("covid");
        p.network = VIEW("x");
        p.id = VIEW("1234567890123456789");
        w.settings.sample = 200000; /* below 3333... */
        expect_post(&w, &p, true, "covid|");
        cr_expect(filter_in_sample(w.filter, &p));
        p.is_retweet = 1; /* goes by its own id */
        p.retweet_of = VIEW("20");
        expect_post(&w, &p, true, "covid|");
        p.id = VIEW("20");
        p.retweet_of = VIEW("1234567890123456789");
        expect_post(&w, &p, false, "");
        cr_expect(!filter_in_sample(w.filter, &p));
        cr_expect(!filter_match_known(w.filter, w.arena, &p, raw, 1), "a rule's post too");
        w.settings.sample = 700000; /* below b333... */
        expect_post(&w, &p, false, "");
        w.settings.sample = 720000; /* below b851... */
        expect_post(&w, &p, true, "covid|");
        w.settings.sample = 1000000;
        expect_post(&w, &p, true, "covid|");
        p.text = VIEW("a giveaway"); /* being in the sample helps no post that is not wanted */
        expect_post(&w, &p, all[i] == FILTER_LOCAL_NO, "");
        wanted_free(&w);
    }
}

Test(filter, lists_of_the_post_are_matched_too)
{
    struct wanted w;
    wanted_make(&w, news, FILTER_LOCAL_YES);
    wanted_open(&w);
    struct post p = post_of("nothing here");
    p.hashtags = (struct view_list){(struct view[]){VIEW("tea")}, 1};
    p.mentions = (struct view_list){(struct view[]){VIEW("ada")}, 1};
    p.cashtags = (struct view_list){(struct view[]){VIEW("aapl")}, 1};
    p.urls = (struct view_list){(struct view[]){VIEW("https://example.org/covid/1")}, 1};
    expect_post(&w, &p, true, "covid|#tea|@ada|$aapl|");
    expect(&w, "tea, ada, AAPL as words", false, "");
    wanted_free(&w);
}

Test(filter, signs_in_the_text_count_where_the_network_states_no_entities)
{
    struct wanted w;
    wanted_make(&w, news, FILTER_LOCAL_YES);
    wanted_open(&w);
    struct post p = post_of("#Tea with @ada about $AAPL");
    expect_post(&w, &p, false, "");
    p.hashtags = p.mentions = p.cashtags = p.urls = (struct view_list){NULL, 0};
    expect_post(&w, &p, true, "#tea|@ada|$aapl|");
    wanted_free(&w);
}

Test(filter, the_name_before_a_retweet_is_a_mention)
{
    struct wanted w;
    wanted_make(&w, news, FILTER_LOCAL_YES);
    wanted_open(&w);
    struct post p = post_of("RT @ADA: hello");
    expect_post(&w, &p, false, "");
    p.is_retweet = 1;
    expect_post(&w, &p, true, "@ada|");
    p = post_of("RT @");
    p.is_retweet = 1;
    expect_post(&w, &p, false, "");
    p = post_of("RT @somebody with a very long text and no colon before the fifty bytes are over: @ada");
    p.is_retweet = 1;
    expect_post(&w, &p, false, "");
    wanted_free(&w);
}

Test(filter, equal_lines_are_named_once)
{
    struct wanted w;
    wanted_make(&w, (const char *const[]){"Covid", "covid", "\xC3\x89t\xC3\xA9", NULL}, FILTER_LOCAL_AUTO);
    wanted_open(&w);
    expect(&w, "covid en \xC3\xA9t\xC3\xA9", true, "covid|\xC3\xA9t\xC3\xA9|");
    wanted_free(&w);
}

Test(filter, without_a_line_that_wants_something_all_is_wanted)
{
    struct wanted w;
    wanted_make(&w, (const char *const[]){"-giveaway", "= from:ada", NULL}, FILTER_LOCAL_YES);
    wanted_open(&w);
    expect(&w, "anything", true, "");
    expect(&w, "a giveaway", false, "");
    wanted_free(&w);
    wanted_make(&w, (const char *const[]){NULL}, FILTER_LOCAL_YES);
    wanted_open(&w);
    expect(&w, "anything", true, "");
    wanted_free(&w);
}

Test(filter, a_line_too_long_for_the_server_is_finished_here)
{
    struct wanted w;
    wanted_make(
        &w,
        (const char *const[]){"internationalisation internationalisierung internacionalizacion covid", NULL},
        FILTER_LOCAL_AUTO);
    wanted_open(&w);
    struct buffer track = BUFFER(1000);
    filter_track(w.filter, &track);
    cr_expect_str_eq(buffer_string(&track), "internationalisation internationalisierung covid");
    buffer_free(&track);
    expect(&w, "covid internationalisierung internationalisation", false, "");
    expect(&w, "covid internationalisierung internationalisation internacionalizacion", true,
           "internationalisation internationalisierung internacionalizacion covid|");
    wanted_free(&w);
}

static void expect_asked(struct wanted *w, const char *track_want, const char *languages_want)
{
    struct buffer track = BUFFER(1000), languages = BUFFER(1000);
    filter_track(w->filter, &track);
    filter_languages(w->filter, &languages);
    cr_expect_str_eq(buffer_string(&track), track_want);
    cr_expect_str_eq(buffer_string(&languages), languages_want);
    buffer_free(&track);
    buffer_free(&languages);
}

Test(filter, the_server_is_asked_for_each_phrase_and_language_once)
{
    struct wanted w;
    wanted_make(&w,
                (const char *const[]){"covid", "\"New York\"", "New York", "-giveaway", "#tea", "= rule",
                                      "covid", NULL},
                FILTER_LOCAL_AUTO);
    wanted_open(&w);
    expect_asked(&w, "covid,New York,#tea", "");
    w.languages[0] = "en";
    w.languages[1] = "id";
    w.languages[2] = "he";
    w.settings.language_count = 3;
    expect_asked(&w, "covid,New York,#tea", "en,id,in,he,iw");
    wanted_free(&w);
}

Test(filter, a_full_arena_loses_no_post)
{
    struct wanted w;
    wanted_make(&w, news, FILTER_LOCAL_YES);
    wanted_open(&w);
    struct arena *tiny = arena_new(32);
    struct post p = post_of("a longer text about something that takes more memory than there is for it");
    cr_expect(filter_match(w.filter, tiny, &p));
    cr_expect_eq(p.keywords.count, 0);
    arena_free(tiny);
    wanted_free(&w);
}

static bool keeps(enum filter_server server, struct wanted *w, const char *text, const size_t *known,
                  size_t count, const char *keyword)
{
    struct err e;
    struct post p = post_of(text);
    struct arena *a = arena_new(1 << 20);
    filter_free(w->filter);
    w->filter = filter_new_for(server, &w->settings, &e);
    cr_assert_not_null(w->filter, "%s", e.text);
    bool kept = filter_match_known(w->filter, a, &p, known, count);
    cr_expect_eq(p.keywords.count, keyword ? 1 : 0, "%s", text);
    if (keyword && p.keywords.count) {
        cr_expect(view_is(p.keywords.items[0], keyword), "%s", text);
    }
    arena_free(a);
    return kept;
}

Test(filter, what_a_raw_rule_brought_is_kept_and_has_its_line_as_keyword)
{
    struct wanted w;
    const size_t raw[] = {1};
    wanted_make(&w, (const char *[]){"tea", "= from:ada", "-spam", NULL}, FILTER_LOCAL_YES);
    w.settings.languages = (const char *[]){"de"};
    w.settings.language_count = 1;
    wanted_open(&w);
    cr_expect(keeps(FILTER_SERVER_RULES, &w, "no word of it, but spam", raw, 1, "= from:ada"));
    cr_expect_not(keeps(FILTER_SERVER_RULES, &w, "no word of it, but spam", NULL, 0, NULL));
    cr_expect_not(keeps(FILTER_SERVER_RULES, &w, "tea in English", NULL, 0, "tea"));
    wanted_free(&w);
}

Test(filter, with_rules_auto_leaves_out_only_exclusions_that_found_no_room)
{
    struct wanted w;
    const size_t raw[] = {1};
    wanted_make(&w, (const char *[]){"\"green tea\"", "= from:ada", "-spam", NULL}, FILTER_LOCAL_AUTO);
    wanted_open(&w);
    /* Matched through the quoted text; with `track` the words apart would be the server's wider reading. */
    cr_expect(keeps(FILTER_SERVER_RULES, &w, "tea, and all is green", NULL, 0, NULL));
    cr_expect(keeps(FILTER_SERVER_RULES_PART, &w, "tea, and all is green", NULL, 0, NULL));
    cr_expect_not(keeps(FILTER_SERVER_TRACK, &w, "tea, and all is green", NULL, 0, NULL));
    cr_expect(keeps(FILTER_SERVER_RULES, &w, "green tea and spam", NULL, 0, "\"green tea\""));
    cr_expect_not(keeps(FILTER_SERVER_RULES_PART, &w, "green tea and spam", NULL, 0, "\"green tea\""));
    cr_expect(keeps(FILTER_SERVER_RULES_PART, &w, "a post with spam", raw, 1, "= from:ada"));
    wanted_free(&w);
}
