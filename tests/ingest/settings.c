/* [source NAME] and [filter]: what a right configuration amounts to for each source, and the mistakes that
 * these sections can have: all in one run, at file and line, without a secret (every secret in here contains
 * "hush"). */
#include "ingest/settings.h"

#include "base/buffer.h"
#include "bridge/settings.h"
#include "config/sample.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A stand-in for the sinks: another named kind, with a value that is never shown. */
struct well_settings {
    char *conninfo;
};
static const struct config_key postgres_keys[] = {{.name = "conninfo",
                                                   .type = CONFIG_TEXT,
                                                   .offset = offsetof(struct well_settings, conninfo),
                                                   .required = true,
                                                   .hidden = true,
                                                   .help = "How to reach it."}};
static const struct config_type_table postgres_type = {
    .name = "postgres", .keys = postgres_keys, .key_count = 1, .settings_size = sizeof(struct well_settings)};
static const struct config_type_table *const well_types[] = {&postgres_type, NULL};
static const struct config_kind well_kind = {
    .section = "sink", .named = true, .settings_size = sizeof(struct well_settings), .types = well_types};
static const struct config_kind *const kinds[] = {&source_kind, &filter_kind, &bridge_kind, &well_kind};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static char folder[256];

static void open_folder(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/roost-settings-XXXXXX", base && base[0] ? base : "/tmp");
    unsetenv("CREDENTIALS_DIRECTORY");
    cr_assert_not_null(mkdtemp(folder));
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status, (void)type, (void)where;
    return remove(path);
}

static void close_folder(void)
{
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(settings, .init = open_folder, .fini = close_folder);

static void write_file(const char *name, struct view bytes)
{
    char path[320];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert(fd >= 0 && write(fd, bytes.at, bytes.length) == (ssize_t)bytes.length);
    close(fd);
}

static struct config *load(const char *text)
{
    char path[320];
    write_file("roost.conf", view_of(text));
    snprintf(path, sizeof path, "%s/roost.conf", folder);
    struct config *c = config_load(path, kinds, KINDS);
    cr_assert_not_null(c);
    return c;
}

static struct config *load_right(const char *text)
{
    struct config *c = load(text);
    cr_assert_eq(config_mistakes(c), 0, "%s", config_mistakes(c) ? config_mistake_text(c, 0) : "");
    return c;
}

/* Six lines; further keys of the section begin on line 7. */
#define X_V1                                                                                                 \
    "[source covid]\ntype = x-v1\nurl = http://127.0.0.1:8080/1.1/statuses/filter.json\n"                    \
    "api_key = hush1\napi_secret = hush2\naccess_token = hush3\naccess_secret = hush4\n"

#define OK_FILTER "[filter]\nkeywords = covid\n"

/* Three lines. */
#define X_V2 "[source x]\ntype = x-v2\nbearer_token = hush%2F5%3D\n"

static const struct source_settings *source_of(const struct config *c, const char *name)
{
    for (const struct config_section *s = config_first(c, "source"); s; s = config_next(s)) {
        if (!strcmp(config_section_name(s), name)) {
            return config_section_settings(s);
        }
    }
    return NULL;
}

Test(settings, source_goes_by_the_filter_section_wherever_it_stands)
{
    struct config *c =
        load_right(X_V1 "[filter]\nkeywords = covid, \"long covid, they say\", -spam\n"
                        "languages = en, in, ID, he\nretweets = no\nlocal_filter = yes\nsample = 2.5%\n");
    const struct source_settings *s = source_of(c, "covid");
    cr_assert_str_eq(s->name, "covid");
    cr_assert_str_eq(s->type, "x-v1");
    cr_assert_eq(s->filter.keyword_count, 3);
    cr_assert(view_is(s->filter.keywords[0].keyword.line, "covid"));
    cr_assert(view_is(s->filter.keywords[1].keyword.line, "\"long covid, they say\""));
    cr_assert_eq(s->filter.keywords[1].keyword.parts[0].kind, KEYWORD_PHRASE);
    cr_assert(s->filter.keywords[2].keyword.parts[0].excluded);
    cr_assert_eq(s->filter.keywords[2].place.line, 9);
    cr_assert_eq(s->filter.language_count, 3, "in and ID are one language");
    cr_assert_str_eq(s->filter.languages[0], "en");
    cr_assert_str_eq(s->filter.languages[1], "id");
    cr_assert_str_eq(s->filter.languages[2], "he");
    cr_assert_not(s->filter.retweets);
    cr_assert(s->filter.replies && s->filter.quotes);
    cr_assert_eq(s->filter.local_filter, FILTER_LOCAL_YES);
    cr_assert_eq(s->filter.sample, 25000);
    const struct source_x_v1_settings *x = (const void *)s;
    cr_assert_str_eq(x->api_key, "hush1");
    cr_assert_str_eq(x->access_secret, "hush4");
    cr_assert(x->stall_warnings && !x->delimited && !s->store_raw);
    config_free(c);
}

Test(settings, what_a_source_says_itself_goes_first)
{
    write_file("own.txt", VIEW("# comment\n#\n#tag\r\n\nsecond"));
    struct config *c = load_right(
        X_V1 "keywords = first\nkeywords_file = own.txt\nlanguages =\nreplies = no\n"
             "local_filter = no\nsample = 50%\nstore_raw = yes\ndelimited = yes\nstall_warnings = no\n"
             "[filter]\nkeywords = other\nlanguages = en\nquotes = no\n");
    const struct source_settings *s = source_of(c, "covid");
    cr_assert_eq(s->filter.keyword_count, 3);
    cr_assert(view_is(s->filter.keywords[0].keyword.line, "first"));
    cr_assert(view_is(s->filter.keywords[1].keyword.line, "#tag"));
    cr_assert_eq(s->filter.keywords[1].place.line, 3);
    cr_assert(strstr(s->filter.keywords[1].place.file, "/own.txt"));
    cr_assert(view_is(s->filter.keywords[2].keyword.line, "second"));
    cr_assert_eq(s->filter.language_count, 0, "an empty list of its own means all languages");
    cr_assert(s->filter.retweets && !s->filter.replies && !s->filter.quotes);
    cr_assert_eq(s->filter.local_filter, FILTER_LOCAL_NO);
    cr_assert_eq(s->filter.sample, 500000);
    cr_assert(s->store_raw && ((const struct source_x_v1_settings *)s)->delimited);
    cr_assert_not(((const struct source_x_v1_settings *)s)->stall_warnings);
    config_free(c);
}

Test(settings, an_x_v2_source_needs_a_token_and_a_keyword_and_has_defaults_for_the_rest)
{
    struct config *c = load_right(X_V2 "[filter]\nkeywords = -spam, covid\n");
    const struct source_x_v2_settings *x = (const void *)source_of(c, "x");
    cr_assert_str_eq(x->common.url, "https://api.x.com");
    cr_assert_str_eq(x->common.bearer_token, "hush%2F5%3D");
    cr_assert_eq(x->rule_length, 1024);
    cr_assert_eq(x->rules_maximum, 1000);
    cr_assert_eq(x->backfill_minutes, 0);
    cr_assert_eq(x->common.stall_timeout, 21 * 1000);
    cr_assert_not(x->common.tls_insecure_accept_any_certificate);
    cr_assert_null(x->api_key);
    config_free(c);
}

Test(settings, an_x_v2_source_says_everything_itself)
{
    write_file("token", VIEW("hush6\n"));
    struct config *c = load_right("[source x]\ntype = x-v2\nurl = http://127.0.0.1:8080/base//\n"
                                  "bearer_token_file = token\napi_key = hush7\napi_secret = hush8\n"
                                  "rule_length = 4096\nrules_maximum = 100000\nbackfill_minutes = 5\n"
                                  "stall_timeout = 20s\ntls_insecure_accept_any_certificate = yes\n"
                                  "keywords = \"= from:ada has:media\"\n");
    const struct source_x_v2_settings *x = (const void *)source_of(c, "x");
    cr_assert_str_eq(x->common.url, "http://127.0.0.1:8080/base");
    cr_assert_str_eq(x->common.bearer_token, "hush6");
    cr_assert_str_eq(x->api_key, "hush7");
    cr_assert_str_eq(x->api_secret, "hush8");
    cr_assert_eq(x->rule_length, 4096);
    cr_assert_eq(x->rules_maximum, 100000);
    cr_assert_eq(x->backfill_minutes, 5);
    cr_assert_eq(x->common.stall_timeout, 20 * 1000);
    cr_assert(x->common.tls_insecure_accept_any_certificate);
    config_free(c);
}

Test(settings, key_and_secret_are_as_good_as_a_token_and_a_rule_line_is_a_keyword)
{
    write_file("rules.txt", VIEW("= from:ada has:media\n-spam\n"));
    struct config *c = load_right("[source x]\ntype = x-v2\napi_key = hush7\napi_secret = hush8\n"
                                  "keywords_file = rules.txt\n");
    cr_assert_null(source_of(c, "x")->bearer_token);
    config_free(c);
}

Test(settings, a_v1_stream_is_given_up_after_90_s_of_silence_by_default)
{
    struct config *c = load_right(X_V1 OK_FILTER);
    cr_assert_eq(source_of(c, "covid")->stall_timeout, 90 * 1000);
    config_free(c);
    c = load_right(X_V1 "stall_timeout = 30s\n" OK_FILTER);
    cr_assert_eq(source_of(c, "covid")->stall_timeout, 30 * 1000);
    config_free(c);
}

Test(settings, thousand_keywords_in_one_line_are_read_and_those_over_400_refused)
{
    struct buffer text = BUFFER(1 << 20);
    buffer_add_text(&text, X_V1 "[filter]\nkeywords = ");
    for (int i = 0; i < 1000; i++) {
        buffer_print(&text, "%skeyword%d", i ? ", " : "", i);
    }
    buffer_add_text(&text, "\nlanguages = klingon\n");
    struct config *c = load(buffer_string(&text));
    cr_assert_eq(source_of(c, "covid")->filter.keyword_count, 1000);
    cr_assert_eq(config_mistakes(c), 2);
    cr_assert(strstr(config_mistake_text(c, 0),
                     "roost.conf:9: the keywords from here on are too many: an x-v1 server "
                     "takes at most 400"),
              "%s", config_mistake_text(c, 0));
    cr_assert(strstr(config_mistake_text(c, 1), "roost.conf:10: languages = klingon"), "%s",
              config_mistake_text(c, 1));
    config_free(c);
    buffer_free(&text);
}

Test(settings, first_keyword_over_400_is_named_at_its_own_line)
{
    struct buffer text = BUFFER(1 << 20);
    for (int i = 0; i < 402; i++) {
        buffer_print(&text, "word%d\n-no%d\n", i, i);
    }
    write_file("many.txt", buffer_view(&text));
    struct config *c = load(X_V1 "[filter]\nkeywords_file = many.txt\n");
    cr_assert_eq(config_mistakes(c), 1);
    cr_assert(strstr(config_mistake_text(c, 0), "/many.txt:801: the keywords from here on are too many"),
              "%s", config_mistake_text(c, 0));
    config_free(c);
    buffer_free(&text);
}

struct broken {
    const char *text;
    const char *mistakes[6]; /* in order; each a piece of its line */
};

static const struct broken table[] = {
    {"[source a]\ntype = x-v1\n" OK_FILTER,
     {"roost.conf:1: [source a] has no api_key: add api_key or api_key_file",
      "roost.conf:1: [source a] has no api_secret", "roost.conf:1: [source a] has no access_token",
      "roost.conf:1: [source a] has no access_secret",
      "roost.conf:1: [source a] has no url: X closed its v1.1 streams in March 2023"}},
    {X_V1, {"roost.conf:1: [source covid] has no keyword: add keywords"}},
    {X_V1 "[filter]\nkeywords =\n", {"roost.conf:1: [source covid] has no keyword"}},
    {X_V1 "[filter]\nkeywords = -spam\n",
     {"roost.conf:1: [source covid] has no keyword that x-v1 can ask for"}},
    {X_V1 "[filter]\nkeywords = = covid -is:retweet\n",
     {"roost.conf:1: [source covid] has no keyword that x-v1 can ask for"}},
    {X_V1 "keywords = \"open\nurl = x\n" OK_FILTER,
     {"roost.conf:8: a double quote is opened and not closed",
      "roost.conf:9: key \"url\" is given twice in [source covid], first on line 3"}},
    {X_V1 "keywords_file = nowhere.txt\n", {"roost.conf:8: cannot read "}},
    {X_V1 "keywords_file = broken.txt\n",
     {"/broken.txt:2: 'a,b' has a comma", "/broken.txt:3: '\"open' opens a double quote",
      "/broken.txt:5: byte 1 of the line is not UTF-8", "/broken.txt:6: '-' stands alone"}},
    {X_V1 "[filter]\nkeywords = covid, # note, vaccine\n",
     {"roost.conf:9: an item that is # alone or begins with # and a space is a comment"}},
    {X_V1 "[filter]\nkeywords = covid,, vaccine,\n",
     {"roost.conf:9: keywords: item 2 is empty", "roost.conf:9: keywords: item 4 is empty"}},
    {X_V1 "[filter]\nkeywords = covid\nlanguages = en, english, xx\n",
     {"roost.conf:10: languages = english: each item is the code of a language",
      "roost.conf:10: languages = xx: each item"}},
    {X_V1 "languages = en_US\n" OK_FILTER, {"roost.conf:8: languages = en_US: "}},
    {X_V1 "bearer_token = hush5\n" OK_FILTER, {"roost.conf:8: bearer_token is not for x-v1"}},
    {X_V1 "api_key_file = hush.txt\n" OK_FILTER,
     {"roost.conf:8: api_key and api_key_file are both given, the other one on line 4"}},
    {X_V1 "retweets = never\nreplies = 1\nquotes = true\nlocal_filter = maybe\nstore_raw = on\ndelimited = "
          "length\n" OK_FILTER,
     {"roost.conf:8: retweets = never: yes or no is right", "roost.conf:9: replies = 1",
      "roost.conf:10: quotes = true", "roost.conf:11: local_filter = maybe: one of auto, yes, no is right",
      "roost.conf:12: store_raw = on", "roost.conf:13: delimited = length"}},
    {X_V1 "sample = 10\n[filter]\nkeywords = covid\nsample = 0%\n",
     {"roost.conf:8: sample = 10: a share above 0% and up to 100%, with at most four decimals",
      "roost.conf:11: sample = 0%: a share above 0%"}},
    {X_V1 "acces_token = hush\n" OK_FILTER,
     {"roost.conf:8: key \"acces_token\" is unknown in [source covid]: did you mean access_token?"}},
    {X_V1 "spool_dir = hush\n" OK_FILTER,
     {"roost.conf:8: key \"spool_dir\" is unknown in [source covid]: it belongs in [bridge]"}},
    {X_V1 X_V1 OK_FILTER,
     {"roost.conf:8: [source covid] is given twice, first on line 1: give this one another name"}},
    {"[source a]\ntype = x-v2\nbearer_token = hush\nrule_length = 16\n[filter]\nkeywords = covid, "
     "vaccination\n",
     {"roost.conf:6: this keyword alone makes a rule of 25 characters, and 16 are allowed",
      "roost.conf:6: this keyword alone makes a rule of 43 characters, and 16 are allowed"}},
    {"[source a]\ntype = x-v2\nbearer_token = hush\n[filter]\nkeywords = = cat (\n",
     {"roost.conf:5: this is no rule of X: at character"}},
    {"[source a]\ntype = bluesky\nurl = https://h\n" OK_FILTER,
     {"roost.conf:2: type = bluesky: this version of roost does not have it: it has x-v1, x-v2"}},
    {"[source a]\ntype = x-v2\n" OK_FILTER,
     {"roost.conf:1: [source a] has no credentials: add bearer_token or bearer_token_file, or api_key"}},
    {X_V2 "expansions = hush\n" OK_FILTER, {"roost.conf:4: key \"expansions\" is unknown in [source x]"}},
    {X_V2 "access_token = hush\n" OK_FILTER, {"roost.conf:4: key \"access_token\" is unknown in [source x]"}},
    {X_V2 "delimited = yes\n" OK_FILTER, {"roost.conf:4: key \"delimited\" is unknown in [source x]"}},
    {"[source a]\ntype = x-v2\napi_key = hush\n" OK_FILTER,
     {"roost.conf:1: [source a] has api_key without api_secret: a bearer token is fetched with both"}},
    {X_V2 "api_secret = hush\n" OK_FILTER, {"roost.conf:1: [source x] has api_secret without api_key"}},
    {"[source x]\ntype = x-v2\nbearer_token = Bearer hush\n" OK_FILTER,
     {"roost.conf:3: bearer_token begins with the word Bearer: give the token alone"}},
    {"[source x]\ntype = x-v2\nbearer_token = hush hush\n" OK_FILTER,
     {"roost.conf:3: bearer_token has a space, a line break or another character that no token has"}},
    {X_V2, {"roost.conf:1: [source x] has no keyword: add keywords"}},
    {X_V2 "keywords = -spam, -\"no thanks\"\n",
     {"roost.conf:1: [source x] has only keywords that exclude (a rule must want something): add keywords"}},
    {X_V2 "rule_length = 0\nrules_maximum = 100001\nbackfill_minutes = 6\nstall_timeout = 19s\n"
          "tls_insecure_accept_any_certificate = 1\n" OK_FILTER,
     {"roost.conf:4: rule_length = 0: a whole number from 1 to 4096 is right",
      "roost.conf:5: rules_maximum = 100001", "roost.conf:6: backfill_minutes = 6",
      "roost.conf:7: stall_timeout = 19s",
      "roost.conf:8: tls_insecure_accept_any_certificate = 1: yes or no is right"}},
    {X_V1 "stall_timeout = 29999ms\n" OK_FILTER, {"roost.conf:8: stall_timeout = 29999ms"}},
    {X_V2 "url = https://api.x.com/2/tweets/search/stream\n" OK_FILTER,
     {"roost.conf:4: url is more than the API's base"}},
    {X_V2 "url = https://api.x.com/?a=b\n" OK_FILTER, {"roost.conf:4: url is more than the API's base"}},
    {"[source a]\ntype = mastodont\n" OK_FILTER,
     {"roost.conf:2: type = mastodont: one of x-v1, x-v2 is right (did you mean mastodon?)"}},
    {"[source a]\nurl = http://h/\n" OK_FILTER, {"roost.conf:1: [source a] has no type: add type = x-v1"}},
    {"[sorce a]\ntype = x-v1\napi_key = hush\n" OK_FILTER,
     {"roost.conf:1: section \"sorce\" is unknown: did you mean [source NAME]?"}},
    {"[filtr]\nkeywords = hush\n", {"roost.conf:1: section \"filtr\" is unknown: did you mean [filter]?"}},
    {"api_key = hush\n" OK_FILTER, {"roost.conf:1: a key before any section"}},
    {OK_FILTER "API_KEY = hush\n", {"roost.conf:3: key \"API_KEY\" is unknown in [filter]"}},
    {OK_FILTER "hush\n" OK_FILTER,
     {"roost.conf:3: the line is neither", "roost.conf:4: [filter] is given twice, first on line 1"}},
    {OK_FILTER
     "[bridge]\nlisten = 0.0.0.0:5555\nplain = xml\nstart = later\nspool_max = 1GB\nend_marker = x\n",
     {"roost.conf:4: listen = 0.0.0.0:5555", "roost.conf:5: plain = xml", "roost.conf:6: start = later",
      "roost.conf:7: spool_max = 1GB", "roost.conf:8: end_marker = x"}},
    {OK_FILTER "[sink a]\ntype = postgres\n",
     {"roost.conf:3: [sink a] has no conninfo: add conninfo or conninfo_file"}},
    {OK_FILTER "[sink a]\ntype = postgres\nconninfo = \"password=hush\nconninfo = hush\n",
     {"roost.conf:5: a double quote is opened",
      "roost.conf:6: key \"conninfo\" is given twice in [sink a], first on line 5"}},
    {OK_FILTER "[sink a]\ntype = postgres\nconninfo_file = /nonexistent/c\n",
     {"roost.conf:5: conninfo_file: cannot read /nonexistent/c"}},
    {OK_FILTER "[sink a b]\ntype = postgres\nconninfo = hush\nconinfo = hush\n",
     {"roost.conf:3: the name in [sink NAME] is wrong",
      "roost.conf:6: key \"coninfo\" is unknown in [sink]: did you mean conninfo?"}},
    {X_V1 "[filter]\nkeywords = \xC3\xBC"
          "bergross, caf\xE9\nretweets = \"\"\n",
     {"roost.conf:9: byte 27 of the line is not UTF-8",
      "roost.conf:10: retweets has no value: leave the line out for the default, yes"}},
    {X_V1 "[filter]\nkeywords = covid, aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff, "
          "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefffffffffff\n",
     {"roost.conf:9: a keyword whose words have more than 60 bytes each"}},
};

Test(settings, every_mistake_is_named_in_one_run)
{
    write_file("broken.txt", VIEW("good\na,b\n\"open\n# fine\n\xFF\n-\n"));
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct config *c = load(table[i].text);
        size_t expected = 0;
        while (expected < 6 && table[i].mistakes[expected]) {
            const char *text = expected < config_mistakes(c) ? config_mistake_text(c, expected) : "(none)";
            cr_expect(strstr(text, table[i].mistakes[expected]), "case %zu: expected %s\n got %s", i,
                      table[i].mistakes[expected], text);
            expected++;
        }
        cr_expect_eq(config_mistakes(c), expected, "case %zu has %zu mistakes, not %zu", i,
                     config_mistakes(c), expected);
        for (size_t j = 0; j < config_mistakes(c); j++) {
            cr_expect_not(strstr(config_mistake_text(c, j), "hush"), "case %zu shows a secret: %s", i,
                          config_mistake_text(c, j));
        }
        config_free(c);
    }
}

Test(settings, addresses_that_cannot_be_asked_are_refused)
{
    static const char *const right[] = {"http://127.0.0.1:8080/1.1/statuses/filter.json",
                                        "https://stream.example.org/a?b=c", "http://[::1]:80/x", "https://h"};
    static const char *const wrong[] = {"ftp://h/x",
                                        "h/x",
                                        "127.0.0.1:8080",
                                        "http://",
                                        "http:///x",
                                        "http://h:99999/",
                                        "http://u:hush@h/x",
                                        "https://hush@h/",
                                        "http://h/#f",
                                        "http://a b/",
                                        "file:///etc/passwd",
                                        "//h/x",
                                        ""};
    struct err why;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        cr_expect_eq(source_check_url(right[i], &why), 0, "%s: %s", right[i], why.text);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_expect_eq(source_check_url(wrong[i], &why), -1, "%s", wrong[i]);
        cr_expect_not(strstr(why.text, "hush"));
    }
}

Test(settings, address_with_a_password_is_refused_without_showing_it)
{
    struct config *c =
        load("[source a]\ntype = x-v1\nurl = https://me:hush@h/x\napi_key = 1\napi_secret = 2\n"
             "access_token = 3\naccess_secret = 4\n" OK_FILTER);
    cr_assert_eq(config_mistakes(c), 1);
    cr_assert(strstr(config_mistake_text(c, 0), "roost.conf:3: url: there is a user or a password in it"),
              "%s", config_mistake_text(c, 0));
    cr_assert_not(strstr(config_mistake_text(c, 0), "hush"));
    config_free(c);
}

Test(settings, shared_keywords_are_judged_once_for_all_sources)
{
    struct config *c = load(
        X_V1 "[source two]\ntype = x-v1\nurl = http://h/x\napi_key = 1\napi_secret = 2\naccess_token = 3\n"
             "access_secret = 4\n[filter]\n"
             "keywords = covid, aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefffffffffff\n");
    cr_assert_eq(config_mistakes(c), 1, "%zu", config_mistakes(c));
    cr_assert_eq(source_of(c, "two")->filter.keywords, source_of(c, "covid")->filter.keywords);
    config_free(c);
}

Test(settings, sample_agrees_with_the_key_tables)
{
    const char *source = getenv("SOURCE");
    char path[512];
    snprintf(path, sizeof path, "%s/config/roost.conf", source && source[0] ? source : ".");
    int fd = open(path, O_RDONLY);
    cr_assert(fd >= 0, "%s", path);
    static char text[65536];
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    cr_assert(n > 0 && n < (ssize_t)sizeof text);
    struct buffer report = BUFFER(65536);
    config_sample_check(view_make(text, (size_t)n), kinds, KINDS, &report);
    const char *found = buffer_string(&report);
    cr_expect_not(strstr(found, "[source]"), "%s", found);
    cr_expect_not(strstr(found, "[filter]"), "%s", found);
    cr_expect_not(strstr(found, "[bridge]"), "%s", found);
    buffer_free(&report);
}
