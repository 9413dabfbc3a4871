/* cli/simulate.h - `roost simulate`: the streaming API v1.1 on this machine. */
#ifndef ROOST_CLI_SIMULATE_H
#define ROOST_CLI_SIMULATE_H

/* Runs the subcommand until SIGTERM or SIGINT; argv[0] is "simulate". Returns the exit status: 0; 1: the
 * operation failed (the port is in use); 2: the arguments are wrong. Called before any other thread is made,
 * since it blocks signals. */
int simulate_run(int argc, char **argv);

#endif
