#include "cli/check.h"

#include "base/buffer.h"
#include "bridge/settings.h"
#include "cli/command.h"
#include "cli/kinds.h"
#include "cli/rules.h"
#include "config/language.h"
#include "etl/settings.h"
#include "ingest/sample.h"
#include "ingest/settings.h"
#include "sinks/postgres.h"

#include <strings.h>

enum { SENTENCE_MAXIMUM = 1024 * 1024 /* a keyword of 64 KiB and what is said about it */ };

size_t check_print_mistakes(const struct config *c, FILE *errors)
{
    size_t count = config_mistakes(c);
    for (size_t i = 0; i < count; i++) {
        fprintf(errors, "%s\n", config_mistake_text(c, i));
    }
    return count;
}

static const char *yes_no(bool flag)
{
    return flag ? "yes" : "no";
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

/* --- sources --- */

static void print_languages(const struct filter_settings *filter, FILE *out)
{
    fputs("  languages: ", out);
    for (size_t i = 0; i < filter->language_count; i++) {
        char spellings[LANGUAGE_SPELLINGS][LANGUAGE_SIZE];
        size_t count = language_spellings(filter->languages[i], spellings);
        fprintf(out, "%s%s", i ? ", " : "", spellings[0]);
        if (count > 1) {
            fprintf(out, " (also as %s)", spellings[1]);
        }
    }
    fputs(filter->language_count ? "\n" : "all\n", out);
}

/* A share in millionths as a percentage without zeros at its end. */
static void print_sample(uint32_t share, FILE *out)
{
    if (share == 0 || share == SAMPLE_ALL) {
        fputs("  sample: 100%, all posts\n", out);
        return;
    }
    char text[16];
    int length = snprintf(text, sizeof text, "%u.%04u", share / 10000, share % 10000);
    while (text[length - 1] == '0' || text[length - 1] == '.') {
        bool point = text[--length] == '.';
        text[length] = '\0';
        if (point) {
            break;
        }
    }
    fprintf(out, "  sample: %s%%, the posts whose hash is below %016llx\n", text,
            (unsigned long long)sample_limit(share));
}

static void print_flags(const struct filter_settings *filter, FILE *out)
{
    static const char *const local[] = {
        "auto: roost filters what the server cannot",
        "yes: roost checks every post again",
        "no: what the server delivers is stored",
    };
    fprintf(out, "  retweets: %s, replies: %s, quotes: %s\n", yes_no(filter->retweets),
            yes_no(filter->replies), yes_no(filter->quotes));
    fprintf(out, "  local_filter: %s\n", local[filter->local_filter]);
    print_sample(filter->sample, out);
}

static void print_meaning(const struct filter_keyword *k, FILE *out)
{
    struct buffer text = BUFFER(SENTENCE_MAXIMUM);
    keyword_explain(&k->keyword, &text);
    fprintf(out, "    %s:%u: %.*s\n      meaning: %.*s\n", rules_file_name(k->place.file), k->place.line,
            VIEW_PRINT(k->keyword.line), VIEW_PRINT(buffer_view(&text)));
    buffer_free(&text);
}

static bool is_type(const struct source_settings *source, const char *type)
{
    return !strcmp(source->type, type);
}

/* What a v1.1 server is asked for, and what it cannot do. */
static void print_tracked(const struct filter_keyword *k, FILE *out)
{
    struct buffer text = BUFFER(SENTENCE_MAXIMUM), phrase = BUFFER(SENTENCE_MAXIMUM);
    int beyond = keyword_track(&k->keyword, &phrase);
    if (phrase.length) {
        fprintf(out, "      server:  asked for %.*s\n", VIEW_PRINT(buffer_view(&phrase)));
    } else {
        fputs("      server:  not asked for it\n", out);
    }
    if (beyond) {
        keyword_explain_beyond(beyond, &text);
        fprintf(out, "      beyond:  %.*s\n", VIEW_PRINT(buffer_view(&text)));
    }
    buffer_free(&phrase);
    buffer_free(&text);
}

/* Sources that go by one list share it: it is shown with the first of them. Rules are each source's own. */
static const struct source_settings *same_list_before(const struct config *c,
                                                      const struct source_settings *source)
{
    for (const struct config_section *s = config_first(c, "source"); s; s = config_next(s)) {
        const struct source_settings *other = config_section_settings(s);
        if (other == source) {
            return NULL;
        }
        if (other->filter.keywords == source->filter.keywords && is_type(other, source->type) &&
            !is_type(source, "x-v2")) {
            return other;
        }
    }
    return NULL;
}

static void print_keywords(const struct config *c, const struct source_settings *source, FILE *out)
{
    const struct filter_settings *filter = &source->filter;
    const struct source_settings *before = same_list_before(c, source);
    if (before) {
        fprintf(out, "  keywords: %zu, those of [source %s]\n", filter->keyword_count, before->name);
        return;
    }
    fprintf(out, "  keywords: %zu\n", filter->keyword_count);
    for (size_t i = 0; i < filter->keyword_count; i++) {
        print_meaning(&filter->keywords[i], out);
        print_tracked(&filter->keywords[i], out);
    }
}

/* -1: memory is out. */
static int print_rules(const struct source_settings *source, FILE *out, FILE *errors)
{
    struct err e;
    struct rules *rules = rules_of_source((const struct source_x_v2_settings *)source, &e);
    if (!rules) {
        fprintf(errors, "%s\n", e.text);
        return -1;
    }
    rules_print_packing(rules, out);
    fprintf(out, "  keywords: %zu\n", source->filter.keyword_count);
    for (uint32_t i = 0; i < source->filter.keyword_count; i++) {
        print_meaning(&source->filter.keywords[i], out);
        rules_print_line(rules, i, out);
    }
    rules_free(rules);
    return 0;
}

/* Is the address one of the network's that closed this API? */
static bool is_x_itself(const char *url)
{
    static const char *const domains[] = {"twitter.com", "x.com"};
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t length = strcspn(host, ":/?");
    for (size_t i = 0; i < sizeof domains / sizeof domains[0]; i++) {
        size_t n = strlen(domains[i]);
        if (length >= n && !strncasecmp(host + length - n, domains[i], n) &&
            (length == n || host[length - n - 1] == '.')) {
            return true;
        }
    }
    return false;
}

static bool has_path(const char *url)
{
    const char *host = strstr(url, "://");
    return host && strchr(host + 3, '/');
}

static void print_x_v2(const struct source_x_v2_settings *x, FILE *out)
{
    fprintf(out, "  bearer token: %s\n",
            !x->common.bearer_token ? "fetched with api_key and api_secret"
            : x->api_key            ? "given; fetched anew when it is refused"
                                    : "given");
    if (x->backfill_minutes) {
        fprintf(out, "  after an outage the last %lld minute%s are sent again\n",
                (long long)x->backfill_minutes, plural((size_t)x->backfill_minutes));
    }
}

static int print_source(const struct config *c, const struct source_settings *source, FILE *out, FILE *errors)
{
    /* A query may hold a key; the path is enough to recognise the server. */
    int shown = (int)strcspn(source->url ? source->url : "", "?");
    fprintf(out, "\n[source %s] %s, %.*s\n", source->name, source->type, shown,
            source->url ? source->url : "");
    if (is_type(source, "x-v2")) {
        print_x_v2((const struct source_x_v2_settings *)source, out);
    } else if (source->url && is_x_itself(source->url)) {
        fputs("  note: X closed its v1.1 streams in March 2023 and answers 403; name a compatible server\n",
              out);
    }
    if (is_type(source, "x-v1") && source->url && !has_path(source->url)) {
        fputs("  note: the address has no path; a v1.1 stream's is usually /1.1/statuses/filter.json\n", out);
    }
    if (source->tls_insecure_accept_any_certificate) {
        fputs("  note: any certificate is accepted, so whoever answers at this address is believed\n", out);
    }
    fprintf(out, "  store_raw: %s\n", yes_no(source->store_raw));
    print_languages(&source->filter, out);
    print_flags(&source->filter, out);
    if (is_type(source, "x-v2")) {
        return print_rules(source, out, errors);
    }
    print_keywords(c, source, out);
    return 0;
}

/* --- the rest --- */

static void print_bridge(const struct config *c, FILE *out)
{
    static const char *const plain[] = {"the text of each post", "each post as JSON", "nothing"};
    static const char *const full[] = {"no more is taken", "the oldest posts go"};
    const struct bridge_settings *b = config_settings(c, "bridge");
    if (!b) {
        return;
    }
    fprintf(out, "\n[bridge] %s, end marker %s\n", b->listen, b->end_marker);
    fprintf(out, "  plain clients get %s; the stream is opened %s\n", plain[b->plain],
            b->start == BRIDGE_START_NOW ? "at once" : "for the first client");
    fprintf(out, "  spool: %s, at most %lld MiB; when it is full, %s\n", b->spool_dir,
            (long long)(b->spool_max >> 20), full[b->when_full]);
}

static void print_etl(const struct config *c, FILE *out)
{
    const struct etl_settings *etl = config_settings(c, "etl");
    if (!etl) {
        return;
    }
    fprintf(out, "\n[etl] consumer %s, a batch each %lld ms, ", etl->consumer,
            (long long)etl->batch_interval);
    if (etl->workers) {
        fprintf(out, "%lld worker%s\n", (long long)etl->workers, plural((size_t)etl->workers));
    } else {
        fputs("one worker per core\n", out);
    }
    fputs("  from", out);
    const struct bridge_settings *b = config_settings(c, "bridge");
    if (b && etl->bridge.place.line == 0) {
        fprintf(out, " %s, the bridge of this file\n", b->listen);
        return;
    }
    for (size_t i = 0; i < etl->bridge.count; i++) {
        fprintf(out, "%s %s", i ? "," : "", etl->bridge.items[i]);
    }
    fputs("\n", out);
}

static bool is_postgres(const struct config_section *s)
{
    const char *type = config_section_type(s);
    return type && !strcmp(type, postgres_config.name);
}

static void print_keep(const struct postgres_settings *sink, FILE *out)
{
    enum { DAY_MS = 24 * 3600 * 1000 };
    int64_t days = sink->keep / DAY_MS;
    if (sink->keep) {
        fprintf(out, "  months that ended more than %lld day%s ago are removed\n", (long long)days,
                plural((size_t)days));
    } else {
        fputs("  posts are kept for ever\n", out);
    }
}

int check_run(const struct config *c, FILE *out, FILE *errors)
{
    size_t mistakes = check_print_mistakes(c, errors);
    if (mistakes) {
        fprintf(errors, "%s: %zu mistake%s\n", config_path(c), mistakes, plural(mistakes));
        return 2;
    }
    fprintf(out, "%s is right.\n", config_path(c));
    if (!config_first(c, "source")) {
        fputs("It has no [source NAME] section: roost listen will not run with it.\n", out);
    }
    if (!config_first(c, "sink")) {
        fputs("It has no [sink NAME] section: roost etl will not run with it.\n", out);
    }
    for (const struct config_section *s = config_first(c, "source"); s; s = config_next(s)) {
        if (print_source(c, config_section_settings(s), out, errors)) {
            return 1;
        }
    }
    print_bridge(c, out);
    print_etl(c, out);
    for (const struct config_section *s = config_first(c, "sink"); s; s = config_next(s)) {
        fprintf(out, "\n[sink %s] %s\n", config_section_name(s), config_section_type(s));
        if (is_postgres(s)) {
            print_keep(config_section_settings(s), out);
        }
    }
    return 0;
}

static int check_command_run(int argc, char **argv)
{
    const char *path = kinds_path(&check_command, argc, argv);
    if (!path) {
        return 2;
    }
    struct config *c = config_load(path, all_kinds, all_kind_count);
    if (!c) {
        fputs("roost: out of memory\n", stderr);
        return 1;
    }
    int status = check_run(c, stdout, stderr);
    config_free(c);
    return status;
}

const struct command check_command = {
    .name = "check",
    .usage = "check [-c FILE]",
    .help = "Reads the configuration with its keyword and secret files and names all mistakes; offline. If "
            "there are\n"
            "none, it says how each keyword line was understood, which phrase the server is asked for, what "
            "is beyond\n"
            "the server, and what the sections amount to. No secret is shown.\n\n"
            "    -c FILE   the configuration (default /etc/roost/roost.conf)\n",
    .run = check_command_run,
};
