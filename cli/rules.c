/* cli/rules.c - `roost rules`: the rules that keyword lines become on X's v2 API, and the account's made so.
 */
#include "cli/rules.h"

#include "base/json.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/kinds.h"
#include "ingest/x_v2_rules.h"

#include <getopt.h>
#include <stdlib.h>

enum verb { SHOW, PLAN, APPLY };

enum { LINES_SHOWN = 8, JSON_MAXIMUM = 64 * 1024 * 1024 };

struct options {
    enum verb verb;
    const char *path, *source; /* source NULL: all */
    bool json;
};

/* One source's conversation with its server. */
struct talk {
    const struct source_x_v2_settings *source;
    const struct options *options;
    struct log_context context;
    uv_loop_t loop;
    struct x_v2_api *api;
    const struct rules *rules;
    struct x_v2_rules *job;
    int status;
};

static const struct log_context context = {"rules", NULL};

/* --- show --- */

static void print_places(const struct rules *rules, const struct rule *rule)
{
    size_t shown = rule->line_count <= LINES_SHOWN ? rule->line_count : LINES_SHOWN;
    for (size_t i = 0; i < shown; i++) {
        struct config_place place = rules->filter->keywords[rule->lines[i]].place;
        printf("%s%s:%u", i ? ", " : "      from ", rules_file_name(place.file), place.line);
    }
    if (rule->line_count > shown) {
        printf(" and %zu more lines", rule->line_count - shown);
    }
    putchar('\n');
}

static void add_places(struct buffer *b, const struct rules *rules, const struct rule *rule)
{
    for (size_t i = 0; i < rule->line_count; i++) {
        const struct filter_keyword *k = &rules->filter->keywords[rule->lines[i]];
        buffer_add_text(b, i ? ",{\"file\":" : "{\"file\":");
        json_add_string(b, view_of(k->place.file));
        buffer_print(b, ",\"line\":%u,\"keyword\":", k->place.line);
        json_add_string(b, k->keyword.line);
        buffer_add_byte(b, '}');
    }
}

/* A line of JSON for each rule. -1: memory is out. */
static int show_json(const struct rules *rules)
{
    struct buffer b = BUFFER(JSON_MAXIMUM);
    int result = 0;
    for (size_t i = 0; result == 0 && i < rules->count; i++) {
        const struct rule *rule = &rules->items[i];
        buffer_reset(&b);
        buffer_add_text(&b, "{\"source\":");
        json_add_string(&b, view_of(rules->source));
        buffer_add_text(&b, ",\"tag\":");
        json_add_string(&b, rule->tag);
        buffer_add_text(&b, ",\"value\":");
        json_add_string(&b, rule->value);
        buffer_print(&b, ",\"length\":%zu,\"raw\":%s,\"keywords\":[", rule->length,
                     rule->raw ? "true" : "false");
        add_places(&b, rules, rule);
        buffer_add_text(&b, "]}\n");
        result = buffer_failed(&b) ? -1 : 0;
        fwrite(b.data, 1, result ? 0 : b.length, stdout);
    }
    buffer_free(&b);
    return result;
}

static int show(const struct rules *rules, bool json)
{
    if (json) {
        return show_json(rules) ? 1 : 0;
    }
    printf("[source %s]\n", rules->source);
    rules_print_packing(rules, stdout);
    for (size_t i = 0; i < rules->count; i++) {
        const struct rule *rule = &rules->items[i];
        printf("  rule %zu, %zu characters, tag %.*s\n      %.*s\n", i + 1, rule->length,
               VIEW_PRINT(rule->tag), VIEW_PRINT(rule->value));
        print_places(rules, rule);
    }
    return 0;
}

/* --- plan and apply --- */

/* A tag or value of another program may hold anything. */
static void print_harmless(const char *before, struct view text)
{
    fputs(before, stdout);
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.at[i];
        putchar(c < ' ' || c == 0x7F ? '?' : c);
    }
}

static void print_held(const char *verb, const struct rules_held *held)
{
    print_harmless(verb, held->id);
    print_harmless(" ", view_absent(held->tag) ? VIEW("(no tag)") : held->tag);
    print_harmless("\n      ", held->value);
    putchar('\n');
}

static void print_difference(const struct x_v2_rules_state *state)
{
    const struct rules_change *change = &state->change;
    for (size_t i = 0; i < change->add_count; i++) {
        const struct rule *rule = &state->rules->items[change->add[i]];
        printf("  + add %.*s\n      %.*s\n", VIEW_PRINT(rule->tag), VIEW_PRINT(rule->value));
        print_places(state->rules, rule);
    }
    for (size_t i = 0; i < change->remove_count; i++) {
        print_held("  - delete ", &state->held[change->remove[i]]);
    }
    for (size_t i = 0; i < change->foreign_count; i++) {
        print_held("  = left to another program ", &state->held[change->foreign[i].held]);
    }
    if (change->gaps) {
        printf("  note: the account has no room for old and new rules together: %zu are deleted just before "
               "what "
               "replaces them is added\n",
               change->gaps);
    }
}

static void on_planned(void *user, const struct x_v2_rules_state *state)
{
    const struct talk *t = user;
    const struct rules_change *change = &state->change;
    printf("[source %s] %zu rules wanted; on the server %zu, %zu of them of other programs\n",
           t->rules->source, t->rules->count, state->held_count, change->others);
    print_difference(state);
    if (!change->add_count && !change->remove_count) {
        puts("  no difference");
        return;
    }
    printf("  %zu to add, %zu to delete, %zu stay\n", change->add_count, change->remove_count,
           change->keep_count + change->foreign_count);
    fflush(stdout);
}

static void on_refused(void *user, const struct x_v2_rules_refusal *refusal)
{
    const struct talk *t = user;
    x_v2_rules_log_refusal(&t->context, t->rules, refusal);
}

static void on_end(void *user, const struct x_v2_rules_result *result)
{
    struct talk *t = user;
    if (result->result) {
        t->status = err_exit_status(&result->e);
        log_error(&t->context, "%s", result->e.text);
    }
    if (result->changed) {
        printf("[source %s] %zu added, %zu deleted%s\n", t->rules->source, result->added, result->removed,
               result->result ? ", then it failed" : "");
    }
    x_v2_rules_free(t->job);
    t->job = NULL;
    x_v2_api_free(t->api, NULL, NULL);
}

static void on_wait(void *user, int64_t ms, const char *why)
{
    const struct talk *t = user;
    log_warning(&t->context, "%s; trying again in %.1f s", why, (double)ms / 1000.0);
}

/* Returns the exit status. */
static int talk_to_server(const struct options *o, const struct source_x_v2_settings *source,
                          const struct rules *rules)
{
    struct talk t = {
        .source = source, .options = o, .context = {"rules", source->common.name}, .rules = rules};
    const struct x_v2_account account = x_v2_account_of(source);
    const struct x_v2_rules_events events = {
        .planned = on_planned, .refused = on_refused, .end = on_end, .user = &t};
    struct err e;
    if (account.accept_any_certificate) {
        log_warning(&t.context, "tls_insecure_accept_any_certificate = yes: anybody may be %s", account.url);
    }
    if (uv_loop_init(&t.loop)) {
        log_error(&t.context, "the event loop cannot start: memory or files are out");
        return 1;
    }
    t.api = x_v2_api_new(&t.loop, &account, &x_v2_patience_usual, on_wait, &t, &e);
    t.job = t.api ? x_v2_rules_start(t.api, rules, o->verb == APPLY ? X_V2_RULES_APPLY : X_V2_RULES_PLAN,
                                     &events, &e)
                  : NULL;
    if (!t.job) {
        log_error(&t.context, "%s", e.text);
        t.status = err_exit_status(&e);
        x_v2_api_free(t.api, NULL, NULL);
    }
    uv_run(&t.loop, UV_RUN_DEFAULT);
    uv_loop_close(&t.loop);
    return t.status;
}

/* --- the command --- */

static int run_source(const struct options *o, const struct source_x_v2_settings *source)
{
    struct err e;
    struct rules *rules = rules_of_source(source, &e);
    if (!rules) {
        log_error(&context, "%s", e.text);
        return err_exit_status(&e);
    }
    int status = o->verb == SHOW ? show(rules, o->json) : talk_to_server(o, source, rules);
    rules_free(rules);
    return status;
}

static int run_sources(const struct options *o, const struct config *c)
{
    int status = 0;
    size_t count = 0;
    for (const struct config_section *s = config_first(c, "source"); s; s = config_next(s)) {
        bool named = !o->source || !strcmp(o->source, config_section_name(s));
        const char *type = config_section_type(s);
        if (named && type && !strcmp(type, "x-v2")) {
            int one = run_source(o, config_section_settings(s));
            status = one > status ? one : status;
            count++;
        }
    }
    if (!count) {
        log_error(&context, "%s: there is no [source %s] of type x-v2, and other types have no rules",
                  o->path, o->source ? o->source : "NAME");
        return 2;
    }
    if (fflush(stdout) && !status) {
        log_error(&context, "cannot write to standard output");
        status = 1;
    }
    return status;
}

static int read_options(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"source", required_argument, NULL, 's'},
                                            {"json", no_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    static const char *const verbs[] = {[SHOW] = "show", [PLAN] = "plan", [APPLY] = "apply"};
    optind = 1;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":c:", options, NULL)) != -1;) {
        switch (option) {
        case 'c':
            o->path = optarg;
            break;
        case 's':
            o->source = optarg;
            break;
        case 'j':
            o->json = true;
            break;
        default:
            return command_misuse(&rules_command, "%s is not understood", argv[optind - 1]);
        }
    }
    const char *verb = argc - optind == 1 ? argv[optind] : "";
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (!strcmp(verb, verbs[i])) {
            o->verb = (enum verb)i;
            return o->json && o->verb != SHOW ? command_misuse(&rules_command, "--json goes with show") : 0;
        }
    }
    return command_misuse(&rules_command, "one of \"show\", \"plan\" and \"apply\" is wanted");
}

static int rules_run(int argc, char **argv)
{
    static const char *const used[] = {"source", "filter", NULL};
    struct options o = {.path = "/etc/roost/roost.conf"};
    if (read_options(argc, argv, &o)) {
        return 2;
    }
    struct config *c = kinds_load(o.path, used);
    if (!c) {
        return 2;
    }
    int status = run_sources(&o, c);
    config_free(c);
    return status;
}

const struct command rules_command = {
    .name = "rules",
    .usage = "rules show|plan|apply [-c FILE] [--source NAME] [--json]",
    .help =
        "The rules that the keyword lines of x-v2 sources become, and those on the server.\n\n"
        "    show           the rules and the lines they come from; offline\n"
        "    plan           what would be added and deleted on the server; changes nothing\n"
        "    apply          makes it so: a dry run first, then additions, then deletions. Rules of other\n"
        "                   programs on the account are never touched\n"
        "    --source NAME  of this source alone (default: of all sources of type x-v2)\n"
        "    --json         with show: a line of JSON for each rule\n"
        "    -c FILE        the configuration (default /etc/roost/roost.conf)\n\n"
        "Exit status: 0, also when plan finds a difference (its last line says so); 1 the server cannot be\n"
        "reached or asks for a longer wait; 2 the configuration or the credentials are wrong, or X refuses "
        "a\n"
        "rule.\n",
    .run = rules_run,
};
