/* cli/main.c - `roost SUBCOMMAND ...`: finds the subcommand and hands it its arguments. */
#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "base/watchdog.h"
#include "cli/command.h"

#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct command *const commands[] = {
    &listen_command,   &etl_command,   &run_command,   &migrate_command, &check_command,
    &simulate_command, &tail_command,  &audit_command, &spool_command,   &consumer_command,
    &rules_command,    &setup_command, &status_command};
static const size_t command_count = sizeof commands / sizeof *commands;

int command_misuse(const struct command *c, const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "roost %s: ", c->name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nusage: roost %s\n(roost %s --help says more)\n", c->usage, c->name);
    return 2;
}

static void print_help(FILE *out)
{
    fputs("roost: posts of a social network's stream into PostgreSQL, nothing lost, nothing doubled.\n\n",
          out);
    for (size_t i = 0; i < command_count; i++) {
        fprintf(out, "    roost %s\n", commands[i]->usage);
    }
    fputs("    roost --version\n"
          "\nEach subcommand has --help. -c FILE defaults to /etc/roost/roost.conf.\n"
          "Exit status: 0 all right; 1 the operation failed, trying again may help; 2 usage, configuration,\n"
          "schema or credentials are wrong, a restart does not help.\n",
          out);
}

/* Tests make a thread hang: base/watchdog.h says how. */
static int use_test_hang(const char *command)
{
    const struct log_context context = {command, NULL};
    const char *spec = getenv("ROOST_TEST_HANG");
    struct err e;
    if (!spec || !spec[0]) {
        return 0;
    }
    if (watchdog_use_test_hang(spec, &e)) {
        log_error(&context, "ROOST_TEST_HANG: %s", e.text);
        return -1;
    }
    log_warning(&context, "ROOST_TEST_HANG is set: the thread of %s will hang; this is for tests only", spec);
    return 0;
}

/* Tests set the time: base/clock.h says how. 0, or -1 when the file is none. */
static int use_test_clock(const char *command)
{
    const struct log_context context = {command, NULL};
    const char *path = getenv("ROOST_TEST_CLOCK");
    struct err e;
    if (!path || !path[0]) {
        return 0;
    }
    if (clock_use_test_file(path, &e)) {
        log_error(&context, "ROOST_TEST_CLOCK: %s", e.text);
        return -1;
    }
    log_warning(&context,
                "ROOST_TEST_CLOCK is set: the time comes from %s, at %lld times the speed; this is for tests "
                "only",
                path, (long long)clock_test_speed());
    return 0;
}

static int run_command_of(const struct command *c, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            printf("usage: roost %s\n\n%s", c->usage, c->help);
            return 0;
        }
    }
    return c->run(argc, argv);
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0) {
        printf("roost %s (commit %s)\n", version_number, version_commit);
        return 0;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return 0;
    }
    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(name, commands[i]->name) == 0) {
            return use_test_clock(name) || use_test_hang(name)
                       ? 2
                       : run_command_of(commands[i], argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "roost: there is no subcommand %s; roost --help lists them\n", name);
    return 2;
}
