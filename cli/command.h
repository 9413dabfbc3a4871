/* cli/command.h - what every subcommand is: a name, a help text, a function from arguments to an exit status.
 */
#ifndef ROOST_CLI_COMMAND_H
#define ROOST_CLI_COMMAND_H

struct command {
    const char *name;
    const char *usage; /* one line: what follows "roost " */
    const char *help;  /* the rest of `roost NAME --help` */
    /* argv[0] is the subcommand's name; "--help" has been answered already. Returns the exit status: 0 all
     * right, 1 the operation failed and trying again may help, 2 usage, configuration, schema or credentials
     * are wrong. `status` alone has those of monitoring plugins. */
    int (*run)(int argc, char **argv);
};

extern const struct command listen_command, etl_command, run_command, migrate_command, check_command,
    simulate_command, tail_command, audit_command, spool_command, consumer_command, rules_command,
    setup_command, status_command;

/* Says on stderr what is wrong with the arguments and how to get help; returns 2. */
int command_misuse(const struct command *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
