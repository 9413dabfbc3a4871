/* cli/setup.c - `roost setup`: from an installed package to rows, in one go; safe to run again.
 *
 * Answers come from options or, on a terminal, from questions; then files, database, tables, reader,
 * services, first rows. Each step looks first whether it is done already. See DESIGN.md, "setup".
 */
#include "cli/setup.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/number.h"
#include "bridge/settings.h"
#include "cli/check.h"
#include "cli/command.h"
#include "cli/kinds.h"
#include "cli/migrate.h"
#include "ingest/settings.h"
#include "sinks/postgres.h"
#include "sinks/postgres_link.h"
#include "sinks/sinks.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MIGRATE_MS = 30 * 1000, ROWS_MS = 60 * 1000, WAIT_MOST_S = 3600, CONNINFO_MAXIMUM = 16 * 1024 };

/* --- the command line --- */

enum option_number {
    OPTION_FIRST = 256,
    OPTION_NETWORK,
    OPTION_URL,
    OPTION_KEYWORDS,
    OPTION_KEYWORDS_FILE,
    OPTION_LANGUAGES,
    OPTION_READER,
    OPTION_DATABASE,
    OPTION_ADMIN,
    OPTION_USER,
    OPTION_ETC_DIR,
    OPTION_WAIT,
    OPTION_REPLACE,
    OPTION_DRY_RUN,
    OPTION_NO_START,
    OPTION_YES,
    OPTION_SECRET /* and what follows: enum setup_secret */
};

static const struct option options[] = {
    {"network", required_argument, NULL, OPTION_NETWORK},
    {"url", required_argument, NULL, OPTION_URL},
    {"keywords", required_argument, NULL, OPTION_KEYWORDS},
    {"keywords-file", required_argument, NULL, OPTION_KEYWORDS_FILE},
    {"languages", required_argument, NULL, OPTION_LANGUAGES},
    {"reader", required_argument, NULL, OPTION_READER},
    {"database", required_argument, NULL, OPTION_DATABASE},
    {"admin", required_argument, NULL, OPTION_ADMIN},
    {"user", required_argument, NULL, OPTION_USER},
    {"etc-dir", required_argument, NULL, OPTION_ETC_DIR},
    {"wait", required_argument, NULL, OPTION_WAIT},
    {"replace", no_argument, NULL, OPTION_REPLACE},
    {"dry-run", no_argument, NULL, OPTION_DRY_RUN},
    {"no-start", no_argument, NULL, OPTION_NO_START},
    {"yes", no_argument, NULL, OPTION_YES},
    {"bearer-token-file", required_argument, NULL, OPTION_SECRET + SETUP_BEARER_TOKEN},
    {"api-key-file", required_argument, NULL, OPTION_SECRET + SETUP_API_KEY},
    {"api-secret-file", required_argument, NULL, OPTION_SECRET + SETUP_API_SECRET},
    {"access-token-file", required_argument, NULL, OPTION_SECRET + SETUP_ACCESS_TOKEN},
    {"access-secret-file", required_argument, NULL, OPTION_SECRET + SETUP_ACCESS_SECRET},
    {NULL, 0, NULL, 0}};

/* What the options say beside struct setup. */
struct given {
    const char *keywords, *keywords_file;
};

static int take_option(struct setup *s, struct given *g, int option)
{
    int64_t seconds;
    switch (option) {
    case OPTION_NETWORK:
        s->network = optarg;
        return 0;
    case OPTION_URL:
        s->url = optarg;
        return 0;
    case OPTION_KEYWORDS:
        g->keywords = optarg;
        return 0;
    case OPTION_KEYWORDS_FILE:
        g->keywords_file = optarg;
        return 0;
    case OPTION_LANGUAGES:
        s->languages = optarg;
        return 0;
    case OPTION_READER:
        s->reader = optarg;
        return 0;
    case OPTION_DATABASE:
        s->database = optarg;
        return 0;
    case OPTION_ADMIN:
        s->admin = optarg;
        return 0;
    case OPTION_USER:
        s->user = optarg;
        return 0;
    case OPTION_ETC_DIR:
        s->etc_dir = optarg;
        return 0;
    case OPTION_REPLACE:
        s->replace = true;
        return 0;
    case OPTION_DRY_RUN:
        s->dry_run = true;
        return 0;
    case OPTION_NO_START:
        s->no_start = true;
        return 0;
    case OPTION_YES:
        s->yes = true;
        return 0;
    case OPTION_WAIT:
        if (number_parse(view_of(optarg), 0, WAIT_MOST_S, &seconds)) {
            return -1;
        }
        s->wait_ms = seconds * 1000;
        return 0;
    default:
        s->secret_paths[option - OPTION_SECRET] = optarg;
        return 0;
    }
}

static int read_options(struct setup *s, struct given *g, int argc, char **argv)
{
    optind = 1;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (option == ':' || option == '?') {
            return command_misuse(&setup_command, option == ':' ? "%s needs a value" : "unknown option %s",
                                  argv[optind - 1]);
        }
        if (take_option(s, g, option)) {
            return command_misuse(&setup_command, "--wait %s: a number of seconds from 0 to %d is right",
                                  optarg, (int)WAIT_MOST_S);
        }
    }
    if (optind < argc) {
        return command_misuse(&setup_command,
                              "unexpected argument %s (secrets come from files, or are asked for)",
                              argv[optind]);
    }
    return 0;
}

/* --- what was given is looked at before anything is asked or done --- */

static int check_given(const char *option, const char *value, int (*check)(const char *, struct err *),
                       struct err *e)
{
    return value && value[0] && check(value, e) ? err_wrap(e, "%s", option) : 0;
}

static int check_url(const char *value, struct err *why)
{
    return setup_check_plain(value, why) ? -1 : source_check_url(value, why);
}

static int check_all_given(const struct setup *s, const struct given *g, struct err *e)
{
    if (check_given("--network", s->network, setup_check_network, e) ||
        check_given("--url", s->url, check_url, e) ||
        check_given("--keywords", g->keywords, setup_check_keywords, e) ||
        check_given("--languages", s->languages, setup_check_languages, e) ||
        check_given("--reader", s->reader, setup_check_name, e) ||
        check_given("--database", s->database, setup_check_name, e) ||
        check_given("--user", s->user, setup_check_name, e) ||
        check_given("--etc-dir", s->etc_dir, setup_check_plain, e)) {
        return -1;
    }
    if (s->admin && postgres_link_check(s->admin, NULL, e)) {
        return err_wrap(e, "--admin");
    }
    if (g->keywords && g->keywords_file) {
        return err_set(e, ERR_FATAL, "--keywords and --keywords-file are both given: one is enough");
    }
    if (s->etc_dir[0] != '/') {
        return err_set(e, ERR_FATAL, "--etc-dir %s: an absolute path is right", s->etc_dir);
    }
    return 0;
}

/* Other users' work needs root; a test that does all as one user does not. */
static int check_rights(const struct setup *s, struct err *e)
{
    const struct passwd *p = getpwnam(s->user);
    if (geteuid() == 0 || s->dry_run || (s->admin && p && p->pw_uid == geteuid())) {
        return 0;
    }
    return err_set(e, ERR_FATAL,
                   "it must be run as root: it writes %s, and works in PostgreSQL as users postgres and %s",
                   s->etc_dir, s->user);
}

/* --- questions --- */

/* Takes an answer that lives as long as the setup; NULL stays NULL. */
static const char *keep(struct setup *s, char *answer)
{
    if (answer) {
        s->kept[s->kept_count++] = answer;
    }
    return answer;
}

static const char *ask(struct setup *s, const char *question, const char *fallback,
                       int (*check)(const char *, struct err *), struct err *e)
{
    return keep(s, setup_ask_until(question, fallback, check, e));
}

static bool may_ask(const struct setup *s)
{
    return !s->yes && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

static int lacks(const char *what, const char *option, struct err *e)
{
    return err_set(e, ERR_FATAL, "%s is not given, and there is no terminal to ask on: give %s", what,
                   option);
}

static int find_network(struct setup *s, struct err *e)
{
    if (!s->network && may_ask(s)) {
        s->network = ask(s, "Which API: x-v2 (X's own) or x-v1 (a server that speaks Twitter's v1.1)? [x-v2]",
                         "x-v2", setup_check_network, e);
        return s->network ? 0 : -1;
    }
    return s->network ? 0 : lacks("the network", "--network x-v2 or --network x-v1", e);
}

static int find_url(struct setup *s, struct err *e)
{
    if (s->url || strcmp(s->network, "x-v1") != 0) {
        return 0;
    }
    if (may_ask(s)) {
        s->url = ask(s, "The stream's address (https://HOST/1.1/statuses/filter.json):", NULL, check_url, e);
        return s->url ? 0 : -1;
    }
    return lacks("the stream's address", "--url URL", e);
}

static int ask_secret(struct setup *s, enum setup_secret which, const char *question, struct err *e)
{
    return setup_ask(question, true, &s->secrets[which], e);
}

static int ask_secrets(struct setup *s, struct err *e)
{
    if (strcmp(s->network, "x-v1") == 0) {
        return ask_secret(s, SETUP_API_KEY, "API key (not shown):", e) ||
                       ask_secret(s, SETUP_API_SECRET, "API secret (not shown):", e) ||
                       ask_secret(s, SETUP_ACCESS_TOKEN, "Access token (not shown):", e) ||
                       ask_secret(s, SETUP_ACCESS_SECRET, "Access secret (not shown):", e)
                   ? -1
                   : 0;
    }
    if (ask_secret(s, SETUP_BEARER_TOKEN,
                   "The app's bearer token (not shown; empty: key and secret instead):", e)) {
        return -1;
    }
    return s->secrets[SETUP_BEARER_TOKEN].length == 0 &&
                   (ask_secret(s, SETUP_API_KEY, "API key (not shown):", e) ||
                    ask_secret(s, SETUP_API_SECRET, "API secret (not shown):", e))
               ? -1
               : 0;
}

static int find_secrets(struct setup *s, struct err *e)
{
    bool any = false;
    for (int i = 0; i < SETUP_SECRET_COUNT; i++) {
        const char *path = s->secret_paths[i];
        if (path && setup_read_secret(path, setup_secret_names[i], &s->secrets[i], e)) {
            return -1;
        }
        any |= path != NULL;
    }
    if (any) {
        return 0; /* what is lacking is a mistake of the configuration, which says so */
    }
    return may_ask(s)
               ? ask_secrets(s, e)
               : lacks("a secret",
                       "--bearer-token-file FILE, or the other --...-file options; - is standard input", e);
}

static int find_keywords(struct setup *s, const struct given *g, struct err *e)
{
    char *asked = NULL;
    if (g->keywords_file) {
        return file_read(g->keywords_file, &s->keywords, e);
    }
    if (!g->keywords && may_ask(s)) {
        asked = setup_ask_until("Keywords, comma separated (word, \"a phrase\", #tag, @name, -never):", NULL,
                                setup_check_keywords, e);
        if (!asked) {
            return -1;
        }
    }
    if (!g->keywords && !asked) {
        return lacks("a keyword", "--keywords LIST or --keywords-file FILE", e);
    }
    setup_keyword_lines(asked ? asked : g->keywords, &s->keywords);
    free(asked);
    return 0;
}

static int find_languages(struct setup *s, struct err *e)
{
    if (!s->languages && may_ask(s)) {
        s->languages =
            ask(s, "Languages, comma separated (en, es ...; empty: all):", "", setup_check_languages, e);
        return s->languages ? 0 : -1;
    }
    return 0;
}

static int find_reader(struct setup *s, struct err *e)
{
    const char *sudo = getenv("SUDO_USER");
    char question[200];
    if (!s->reader && may_ask(s)) {
        bool known = sudo && strlen(sudo) <= 63 && strcmp(sudo, "root") != 0;
        snprintf(question, sizeof question, "Which login may read the tables? [%s]", known ? sudo : "none");
        s->reader = ask(s, question, known ? sudo : "", setup_check_name, e);
        return s->reader ? 0 : -1;
    }
    return 0;
}

static int find_answers(struct setup *s, const struct given *g, struct err *e)
{
    return find_network(s, e) || find_url(s, e) || find_secrets(s, e) || find_keywords(s, g, e) ||
                   find_languages(s, e)
               ? -1
               : 0;
}

/* --- the configuration --- */

static int check_yes_no(const char *value, struct err *why)
{
    return strcmp(value, "yes") != 0 && strcmp(value, "no") != 0
               ? err_set(why, ERR_FATAL, "yes or no is right")
               : 0;
}

/* False: the person said no. */
static bool confirm(const struct setup *s, struct err *e)
{
    if (s->dry_run || !may_ask(s)) {
        return true;
    }
    char *answer = setup_ask_until("Write this, make the database and start the services? [yes]", "yes",
                                   check_yes_no, e);
    bool yes = answer && strcmp(answer, "yes") == 0;
    if (answer && !yes) {
        err_set(e, ERR_FATAL, "nothing was changed");
    }
    free(answer);
    return yes;
}

/* The database of the configuration that stays. *local: its server is this machine's, or one that --admin
 * says how to administer. */
static int read_database(struct setup *s, const struct config *c, bool *local, struct err *e)
{
    const struct config_section *section = config_first(c, "sink");
    while (section && strcmp(config_section_type(section), postgres_config.name) != 0) {
        section = config_next(section);
    }
    *local = section != NULL;
    if (!section) {
        return 0;
    }
    const struct postgres_settings *sink = config_section_settings(section);
    PQconninfoOption *parsed = PQconninfoParse(sink->conninfo, NULL);
    for (const PQconninfoOption *o = parsed; o && o->keyword; o++) {
        if (o->val && strcmp(o->keyword, "dbname") == 0) {
            s->database = keep(s, strdup(o->val));
        }
        if (o->val && !s->admin && (strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "hostaddr") == 0)) {
            *local = false;
        }
    }
    PQconninfoFree(parsed);
    return s->database ? 0 : err_set(e, ERR_RETRY, "out of memory");
}

/* One setup at a time: the lock is the folder's, and goes with the process. */
static int lock_folder(const struct setup *s, struct err *e)
{
    int fd = open(s->etc_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return err_set(e, ERR_FATAL, "cannot open the folder %s: %s", s->etc_dir, strerror(errno));
    }
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        close(fd);
        return err_set(e, ERR_RETRY, "another roost setup is at work on %s", s->etc_dir);
    }
    return fd;
}

static int make_configuration(struct setup *s, const struct given *g, bool *changed, struct err *e)
{
    *changed = false;
    if (setup_has_configuration(s) && !s->replace) {
        printf("%s/roost.conf is there already and stays as it is; --replace writes it anew\n", s->etc_dir);
        return find_reader(s, e);
    }
    if (find_answers(s, g, e) || find_reader(s, e)) {
        return -1;
    }
    struct setup trial = *s;
    trial.dry_run = true;
    if (setup_write_files(&trial, changed, e)) {
        return -1;
    }
    if (s->dry_run) {
        return 0;
    }
    return confirm(s, e) && setup_write_files(s, changed, e) == 0 ? 0 : -1;
}

/* --- the work --- */

struct migration {
    const char *path;
    const char *user;
};

/* As the services' user, whose tables they will be. */
static int migrate_main(void *context)
{
    const struct migration *m = context;
    static const char *const used[] = {"sink", NULL};
    struct config *c = kinds_load(m->path, used);
    int status = c ? migrate_sections(c, MIGRATE_MS) : 2;
    config_free(c);
    return status;
}

static int migrate_as_user(const struct setup *s, const char *path, struct err *e)
{
    struct migration work = {path, s->user};
    int status = setup_as(s->user, migrate_main, &work, e);
    if (status < 0) {
        return -1;
    }
    if (status) {
        return err_set(e, status == 2 ? ERR_FATAL : ERR_RETRY, "the tables could not be made");
    }
    printf("the tables are there\n");
    return 0;
}

static int systemctl(const char *const *arguments, struct err *e)
{
    int status = setup_run(arguments, NULL, e);
    if (status > 0) {
        err_set(e, ERR_RETRY, "roost.target could not be started: systemctl status roost.target says why");
    }
    return status ? -1 : 0;
}

/* As sd_booted(3) finds out. */
static bool systemd_runs(void)
{
    struct stat there;
    return lstat("/run/systemd/system", &there) == 0 && S_ISDIR(there.st_mode);
}

/* *started: the services run now. */
static int start(const struct setup *s, bool changed, bool *started, struct err *e)
{
    static const char *const enable[] = {"systemctl", "--quiet", "enable", "--now", "roost.target", NULL};
    static const char *const restart[] = {"systemctl", "restart", "roost.target", NULL};
    *started = false;
    if (s->no_start) {
        return 0;
    }
    if (!systemd_runs()) {
        printf("there is no systemd here; with it, this would start the services: systemctl enable --now "
               "roost.target\n");
        return 0;
    }
    if (systemctl(enable, e) || (changed && systemctl(restart, e))) {
        return -1;
    }
    printf("started roost.target\n");
    *started = true;
    return 0;
}

static int show_rows(const struct setup *s, const struct config *c, struct err *e)
{
    const struct config_section *section = config_first(c, "sink");
    while (section && strcmp(config_section_type(section), postgres_config.name) != 0) {
        section = config_next(section);
    }
    if (!section) {
        return 0;
    }
    const struct postgres_settings *sink = config_section_settings(section);
    size_t rows;
    printf("the newest posts (waiting for the first ones, up to %lld s):\n", (long long)s->wait_ms / 1000);
    if (setup_print_rows(s, sink->conninfo, s->wait_ms, &rows, e)) {
        return -1;
    }
    if (rows == 0) {
        printf("    none yet: journalctl -u roost-listen -u roost-etl says what is going on\n");
    }
    return 0;
}

static void say_plan(const struct setup *s, bool has)
{
    printf("nothing was changed (--dry-run). It would:\n");
    if (!has || s->replace) {
        printf("    write the files shown above, mode 0640, group of user %s\n", s->user);
    }
    printf("    make the role %s and the database %s in PostgreSQL, where they are missing\n", s->user,
           s->database);
    printf("    run roost migrate as user %s\n", s->user);
    if (s->reader && s->reader[0]) {
        printf("    make the role roost_reader, and let %s read\n", s->reader);
    }
    if (!s->no_start) {
        printf("    systemctl enable --now roost.target, and show the first rows\n");
    }
}

/* With the configuration that is in force now. */
static int do_work(struct setup *s, bool changed, struct err *e)
{
    char *path = setup_path(s, "roost.conf");
    static const char *const used[] = {"sink", NULL};
    struct config *c = path ? kinds_load(path, used) : NULL;
    bool local = false, started = false;
    int rc = c ? read_database(s, c, &local, e)
               : err_set(e, ERR_FATAL, "%s has mistakes: mend them, or let --replace write it anew", path);
    if (rc == 0 && local) {
        rc = setup_make_database(s, e) || migrate_as_user(s, path, e) ||
                     (s->reader && s->reader[0] && setup_let_read(s, e))
                 ? -1
                 : 0;
    } else if (rc == 0) {
        printf("the configuration's database is on another server, or none: --admin CONNINFO would say how "
               "to make it\n");
        rc = migrate_as_user(s, path, e);
    }
    if (rc == 0) {
        rc = start(s, changed, &started, e) || (started && show_rows(s, c, e)) ? -1 : 0;
    }
    config_free(c);
    free(path);
    return rc;
}

static int setup_with(struct setup *s, const struct given *g, struct err *e)
{
    bool changed = false;
    if (check_all_given(s, g, e) || check_rights(s, e)) {
        return -1;
    }
    if (!s->dry_run && file_make_folder(s->etc_dir, e)) {
        return -1;
    }
    int lock = s->dry_run ? -1 : lock_folder(s, e);
    if (lock < 0 && !s->dry_run) {
        return -1;
    }
    int rc = make_configuration(s, g, &changed, e);
    if (rc == 0 && s->dry_run) {
        say_plan(s, setup_has_configuration(s));
    } else if (rc == 0) {
        rc = do_work(s, changed, e);
    }
    if (lock >= 0) {
        close(lock);
    }
    return rc;
}

static int setup_command_run(int argc, char **argv)
{
    struct setup s = {.etc_dir = "/etc/roost",
                      .user = "roost",
                      .database = "roost",
                      .keywords = BUFFER(SETUP_TEXT_MAXIMUM),
                      .wait_ms = ROWS_MS};
    struct given g = {NULL, NULL};
    struct err e;
    for (int i = 0; i < SETUP_SECRET_COUNT; i++) {
        s.secrets[i] = BUFFER(SETUP_SECRET_MAXIMUM);
    }
    if (read_options(&s, &g, argc, argv)) {
        return 2;
    }
    int rc = setup_with(&s, &g, &e);
    if (rc) {
        fflush(stdout);
        fprintf(stderr, "roost setup: %s\n", e.text);
    }
    for (int i = 0; i < SETUP_SECRET_COUNT; i++) {
        setup_wipe(&s.secrets[i]);
    }
    buffer_free(&s.keywords);
    while (s.kept_count) {
        free(s.kept[--s.kept_count]);
    }
    return rc ? err_exit_status(&e) : 0;
}

const struct command setup_command = {
    .name = "setup",
    .usage = "setup [OPTIONS]",
    .help =
        "From an installed package to rows, as root: asks for network, secrets, keywords and languages, "
        "writes\n"
        "/etc/roost/roost.conf with its files, makes PostgreSQL's role and database (Unix socket, no "
        "password),\n"
        "makes the tables, lets a login read them, starts roost.target and shows the first rows. What is "
        "given\n"
        "by an option is not asked. Safe to run again: what is there stays.\n\n"
        "    --network x-v2|x-v1        which API\n"
        "    --url URL                  x-v1: the stream's address; x-v2: the API's base, if it is not "
        "X's own\n"
        "    --bearer-token-file FILE   x-v2: the app's token; or --api-key-file and --api-secret-file;\n"
        "                               x-v1: also --access-token-file and --access-secret-file. - is "
        "standard\n"
        "                               input, a line for each in this order. Never on the command line "
        "itself\n"
        "    --keywords LIST            comma separated; or --keywords-file FILE, one a line\n"
        "    --languages LIST           comma separated codes; none: all\n"
        "    --reader LOGIN             who may read the tables (role roost_reader)\n"
        "    --database NAME            default roost\n"
        "    --admin CONNINFO           PostgreSQL's administrator, if it is not OS user postgres of "
        "this machine\n"
        "    --user NAME                the services' user and role; default roost\n"
        "    --etc-dir DIR              default /etc/roost\n"
        "    --wait SECONDS             how long to wait for the server, and for the first rows; default 60\n"
        "    --replace                  write the configuration anew; the old one is kept beside it\n"
        "    --no-start                 start nothing\n"
        "    --dry-run                  show what would be done, and do nothing\n"
        "    --yes                      ask nothing\n\n"
        "Exit status: 0 all is done (also without systemd, when it says what it would start); 1 "
        "something failed\n"
        "that may pass; 2 an answer is missing or wrong, or it lacks rights.\n",
    .run = setup_command_run,
};
