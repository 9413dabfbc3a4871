/* ingest/settings.h - the key tables of [source NAME] and [filter], and what they amount to for each source.
 *
 * After config_load without mistakes every source's settings are complete: its keywords, languages and flags
 * are worked out from its own section and [filter], so that nobody else has to know which of the two said
 * what. Everything belongs to the config.
 */
#ifndef ROOST_INGEST_SETTINGS_H
#define ROOST_INGEST_SETTINGS_H

#include "config/config.h"
#include "text/keyword.h"

#include <stdint.h>

/* auto: the local filter does what the server cannot; yes: all of it again; no: nothing. */
enum filter_local { FILTER_LOCAL_AUTO, FILTER_LOCAL_YES, FILTER_LOCAL_NO };

struct filter_keyword {
    struct keyword keyword;    /* keyword.line is the text as written */
    struct config_place place; /* the line of the keyword file, or the line of the key `keywords` */
};

/* What one source wants. */
struct filter_settings {
    const struct filter_keyword *keywords; /* `keywords` first, then `keywords_file`, in their order */
    size_t keyword_count;
    const char *const *languages; /* canonical (config/language.h), none twice; none: all languages */
    size_t language_count;
    bool retweets, replies, quotes; /* wanted */
    int local_filter;               /* enum filter_local */
    uint32_t sample;                /* share of all posts that is wanted, in millionths; 0: all */
    bool broken;                    /* a mistake was reported in the keywords: the list is not whole */
};

/* The keys that [filter] and a source have in common, as written. */
struct filter_keys {
    struct config_list keywords;
    char *keywords_file;
    struct config_list languages;
    bool watch; /* a change of keywords_file is read as on SIGHUP; a source's is worked out, as in `filter` */
    bool retweets, replies, quotes;
    int local_filter;
    char *sample; /* "10%"; NULL: not given */
};

/* [filter]: config_settings(c, "filter"). */
struct filter_section_settings {
    struct filter_keys keys;
    struct filter_settings filter;
};

/* What every [source NAME] has; the struct of a type begins with it. */
struct source_settings {
    const char *name; /* the section's */
    const char *type; /* "x-v1", "x-v2" */
    /* x-v1: the stream's full address; x-v2: the API's base without a slash at its end, never NULL. Checked:
     * http or https, with a host, without a user in it. */
    char *url;
    char
        *bearer_token; /* NULL for x-v1; x-v2: NULL when there are api_key and api_secret to fetch one with */
    bool store_raw;
    bool tls_insecure_accept_any_certificate;
    int64_t change_interval; /* x-v1: milliseconds between the last request for a stream and one because of a
                                change of the configuration; 0: the network's */
    int64_t stall_timeout;   /* milliseconds without a byte after which a stream is given up */
    struct filter_keys keys;
    struct filter_settings filter; /* its own, or what [filter] says: the one to use */
};

struct source_x_v1_settings {
    struct source_settings common;
    char *api_key, *api_secret, *access_token, *access_secret;
    bool delimited;      /* ask for delimited=length */
    bool stall_warnings; /* ask for stall_warnings=true */
};

struct source_x_v2_settings {
    struct source_settings common;
    char *api_key, *api_secret; /* both or none */
    int64_t rule_length;        /* characters of one rule, at most */
    int64_t rules_maximum;      /* rules that the account may have */
    int64_t backfill_minutes;   /* asked for when a stream is opened again; 0: not sent */
};

/* `track` takes at most this many phrases (API document, section 1.3); more are a mistake. */
enum { SOURCE_X_V1_KEYWORDS_MAXIMUM = 400 };

extern const struct config_kind
    source_kind; /* config_first(c, "source") gives each; settings begin with source_settings */
extern const struct config_kind filter_kind;

/* The address of a server: http or https, with a host; no user and no fragment in it. 0, or -1 with what
 * would be right, without the address. */
int source_check_url(const char *url, struct err *why);

#endif
