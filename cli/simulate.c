#include "cli/simulate.h"

#include "base/file.h"
#include "base/log.h"
#include "base/number.h"
#include "cli/command.h"
#include "simulator/fault.h"
#include "simulator/posts.h"
#include "simulator/rule_store.h"
#include "simulator/sample.h"
#include "simulator/simulator.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum option_code {
    OPTION_LISTEN = 1000,
    OPTION_API,
    OPTION_BEARER_TOKEN,
    OPTION_ACCESS,
    OPTION_USAGE_CAP,
    OPTION_RULES,
    OPTION_RULE_LENGTH,
    OPTION_RULE_DELAY,
    OPTION_CONNECTIONS,
    OPTION_SECOND_CONNECTION,
    OPTION_NAMES,
    OPTION_FILE,
    OPTION_CONTROL,
    OPTION_SAMPLE_COUNT,
    OPTION_PRINT_SAMPLE,
    OPTION_SEED,
    OPTION_RATE,
    OPTION_SPEED,
    OPTION_WAIT,
    OPTION_LOOP,
    OPTION_TOTAL,
    OPTION_AT_END,
    OPTION_FRESH_IDS,
    OPTION_RECORDED_IDS,
    OPTION_API_KEY,
    OPTION_API_SECRET,
    OPTION_ACCESS_TOKEN,
    OPTION_ACCESS_SECRET,
    OPTION_NO_AUTH,
    OPTION_NO_FILTER,
    OPTION_CUT_AFTER,
    OPTION_REPEAT,
    OPTION_KEEP_ALIVE,
    OPTION_CHUNK,
    OPTION_QUEUE,
    OPTION_LIMIT_RATE,
    OPTION_ANSWER,
    OPTION_MAX_CONNECTS,
    OPTION_TLS,
    OPTION_TLS_CERTIFICATE,
    OPTION_TLS_KEY,
    OPTION_TLS_WRITE,
    OPTION_FAULTS,
    OPTION_FAULTS_RANDOM,
    OPTION_FAULTS_COUNT,
    OPTION_FAULTS_OVER,
    OPTION_FAULTS_WITHOUT,
    OPTION_FAULTS_PRINT,
    OPTION_HELP
};

static const struct option OPTIONS[] = {
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"api", required_argument, NULL, OPTION_API},
    {"bearer-token", required_argument, NULL, OPTION_BEARER_TOKEN},
    {"access", required_argument, NULL, OPTION_ACCESS},
    {"usage-cap", required_argument, NULL, OPTION_USAGE_CAP},
    {"rules", required_argument, NULL, OPTION_RULES},
    {"rule-length", required_argument, NULL, OPTION_RULE_LENGTH},
    {"rule-delay", required_argument, NULL, OPTION_RULE_DELAY},
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"second-connection", required_argument, NULL, OPTION_SECOND_CONNECTION},
    {"names", required_argument, NULL, OPTION_NAMES},
    {"file", required_argument, NULL, OPTION_FILE},
    {"control", required_argument, NULL, OPTION_CONTROL},
    {"sample-count", required_argument, NULL, OPTION_SAMPLE_COUNT},
    {"print-sample", required_argument, NULL, OPTION_PRINT_SAMPLE},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"speed", required_argument, NULL, OPTION_SPEED},
    {"wait", no_argument, NULL, OPTION_WAIT},
    {"loop", no_argument, NULL, OPTION_LOOP},
    {"total", required_argument, NULL, OPTION_TOTAL},
    {"at-end", required_argument, NULL, OPTION_AT_END},
    {"fresh-ids", no_argument, NULL, OPTION_FRESH_IDS},
    {"recorded-ids", no_argument, NULL, OPTION_RECORDED_IDS},
    {"api-key", required_argument, NULL, OPTION_API_KEY},
    {"api-secret", required_argument, NULL, OPTION_API_SECRET},
    {"access-token", required_argument, NULL, OPTION_ACCESS_TOKEN},
    {"access-secret", required_argument, NULL, OPTION_ACCESS_SECRET},
    {"no-auth", no_argument, NULL, OPTION_NO_AUTH},
    {"no-filter", no_argument, NULL, OPTION_NO_FILTER},
    {"cut-after", required_argument, NULL, OPTION_CUT_AFTER},
    {"repeat", required_argument, NULL, OPTION_REPEAT},
    {"keep-alive", required_argument, NULL, OPTION_KEEP_ALIVE},
    {"chunk", required_argument, NULL, OPTION_CHUNK},
    {"queue", required_argument, NULL, OPTION_QUEUE},
    {"limit-rate", required_argument, NULL, OPTION_LIMIT_RATE},
    {"answer", required_argument, NULL, OPTION_ANSWER},
    {"max-connects", required_argument, NULL, OPTION_MAX_CONNECTS},
    {"tls", no_argument, NULL, OPTION_TLS},
    {"tls-certificate", required_argument, NULL, OPTION_TLS_CERTIFICATE},
    {"tls-key", required_argument, NULL, OPTION_TLS_KEY},
    {"tls-write", required_argument, NULL, OPTION_TLS_WRITE},
    {"faults", required_argument, NULL, OPTION_FAULTS},
    {"faults-random", required_argument, NULL, OPTION_FAULTS_RANDOM},
    {"faults-count", required_argument, NULL, OPTION_FAULTS_COUNT},
    {"faults-over", required_argument, NULL, OPTION_FAULTS_OVER},
    {"faults-without", required_argument, NULL, OPTION_FAULTS_WITHOUT},
    {"faults-print", no_argument, NULL, OPTION_FAULTS_PRINT},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0}};

static const char HELP[] =
    "X's streaming APIs on this machine, playing recorded messages: v1.1 (statuses/filter.json, "
    "statuses/sample.json)\n"
    "and v2 (the filtered stream and its rules).\n"
    "\n"
    "  --api 1|2|1,2             which API is served (1)\n"
    "  --listen ADDRESS:PORT     where to listen (127.0.0.1:8080); port 0: any free one, printed on stdout\n"
    "What is played\n"
    "  --file FILE               messages, one JSON object a line; without it: a sample of roost's own\n"
    "  --control FILE            more messages, spread evenly between the first\n"
    "  --sample-count N          messages in the sample (3000)\n"
    "  --seed N                  of the sample and of random chunks (1)\n"
    "  --fresh-ids               new ids and times whenever a message is sent (the default for the sample)\n"
    "  --recorded-ids            ids and times as they are in the file (the default for --file)\n"
    "  --print-sample N          print N messages of the sample and exit\n"
    "How fast and how long\n"
    "  --rate N                  N messages a second, whoever listens; without it: as fast as each client "
    "reads\n"
    "  --speed X                 by the messages' own times, X times as fast as they were posted\n"
    "  --wait                    with --rate or --speed: begin with the first connection\n"
    "  --loop                    begin again after the last message\n"
    "  --total N                 end after N messages in all\n"
    "  --at-end hold|close|exit  after the last message: keep the stream open (the default), close it, or "
    "exit as well\n"
    "Who may connect\n"
    "  --api-key KEY --api-secret SECRET --access-token TOKEN --access-secret SECRET\n"
    "                            the account; may be repeated for more. Without them the published one:\n"
    "                            " SIMULATOR_API_KEY " / " SIMULATOR_API_SECRET "\n"
    "                            " SIMULATOR_ACCESS_TOKEN " / " SIMULATOR_ACCESS_SECRET "\n"
    "  --no-auth                 let everybody in; the user of Basic authentication names the account\n"
    "API v2\n"
    "  --bearer-token TOKEN      of the (first) account's app; without it the published one:\n"
    "                            " SIMULATOR_BEARER_TOKEN "\n"
    "  --access free|pay|enterprise\n"
    "                            pay: 1,000 rules of 1,024 characters (the default); enterprise: 25,000 of "
    "2,048,\n"
    "                            two connections with --rate, backfill, recovery; free: no stream, 403\n"
    "  --usage-cap N             so many posts in a month (UTC), then 429 usage-capped\n"
    "  --rules N --rule-length N --connections N\n"
    "                            other limits than those of the access level\n"
    "  --rule-delay SECONDS      an added rule works after so long (0; on X about 20)\n"
    "  --second-connection refuse|replace\n"
    "                            one connection too many is answered 429 (the default), or ends the oldest\n"
    "  --names tweets|posts      posts: edit_history_post_ids, referenced_posts, note_post\n"
    "How it behaves\n"
    "  --no-filter               every message matches, whatever track and language say\n"
    "  --cut-after N             break each stream off in the middle of a message, after N whole ones\n"
    "  --repeat N                (v1.1) begin each stream with the last N messages before it again, as after "
    "a "
    "reconnection\n"
    "  --keep-alive SECONDS      an empty line after so long without data (30; API v2: 20)\n"
    "  --chunk N|random|message  HTTP chunks of N bytes, of random size, or one per message\n"
    "  --queue BYTES             kept for a client that reads too slowly, with --rate (4194304)\n"
    "  --limit-rate N            with --rate: deliver at most N messages a second, count the rest in limit "
    "messages\n"
    "  --answer STATUS[:COUNT]   answer with this HTTP status (the first COUNT requests only)\n"
    "  --max-connects N/MINUTES  answer 420 to more than N attempts of an account in so many minutes\n"
    "                            (API v2: 429, 50/15 without the option)\n"
    "TLS\n"
    "  --tls                     https with a certificate made here, for localhost and the address listened "
    "at\n"
    "  --tls-write FILE          write that certificate (PEM), for the client to trust\n"
    "  --tls-certificate FILE --tls-key FILE\n"
    "                            another one, PEM\n"
    "What goes wrong (docs/simulator.md has the table of faults)\n"
    "  --faults FILE             a script, one fault a line: message 100 cut how=reset\n"
    "  --faults-random SEED      a script made at random, the same for the same seed\n"
    "  --faults-count N --faults-over SECONDS\n"
    "                            how many random faults (10) within how long (60)\n"
    "  --faults-without FAULT,...\n"
    "                            kinds that are left out of it\n"
    "  --faults-print            print the script of --faults or --faults-random and exit\n"
    "  --help                    this text\n"
    "\n"
    "Exit status: 0 stopped by a signal or played out, 1 failed (port in use), 2 wrong arguments. See "
    "docs/simulator.md.\n";

enum { ACCOUNTS_MAX = 100 };

struct arguments {
    struct simulator_options options;
    struct oauth_account accounts[ACCOUNTS_MAX];
    size_t given[4]; /* how often each of the four options of an account came */
    int fresh;       /* 1 fresh, 0 recorded, -1 not said */
    bool faults_random, faults_print;
    uint64_t faults_seed;
    size_t faults_count, faults_over;
    const char *faults_without;
    struct buffer faults; /* the script */
    int64_t print_sample;
    size_t rules, rule_length, connections; /* 0: not said */
    bool help;
};

static int wrong(const char *option, const char *value, const char *right)
{
    fprintf(stderr, "roost simulate: --%s %s: %s\n", option, value, right);
    return -1;
}

static int read_number(const char *option, const char *value, int64_t min, int64_t max, int64_t *into)
{
    if (number_parse(view_of(value), min, max, into) < 0) {
        char right[80];
        snprintf(right, sizeof right, "a whole number from %lld to %lld is needed", (long long)min,
                 (long long)max);
        return wrong(option, value, right);
    }
    return 0;
}

static int read_real(const char *option, const char *value, double min, double max, double *into)
{
    char *end;
    errno = 0;
    *into = strtod(value, &end);
    if (errno || end == value || *end || !(*into >= min && *into <= max)) {
        char right[80];
        snprintf(right, sizeof right, "a number from %g to %.15g is needed", min, max);
        return wrong(option, value, right);
    }
    return 0;
}

static int read_chunk(const char *value, struct simulator_options *o)
{
    if (strcmp(value, "random") == 0) {
        o->chunks = WIRE_RANDOM;
        return 0;
    }
    if (strcmp(value, "message") == 0) {
        o->chunks = WIRE_MESSAGES;
        return 0;
    }
    int64_t size;
    if (number_parse(view_of(value), 1, 1 << 30, &size) < 0) {
        return wrong("chunk", value, "a number of bytes, random or message is needed");
    }
    o->chunks = WIRE_FIXED;
    o->chunk_size = (size_t)size;
    return 0;
}

static int read_at_end(const char *value, enum simulator_end *end)
{
    static const char *const names[] = {"hold", "close", "exit"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(value, names[i]) == 0) {
            *end = (enum simulator_end)i;
            return 0;
        }
    }
    return wrong("at-end", value, "hold, close or exit is needed");
}

/* "503" or "503:3" */
static int read_answer(const char *value, struct simulator_options *o)
{
    const char *colon = strchr(value, ':');
    size_t length = colon ? (size_t)(colon - value) : strlen(value);
    int64_t status, count = 0;
    if (number_parse(view_make(value, length), 400, 599, &status) < 0 ||
        (colon && number_parse(view_of(colon + 1), 1, INT64_MAX, &count) < 0)) {
        return wrong("answer", value,
                     "an HTTP status from 400 to 599 is needed, with :COUNT if not for ever");
    }
    o->answer_status = (int)status;
    o->answer_count = (uint64_t)count;
    return 0;
}

/* "5/15": five attempts in fifteen minutes */
static int read_max_connects(const char *value, struct simulator_options *o)
{
    const char *slash = strchr(value, '/');
    int64_t attempts, minutes = 0;
    if (!slash || number_parse(view_make(value, (size_t)(slash - value)), 1, 100000, &attempts) < 0 ||
        number_parse(view_of(slash + 1), 1, 100000, &minutes) < 0) {
        return wrong("max-connects", value, "attempts/minutes are needed, as 5/5");
    }
    o->max_connects = (uint32_t)attempts;
    o->connect_minutes = (uint32_t)minutes;
    return 0;
}

/* The n-th of each of the four options together are the n-th account. */
static int read_account(struct arguments *c, int code, const char *value)
{
    size_t which = (size_t)(code - OPTION_API_KEY), at = c->given[which];
    if (at == ACCOUNTS_MAX || !*value) {
        fprintf(stderr, "roost simulate: at most %d accounts, no part of one empty\n", ACCOUNTS_MAX);
        return -1;
    }
    c->given[which]++;
    const char **parts[] = {&c->accounts[at].api_key, &c->accounts[at].api_secret,
                            &c->accounts[at].access_token, &c->accounts[at].access_secret};
    *parts[which] = value;
    return 0;
}

/* "1", "2" or "1,2" */
static int read_api(const char *value, struct simulator_options *o)
{
    bool both = strcmp(value, "1,2") == 0;
    o->api_1 = both || strcmp(value, "1") == 0;
    o->api_2 = both || strcmp(value, "2") == 0;
    return o->api_1 || o->api_2 ? 0 : wrong("api", value, "1, 2 or 1,2 is needed");
}

/* One of two words; 1 for the second. */
static int read_either(const char *option, const char *value, const char *first, const char *second,
                       bool *into)
{
    char right[80];
    *into = strcmp(value, second) == 0;
    if (*into || strcmp(value, first) == 0) {
        return 0;
    }
    snprintf(right, sizeof right, "%s or %s is needed", first, second);
    return wrong(option, value, right);
}

static int read_size(const char *option, const char *value, int64_t most, size_t *into)
{
    int64_t number;
    if (read_number(option, value, 1, most, &number) < 0) {
        return -1;
    }
    *into = (size_t)number;
    return 0;
}

static int read_api2(struct arguments *c, int code, const char *value)
{
    struct simulator_options *o = &c->options;
    double seconds = 0;
    int64_t cap = 0;
    switch (code) {
    case OPTION_API:
        return read_api(value, o);
    case OPTION_BEARER_TOKEN:
        o->bearer_token = value;
        return 0;
    case OPTION_ACCESS:
        o->not_enrolled = strcmp(value, "free") == 0;
        o->enterprise = false;
        return o->not_enrolled ? 0 : read_either("access", value, "pay", "enterprise", &o->enterprise);
    case OPTION_USAGE_CAP:
        if (read_number("usage-cap", value, 1, INT64_MAX, &cap) < 0) {
            return -1;
        }
        o->usage_cap = (uint64_t)cap;
        return 0;
    case OPTION_RULES:
        return read_size("rules", value, RULE_STORE_MOST, &c->rules);
    case OPTION_RULE_LENGTH:
        return read_size("rule-length", value, RULE_STORE_LENGTH_MOST, &c->rule_length);
    case OPTION_RULE_DELAY:
        if (read_real("rule-delay", value, 0, 86400, &seconds) < 0) {
            return -1;
        }
        o->rule_delay_ms = llround(seconds * 1000);
        return 0;
    case OPTION_CONNECTIONS:
        return read_size("connections", value, SIMULATOR_CONNECTIONS_MAX, &c->connections);
    case OPTION_SECOND_CONNECTION:
        return read_either("second-connection", value, "refuse", "replace", &o->second_replaces);
    default: /* OPTION_NAMES */
        return read_either("names", value, "tweets", "posts", &o->newer_names);
    }
}

/* What was not said follows from the access level ("About the X API", 2026). */
static void apply_access(struct arguments *c)
{
    struct simulator_options *o = &c->options;
    bool two = o->enterprise && (o->rate > 0 || o->speed > 0);
    o->rules_maximum = c->rules ? c->rules : o->enterprise ? 25000 : 1000;
    o->rule_length = c->rule_length ? c->rule_length : o->enterprise ? 2048 : 1024;
    o->connections = (unsigned)(c->connections ? c->connections : two ? 2 : 1);
}

static int read_what_is_played(struct arguments *c, int code, const char *value)
{
    struct simulator_options *o = &c->options;
    int64_t number = 0;
    switch (code) {
    case OPTION_FILE:
        o->file = value;
        return 0;
    case OPTION_CONTROL:
        o->control = value;
        return 0;
    case OPTION_SAMPLE_COUNT:
        if (read_number("sample-count", value, 1, SAMPLE_COUNT_MAX, &number) < 0) {
            return -1;
        }
        o->sample_count = (size_t)number;
        return 0;
    case OPTION_PRINT_SAMPLE:
        return read_number("print-sample", value, 1, SAMPLE_COUNT_MAX, &c->print_sample);
    case OPTION_SEED:
        if (read_number("seed", value, 0, INT64_MAX, &number) < 0) {
            return -1;
        }
        o->seed = (uint64_t)number;
        return 0;
    default: /* OPTION_FRESH_IDS, OPTION_RECORDED_IDS */
        c->fresh = code == OPTION_FRESH_IDS;
        return 0;
    }
}

static int read_pace(struct arguments *c, int code, const char *value)
{
    struct simulator_options *o = &c->options;
    int64_t number = 0;
    switch (code) {
    case OPTION_RATE:
        return read_real("rate", value, 0.001, 1e6, &o->rate);
    case OPTION_SPEED:
        return read_real("speed", value, 0.001, 1e6, &o->speed);
    case OPTION_WAIT:
        o->wait_for_client = true;
        return 0;
    case OPTION_LOOP:
        o->loop = true;
        return 0;
    case OPTION_TOTAL:
        if (read_number("total", value, 1, INT64_MAX, &number) < 0) {
            return -1;
        }
        o->total = (uint64_t)number;
        return 0;
    default: /* OPTION_AT_END */
        return read_at_end(value, &o->at_end);
    }
}

static int read_behaviour(struct arguments *c, int code, const char *value)
{
    struct simulator_options *o = &c->options;
    int64_t number = 0;
    double seconds = 0;
    switch (code) {
    case OPTION_LISTEN:
        o->listen = value;
        return 0;
    case OPTION_NO_AUTH:
        o->no_auth = true;
        return 0;
    case OPTION_NO_FILTER:
        o->no_filter = true;
        return 0;
    case OPTION_CUT_AFTER:
        if (read_number("cut-after", value, 1, INT64_MAX, &number) < 0) {
            return -1;
        }
        o->cut_after = (uint64_t)number;
        return 0;
    case OPTION_REPEAT:
        if (read_number("repeat", value, 1, SIMULATOR_REPEAT_MAX, &number) < 0) {
            return -1;
        }
        o->repeat = (size_t)number;
        return 0;
    case OPTION_KEEP_ALIVE:
        if (read_real("keep-alive", value, 0.001, 86400, &seconds) < 0) {
            return -1;
        }
        o->keep_alive_ms = o->keep_alive_v2_ms = llround(seconds * 1000);
        return 0;
    case OPTION_CHUNK:
        return read_chunk(value, o);
    case OPTION_QUEUE:
        if (read_number("queue", value, 1024, 1 << 29, &number) < 0) {
            return -1;
        }
        o->queue = (size_t)number;
        return 0;
    case OPTION_LIMIT_RATE:
        return read_real("limit-rate", value, 1, 1e6, &o->limit_rate);
    case OPTION_ANSWER:
        return read_answer(value, o);
    case OPTION_MAX_CONNECTS:
        return read_max_connects(value, o);
    default:
        c->help = true;
        return 0;
    }
}

static int read_tls(struct arguments *c, int code, const char *value)
{
    struct simulator_options *o = &c->options;
    const char **files[] = {&o->tls_certificate, &o->tls_key, &o->tls_write};
    o->tls = true;
    if (code != OPTION_TLS) {
        *files[code - OPTION_TLS_CERTIFICATE] = value;
    }
    return 0;
}

static int read_faults(struct arguments *c, int code, const char *value)
{
    int64_t number = 0;
    switch (code) {
    case OPTION_FAULTS:
        c->options.faults_name = value;
        return 0;
    case OPTION_FAULTS_RANDOM:
        c->faults_random = true;
        if (read_number("faults-random", value, 0, INT64_MAX, &number) < 0) {
            return -1;
        }
        c->faults_seed = (uint64_t)number;
        return 0;
    case OPTION_FAULTS_COUNT:
        return read_size("faults-count", value, FAULTS_MAX, &c->faults_count);
    case OPTION_FAULTS_OVER:
        return read_size("faults-over", value, 2592000, &c->faults_over);
    case OPTION_FAULTS_WITHOUT:
        c->faults_without = value;
        return 0;
    default: /* OPTION_FAULTS_PRINT */
        c->faults_print = true;
        return 0;
    }
}

static int read_option(struct arguments *c, int code, const char *value)
{
    if (code == '?') {
        return -1; /* getopt_long has said which */
    }
    if (code >= OPTION_API_KEY && code <= OPTION_ACCESS_SECRET) {
        return read_account(c, code, value);
    }
    if (code >= OPTION_API && code <= OPTION_NAMES) {
        return read_api2(c, code, value);
    }
    if (code >= OPTION_TLS && code <= OPTION_TLS_WRITE) {
        return read_tls(c, code, value);
    }
    if (code >= OPTION_FAULTS && code <= OPTION_FAULTS_PRINT) {
        return read_faults(c, code, value);
    }
    if (code >= OPTION_RATE && code <= OPTION_AT_END) {
        return read_pace(c, code, value);
    }
    if (code >= OPTION_FILE && code <= OPTION_RECORDED_IDS) {
        return read_what_is_played(c, code, value);
    }
    return read_behaviour(c, code, value);
}

static int read_arguments(struct arguments *c, int argc, char **argv)
{
    optind = 0; /* the program's own arguments were read with getopt before */
    int code, result = 0;
    while ((code = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
        result |= read_option(c, code, optarg);
    }
    if (optind < argc) {
        fprintf(stderr, "roost simulate: %s: only options are known here\n", argv[optind]);
        result = -1;
    }
    for (size_t i = 1; i < 4; i++) {
        if (c->given[i] != c->given[0]) {
            fprintf(stderr,
                    "roost simulate: an account needs all four of --api-key, --api-secret, --access-token, "
                    "--access-secret\n");
            return -1;
        }
    }
    struct simulator_options *o = &c->options;
    if (o->rate <= 0 && o->speed <= 0 && (o->wait_for_client || o->limit_rate > 0)) {
        fprintf(stderr, "roost simulate: --wait and --limit-rate need --rate or --speed\n");
        result = -1;
    }
    apply_access(c);
    o->accounts = c->accounts;
    o->account_count = c->given[0];
    o->fresh_ids = c->fresh < 0 ? !o->file : c->fresh;
    return result;
}

/* The sample's tweets as payloads of API v2, in place of its lines. */
static int turn_into_payloads(struct buffer *lines, struct err *e)
{
    struct playlist *list = playlist_from(lines, NULL, e);
    struct posts *posts = list ? posts_make(list, true, e) : NULL;
    for (size_t i = 0; posts && i < playlist_count(list); i++) {
        struct view payload = posts_at(posts, i)->payload;
        buffer_add_view(lines, payload);
        buffer_add_text(lines, payload.at ? "\n" : "");
    }
    int result = posts ? 0 : -1;
    posts_free(posts);
    playlist_free(list);
    return result;
}

static int print_sample(const struct arguments *c)
{
    struct err e;
    struct buffer lines = BUFFER((size_t)2 << 30);
    int status = 0;
    if (sample_write((size_t)c->print_sample, c->options.seed, SAMPLE_START_MS, &lines, &e) < 0 ||
        (c->options.api_2 && turn_into_payloads(&lines, &e) < 0)) {
        fprintf(stderr, "roost simulate: %s\n", e.text);
        status = err_exit_status(&e);
    } else if (fwrite(lines.data, 1, lines.length, stdout) != lines.length || fflush(stdout) != 0) {
        fprintf(stderr, "roost simulate: writing the sample: %s\n", strerror(errno));
        status = 1;
    }
    buffer_free(&lines);
    return status;
}

static int serve(struct simulator_options *options)
{
    struct err e;
    int status = 0;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    options->stop_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    struct simulator *simulator = simulator_open(options, &e);
    if (!simulator) {
        goto fail;
    }
    static const struct log_context context = {"simulate", NULL};
    log_info(&context, "%zu messages, %zu of them tweets", simulator_messages(simulator),
             simulator_tweets(simulator));
    printf("listening on %s://%s\n", options->tls ? "https" : "http", simulator_address(simulator));
    fflush(stdout);
    if (simulator_run(simulator, &e) < 0) {
        goto fail;
    }
    goto done;
fail:
    fprintf(stderr, "roost simulate: %s\n", e.text);
    status = err_exit_status(&e);
done:
    simulator_close(simulator);
    if (options->stop_fd >= 0) {
        close(options->stop_fd);
    }
    return status;
}

/* The script of the options as text, in c->faults. */
static int load_faults(struct arguments *c, struct err *e)
{
    if (c->faults_random && c->options.faults_name) {
        return err_set(e, ERR_FATAL, "either --faults or --faults-random");
    }
    if (c->options.faults_name && file_read(c->options.faults_name, &c->faults, e) < 0) {
        return -1;
    }
    if (c->faults_random && fault_script_random(c->faults_seed, c->faults_count, (unsigned)c->faults_over,
                                                c->faults_without, &c->faults, e) < 0) {
        return -1;
    }
    if (c->options.faults_name || c->faults_random) {
        c->options.faults = buffer_string(&c->faults);
    }
    return 0;
}

/* Read and written again, so that what is printed is what would be carried out. */
static int print_faults(const struct arguments *c, struct err *e)
{
    struct fault_script script = {0};
    struct buffer lines = BUFFER((size_t)64 << 20);
    const char *name = c->options.faults_name ? c->options.faults_name : "the random faults";
    int result = c->options.faults
                     ? fault_script_read(buffer_view(&c->faults), name, &script, e)
                     : err_set(e, ERR_FATAL, "--faults-print needs --faults or --faults-random");
    for (size_t i = 0; result == 0 && i < script.count; i++) {
        fault_print(&script.items[i], &lines);
        buffer_add_byte(&lines, '\n');
    }
    if (result == 0 && (fwrite(lines.data, 1, lines.length, stdout) != lines.length || fflush(stdout) != 0)) {
        result = err_set(e, ERR_RETRY, "writing the faults: %s", strerror(errno));
    }
    fault_script_free(&script);
    buffer_free(&lines);
    return result;
}

static int run_with_faults(struct arguments *c)
{
    struct err e;
    int status;
    if (load_faults(c, &e) < 0 || (c->faults_print && print_faults(c, &e) < 0)) {
        fprintf(stderr, "roost simulate: %s\n", e.text);
        status = err_exit_status(&e);
    } else {
        status = c->faults_print ? 0 : serve(&c->options);
    }
    buffer_free(&c->faults);
    return status;
}

int simulate_run(int argc, char **argv)
{
    struct arguments c = {.options = SIMULATOR_OPTIONS,
                          .fresh = -1,
                          .faults_count = 10,
                          .faults_over = 60,
                          .faults = BUFFER(16 << 20)};
    c.options.listen = "127.0.0.1:8080";
    if (read_arguments(&c, argc, argv) < 0) {
        fputs("Try: roost simulate --help\n", stderr);
        return 2;
    }
    if (c.help) {
        printf("usage: roost %s\n\n%s", simulate_command.usage, HELP);
        return 0;
    }
    return c.print_sample ? print_sample(&c) : run_with_faults(&c);
}

const struct command simulate_command = {
    .name = "simulate", .usage = "simulate [OPTION]...", .help = HELP, .run = simulate_run};
