/* ingest/settings.c - see settings.h. Values are checked section by section; what a source takes from
 * [filter], which may stand below it, is worked out at the end (check_sources), and only then can its
 * keywords be judged.
 */
#include "ingest/settings.h"

#include "base/arena.h"
#include "config/language.h"
#include "ingest/rules_judge.h"
#include "ingest/sample.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
    LIST_MEMORY = 128 * 1024 * 1024 /* for one parsed keyword list: bounds it, far above 100,000 lines */
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* --- values --- */

static bool has_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    bool there = curl_url_get(url, part, &text, 0) == CURLUE_OK && text && text[0];
    curl_free(text);
    return there;
}

static bool is_http(CURLU *url)
{
    char *scheme = NULL;
    bool right = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                 (!strcmp(scheme, "http") || !strcmp(scheme, "https"));
    curl_free(scheme);
    return right;
}

int source_check_url(const char *url, struct err *why)
{
    static const char form[] = "an address such as https://HOST/PATH or http://HOST:PORT/PATH is right";
    CURLU *parsed = curl_url();
    if (!parsed) {
        return err_set(why, ERR_RETRY, "out of memory");
    }
    int result = 0;
    /* libcurl takes http:///x as the host x. */
    if (strstr(url, ":///") || curl_url_set(parsed, CURLUPART_URL, url, 0) != CURLUE_OK ||
        !has_part(parsed, CURLUPART_HOST)) {
        result = err_set(why, ERR_FATAL, "this is no address: %s", form);
    } else if (!is_http(parsed)) {
        result = err_set(why, ERR_FATAL, "only http and https are spoken here: %s", form);
    } else if (has_part(parsed, CURLUPART_USER) || has_part(parsed, CURLUPART_PASSWORD)) {
        result = err_set(why, ERR_FATAL,
                         "there is a user or a password in it: credentials have keys of their own, %s", form);
    } else if (has_part(parsed, CURLUPART_FRAGMENT)) {
        result = err_set(why, ERR_FATAL, "there is a # in it, and what follows is never sent: %s", form);
    }
    curl_url_cleanup(parsed);
    return result;
}

static int check_language(const char *value, struct err *why)
{
    if (language_known(view_of(value))) {
        return 0;
    }
    return err_set(why, ERR_FATAL,
                   "each item is the code of a language (ISO 639: en, es, zh-CN; und is unknown)");
}

static int check_sample(const char *value, struct err *why)
{
    uint32_t share;
    return sample_parse(value, &share, why);
}

/* --- keyword lists --- */

struct keyword_list {
    struct config *c;
    struct arena *memory;
    struct filter_keyword *items;
    size_t count;
    bool broken;
};

/* -1: memory is out, reading on is of no use. */
static int add_keyword(struct keyword_list *list, struct view line, struct config_place place, bool in_file)
{
    struct err e;
    struct filter_keyword *item = &list->items[list->count];
    int kind = keyword_parse(line, list->memory, &item->keyword, &e);
    item->place = place;
    if (kind == 0 && !in_file) {
        kind = err_set(
            &e, ERR_FATAL,
            "an item that is # alone or begins with # and a space is a comment, and those stand in keyword "
            "files: leave it out, or write #tag");
    }
    if (kind < 0) {
        list->broken = true;
        config_mistake(list->c, place, "%s", e.text);
    }
    list->count += kind > 0;
    return kind < 0 && e.kind == ERR_RETRY ? -1 : 0;
}

static bool given(const struct config_section *s, const char *key)
{
    return config_key_place(s, key).line != 0;
}

/* Reads both lists of a section into *filter. */
static void read_keywords(struct config *c, const struct config_section *s, const struct filter_keys *keys,
                          struct filter_settings *filter)
{
    /* A line that was given and could not be read has its mistake already. */
    bool unread = given(s, "keywords") && !keys->keywords.place.line;
    struct config_line *lines = NULL;
    size_t line_count = 0;
    if (keys->keywords_file && config_read_lines(c, keys->keywords_file, config_key_place(s, "keywords_file"),
                                                 &lines, &line_count)) {
        unread = true;
    }
    struct arena *memory = arena_new(LIST_MEMORY);
    memory = config_keep(c, memory, (void (*)(void *))arena_free);
    if (!memory) {
        filter->broken = true;
        return;
    }
    struct keyword_list list = {.c = c, .memory = memory, .broken = unread};
    list.items = arena_zeroed(memory, keys->keywords.count + line_count + 1, sizeof *list.items);
    int stop = list.items ? 0 : -1;
    for (size_t i = 0; !stop && i < keys->keywords.count; i++) {
        stop = add_keyword(&list, view_of(keys->keywords.items[i]), keys->keywords.place, false);
    }
    for (size_t i = 0; !stop && i < line_count; i++) {
        stop = add_keyword(&list, lines[i].text, lines[i].place, true);
    }
    filter->keywords = list.items;
    filter->keyword_count = list.count;
    filter->broken = list.broken || arena_failed(memory);
}

static void read_languages(struct config *c, const struct config_list *written,
                           struct filter_settings *filter)
{
    struct arena *memory = config_keep(c, arena_new(LIST_MEMORY), (void (*)(void *))arena_free);
    const char **languages = memory ? arena_zeroed(memory, written->count + 1, sizeof *languages) : NULL;
    size_t count = 0;
    for (size_t i = 0; languages && i < written->count; i++) {
        char code[LANGUAGE_SIZE];
        bool again = !language_canonical(view_of(written->items[i]), code);
        for (size_t j = 0; j < count && !again; j++) {
            again = !strcmp(languages[j], code);
        }
        const char *kept = again ? NULL : arena_view(memory, view_of(code)).at;
        if (kept) {
            languages[count++] = kept;
        }
    }
    filter->languages = languages;
    filter->language_count = count;
}

/* --- [filter] --- */

static void check_filter(struct config *c, const struct config_section *s, void *settings)
{
    struct filter_section_settings *section = settings;
    read_keywords(c, s, &section->keys, &section->filter);
    read_languages(c, &section->keys.languages, &section->filter);
}

/* --- [source NAME] --- */

static bool has_own_keywords(const struct config_section *s, const struct source_settings *source)
{
    return given(s, "keywords") || source->keys.keywords_file;
}

static void check_source(struct config *c, const struct config_section *s, void *settings)
{
    struct source_settings *source = settings;
    source->name = config_section_name(s);
    source->type = config_section_type(s);
    struct err why;
    if (source->url && source_check_url(source->url, &why)) {
        /* An '@' may follow a password. */
        bool secret = strchr(source->url, '@') != NULL;
        config_mistake(c, config_key_place(s, "url"), "url%s%.200s: %s", secret ? "" : " = ",
                       secret ? "" : source->url, why.text);
    }
    if (has_own_keywords(s, source)) {
        read_keywords(c, s, &source->keys, &source->filter);
    }
    if (source->keys.languages.place.line) {
        read_languages(c, &source->keys.languages, &source->filter);
    }
}

static void check_x_v1(struct config *c, const struct config_section *s, void *settings)
{
    const struct source_x_v1_settings *x = settings;
    if (!x->common.url) {
        struct config_place place = config_key_place(s, "url");
        config_mistake(
            c, place.line ? place : config_section_place(s),
            "[source %s] has no url: X closed its v1.1 streams in March 2023, so x-v1 has no default; give "
            "the "
            "full address of a compatible server, or of `roost simulate`, as "
            "http://127.0.0.1:8080/1.1/statuses/filter.json; or use type x-v2, X's own "
            "API of today",
            config_section_name(s));
    }
    struct config_place token = config_key_place(s, "bearer_token");
    if (token.line && x->common.bearer_token) {
        config_mistake(c, token,
                       "bearer_token is not for x-v1, which signs with api_key, api_secret, access_token and "
                       "access_secret: leave it out");
    }
}

/* x-v2 takes the API's base, to which it adds its paths. */
static void check_base(struct config *c, const struct config_section *s, struct source_settings *source)
{
    static const char own_base[] = "https://api.x.com";
    const char *path = NULL, *host = source->url ? strstr(source->url, "://") : NULL;
    if (!source->url) {
        source->url = config_keep(c, strdup(own_base), free);
        return;
    }
    path = host ? strchr(host + 3, '/') : NULL;
    if (strchr(source->url, '?') || (path && (strstr(path, "/2/") || strstr(path, "/1.1/")))) {
        config_mistake(
            c, config_key_place(s, "url"),
            "url is more than the API's base, to which x-v2 adds /2/tweets/search/stream and its other "
            "paths: %s, or http://127.0.0.1:8080 for a server of your own, is right",
            own_base);
    }
    for (size_t n = strlen(source->url); n && source->url[n - 1] == '/'; n--) {
        source->url[n - 1] = '\0';
    }
}

/* A token goes into a header line as it is. */
static void check_token(struct config *c, const struct config_section *s, const char *token)
{
    struct config_place place = config_key_place(s, "bearer_token");
    if (!strncasecmp(token, "bearer ", 7)) {
        config_mistake(c, place, "bearer_token begins with the word Bearer: give the token alone");
        return;
    }
    for (const char *at = token; *at; at++) {
        if (*at <= ' ' || *at > '~') {
            config_mistake(
                c, place,
                "bearer_token has a space, a line break or another character that no token has: give it "
                "as the network shows it, %%2F and %%3D included");
            return;
        }
    }
}

static void check_x_v2(struct config *c, const struct config_section *s, void *settings)
{
    struct source_x_v2_settings *x = settings;
    check_base(c, s, &x->common);
    if (x->common.bearer_token) {
        check_token(c, s, x->common.bearer_token);
    }
    bool token = given(s, "bearer_token");
    bool key = given(s, "api_key");
    bool secret = given(s, "api_secret");
    if (key != secret) {
        config_mistake(
            c, config_section_place(s),
            "[source %s] has %s without %s: a bearer token is fetched with both; add %s or %s_file",
            config_section_name(s), key ? "api_key" : "api_secret", key ? "api_secret" : "api_key",
            key ? "api_secret" : "api_key", key ? "api_secret" : "api_key");
    } else if (!token && !key) {
        config_mistake(
            c, config_section_place(s),
            "[source %s] has no credentials: add bearer_token or bearer_token_file, or api_key and "
            "api_secret, with which roost fetches one",
            config_section_name(s));
    }
}

/* True when the source goes by [filter]'s keywords. */
static bool merge(const struct config_section *s, const struct filter_section_settings *from)
{
    struct source_settings *source = config_section_settings(s);
    struct filter_settings *to = &source->filter;
    bool shared = !has_own_keywords(s, source);
    if (shared) {
        to->keywords = from->filter.keywords;
        to->keyword_count = from->filter.keyword_count;
        to->broken = from->filter.broken;
    }
    if (!source->keys.languages.place.line) {
        to->languages = from->filter.languages;
        to->language_count = from->filter.language_count;
    }
    if (!given(s, "watch")) {
        source->keys.watch = from->keys.watch;
    }
    to->retweets = given(s, "retweets") ? source->keys.retweets : from->keys.retweets;
    to->replies = given(s, "replies") ? source->keys.replies : from->keys.replies;
    to->quotes = given(s, "quotes") ? source->keys.quotes : from->keys.quotes;
    to->local_filter = given(s, "local_filter") ? source->keys.local_filter : from->keys.local_filter;
    struct err why;
    const char *sample = given(s, "sample") ? source->keys.sample : from->keys.sample;
    if (sample && sample_parse(sample, &to->sample, &why)) {
        to->sample = 0; /* the mistake was reported where the key stands */
    }
    return shared;
}

/* Reports the keywords that v1.1 cannot take; returns how many it can be asked for. */
static size_t judge_track(struct config *c, const struct filter_settings *filter, bool quiet)
{
    size_t asked = 0;
    struct buffer phrase = BUFFER(4096);
    for (size_t i = 0; i < filter->keyword_count; i++) {
        const struct filter_keyword *k = &filter->keywords[i];
        buffer_reset(&phrase);
        int beyond = keyword_track(&k->keyword, &phrase);
        asked += phrase.length > 0;
        if (!quiet && (beyond & KEYWORD_BEYOND_WORD)) {
            config_mistake(
                c, k->place,
                "a keyword whose words have more than %d bytes each: an x-v1 server takes phrases of "
                "1 to %d bytes, so give it a shorter word",
                (int)KEYWORD_TRACK_BYTES, (int)KEYWORD_TRACK_BYTES);
        } else if (!quiet && phrase.length && asked == SOURCE_X_V1_KEYWORDS_MAXIMUM + 1) {
            config_mistake(
                c, k->place,
                "the keywords from here on are too many: an x-v1 server takes at most %d, so leave "
                "some out, or divide them among sources with accounts of their own",
                (int)SOURCE_X_V1_KEYWORDS_MAXIMUM);
        }
    }
    buffer_free(&phrase);
    return asked;
}

static void judge_x_v1(struct config *c, const struct config_section *s, bool quiet)
{
    const struct source_settings *source = config_section_settings(s);
    size_t asked = judge_track(c, &source->filter, quiet);
    if (asked || source->filter.broken) {
        return;
    }
    const char *why =
        source->filter.keyword_count
            ? "has no keyword that x-v1 can ask for (it knows neither exclusions alone nor rules)"
            : "has no keyword";
    config_mistake(c, config_section_place(s),
                   "[source %s] %s: add keywords = ... or keywords_file = ..., here or in [filter]; x-v1 "
                   "streams nothing "
                   "without one",
                   config_section_name(s), why);
}

/* [filter]'s list is judged with the first x-v1 source that goes by it, not once more with each. */
static void check_sources(struct config *c)
{
    const struct filter_section_settings *from = config_settings(c, "filter");
    bool judged = false;
    for (const struct config_section *s = config_first(c, "source"); s && from; s = config_next(s)) {
        bool shared = merge(s, from);
        const char *type = config_section_type(s);
        if (type && !strcmp(type, "x-v1")) {
            judge_x_v1(c, s, shared && judged);
            judged = judged || shared;
        } else if (type && !strcmp(type, "x-v2")) {
            rules_judge(c, s);
        }
    }
}

/* --- tables --- */

static const char *const local_choices[] = {"auto", "yes", "no", NULL};

#define FILTER(field) offsetof(struct filter_section_settings, keys.field)
#define SOURCE(field) offsetof(struct source_settings, field)
#define X_V1(field)   offsetof(struct source_x_v1_settings, field)
#define X_V2(field)   offsetof(struct source_x_v2_settings, field)

/* Each network's: not below the time between two of its keep-alives, and not so long that nobody would
 * notice. */
enum { STALL_LEAST_V1 = 30 * 1000, STALL_LEAST_V2 = 20 * 1000, STALL_MOST = 3600 * 1000 };

enum { CHANGE_LEAST = 1000, CHANGE_MOST = 24 * 3600 * 1000 };

static const struct config_key filter_keys[] = {
    {.name = "keywords",
     .type = CONFIG_LIST,
     .offset = FILTER(keywords),
     .help = "What posts are about: keyword lines, comma separated."},
    {.name = "keywords_file",
     .type = CONFIG_PATH,
     .offset = FILTER(keywords_file),
     .help = "A file with one keyword a line; joined with keywords."},
    {.name = "watch",
     .type = CONFIG_FLAG,
     .offset = FILTER(watch),
     .fallback = "no",
     .help = "Whether a change of keywords_file comes into force by itself, as with SIGHUP."},
    {.name = "languages",
     .type = CONFIG_LIST,
     .offset = FILTER(languages),
     .check = check_language,
     .help = "Languages of the posts, comma separated; empty: all."},
    {.name = "retweets",
     .type = CONFIG_FLAG,
     .offset = FILTER(retweets),
     .fallback = "yes",
     .help = "Whether retweets are wanted."},
    {.name = "replies",
     .type = CONFIG_FLAG,
     .offset = FILTER(replies),
     .fallback = "yes",
     .help = "Whether replies are wanted."},
    {.name = "quotes",
     .type = CONFIG_FLAG,
     .offset = FILTER(quotes),
     .fallback = "yes",
     .help = "Whether quotes are wanted."},
    {.name = "local_filter",
     .type = CONFIG_CHOICE,
     .offset = FILTER(local_filter),
     .fallback = "auto",
     .choices = local_choices,
     .help = "auto: roost filters what the server cannot; yes: everything again; no: nothing."},
    {.name = "sample",
     .type = CONFIG_TEXT,
     .offset = FILTER(sample),
     .fallback = "100%",
     .check = check_sample,
     .help = "The share of posts that is kept, chosen by their ids: the same posts everywhere."},
};

const struct config_kind filter_kind = {
    .section = "filter",
    .optional = true,
    .keys = filter_keys,
    .key_count = COUNT(filter_keys),
    .settings_size = sizeof(struct filter_section_settings),
    .check = check_filter,
};

/* The keys of [filter] have no defaults here: what is absent is [filter]'s. */
static const struct config_key source_keys[] = {
    {.name = "url",
     .type = CONFIG_TEXT,
     .offset = SOURCE(url),
     .help = "x-v1: the full address of the stream; others: the API's base."},
    {.name = "bearer_token",
     .type = CONFIG_SECRET,
     .offset = SOURCE(bearer_token),
     .help = "x-v2: the app's token; x-v1 signs with other keys."},
    {.name = "store_raw",
     .type = CONFIG_FLAG,
     .offset = SOURCE(store_raw),
     .fallback = "no",
     .help = "Whether each post carries the line as received into posts.raw."},
    {.name = "tls_insecure_accept_any_certificate",
     .type = CONFIG_FLAG,
     .offset = SOURCE(tls_insecure_accept_any_certificate),
     .fallback = "no",
     .help = "Whether a server is believed whatever certificate it shows; logged at each start."},
    {.name = "keywords",
     .type = CONFIG_LIST,
     .offset = SOURCE(keys.keywords),
     .help = "Keywords of this source, in place of [filter]'s."},
    {.name = "keywords_file",
     .type = CONFIG_PATH,
     .offset = SOURCE(keys.keywords_file),
     .help = "A file of keywords of this source, in place of [filter]'s."},
    {.name = "watch",
     .type = CONFIG_FLAG,
     .offset = SOURCE(keys.watch),
     .help = "Whether a change of this source's keywords_file comes into force by itself."},
    {.name = "languages",
     .type = CONFIG_LIST,
     .offset = SOURCE(keys.languages),
     .check = check_language,
     .help = "Languages of this source, in place of [filter]'s."},
    {.name = "retweets",
     .type = CONFIG_FLAG,
     .offset = SOURCE(keys.retweets),
     .help = "Whether retweets are wanted from this source."},
    {.name = "replies",
     .type = CONFIG_FLAG,
     .offset = SOURCE(keys.replies),
     .help = "Whether replies are wanted from this source."},
    {.name = "quotes",
     .type = CONFIG_FLAG,
     .offset = SOURCE(keys.quotes),
     .help = "Whether quotes are wanted from this source."},
    {.name = "local_filter",
     .type = CONFIG_CHOICE,
     .offset = SOURCE(keys.local_filter),
     .choices = local_choices,
     .help = "As in [filter], for this source."},
    {.name = "sample",
     .type = CONFIG_TEXT,
     .offset = SOURCE(keys.sample),
     .check = check_sample,
     .help = "The share of this source's posts that is kept, in place of [filter]'s."},
};

static const struct config_key x_v1_keys[] = {
    {.name = "api_key",
     .type = CONFIG_SECRET,
     .offset = X_V1(api_key),
     .required = true,
     .help = "The app's key (API_KEY)."},
    {.name = "api_secret",
     .type = CONFIG_SECRET,
     .offset = X_V1(api_secret),
     .required = true,
     .help = "The app's secret (API_SECRET)."},
    {.name = "access_token",
     .type = CONFIG_SECRET,
     .offset = X_V1(access_token),
     .required = true,
     .help = "The account's token (ACCESS_TOKEN)."},
    {.name = "access_secret",
     .type = CONFIG_SECRET,
     .offset = X_V1(access_secret),
     .required = true,
     .help = "The account's secret (ACCESS_SECRET)."},
    {.name = "delimited",
     .type = CONFIG_FLAG,
     .offset = X_V1(delimited),
     .fallback = "no",
     .help = "Whether to ask for the length before each message."},
    {.name = "stall_warnings",
     .type = CONFIG_FLAG,
     .offset = X_V1(stall_warnings),
     .fallback = "yes",
     .help = "Whether to ask for warnings before the server gives up on a slow reader."},
    {.name = "stall_timeout",
     .type = CONFIG_DURATION,
     .offset = X_V1(common.stall_timeout),
     .fallback = "90s",
     .min = STALL_LEAST_V1,
     .max = STALL_MOST,
     .help = "Silence after which a stream is given up; the server sends a keep-alive each 30 s."},
    {.name = "change_interval",
     .type = CONFIG_DURATION,
     .offset = X_V1(common.change_interval),
     .fallback = "60s",
     .min = CHANGE_LEAST,
     .max = CHANGE_MOST,
     .help = "Time from the last connection to one for a changed configuration; a server tolerates few."},
};

static const struct config_type_table x_v1_type = {
    .name = "x-v1",
    .keys = x_v1_keys,
    .key_count = COUNT(x_v1_keys),
    .settings_size = sizeof(struct source_x_v1_settings),
    .check = check_x_v1,
};

static const struct config_key x_v2_keys[] = {
    {.name = "api_key",
     .type = CONFIG_SECRET,
     .offset = X_V2(api_key),
     .help = "The app's key (API_KEY), to fetch a bearer token with."},
    {.name = "api_secret",
     .type = CONFIG_SECRET,
     .offset = X_V2(api_secret),
     .help = "The app's secret (API_SECRET)."},
    {.name = "rule_length",
     .type = CONFIG_NUMBER,
     .offset = X_V2(rule_length),
     .fallback = "1024",
     .min = 1,
     .max = 4096,
     .help = "The longest rule in characters that the account may have."},
    {.name = "rules_maximum",
     .type = CONFIG_NUMBER,
     .offset = X_V2(rules_maximum),
     .fallback = "1000",
     .min = 1,
     .max = 100000,
     .help = "How many rules the account may have."},
    {.name = "backfill_minutes",
     .type = CONFIG_NUMBER,
     .offset = X_V2(backfill_minutes),
     .fallback = "0",
     .min = 0,
     .max = 5,
     .help = "Minutes that the server is to send again after an outage; 0: not asked for."},
    {.name = "stall_timeout",
     .type = CONFIG_DURATION,
     .offset = X_V2(common.stall_timeout),
     .fallback = "21s",
     .min = STALL_LEAST_V2,
     .max = STALL_MOST,
     .help = "Silence after which a stream is given up; the server sends a keep-alive each 20 s."},
};

static const struct config_type_table x_v2_type = {
    .name = "x-v2",
    .keys = x_v2_keys,
    .key_count = COUNT(x_v2_keys),
    .settings_size = sizeof(struct source_x_v2_settings),
    .check = check_x_v2,
};

static const struct config_type_table *const source_types[] = {&x_v1_type, &x_v2_type, NULL};
static const char *const later_types[] = {"bluesky", "mastodon", "file", "kafka", NULL};

const struct config_kind source_kind = {
    .section = "source",
    .named = true,
    .keys = source_keys,
    .key_count = COUNT(source_keys),
    .settings_size = sizeof(struct source_settings),
    .types = source_types,
    .later_types = later_types,
    .check = check_source,
    .check_all = check_sources,
};
