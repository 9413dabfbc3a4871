/* cli/rules.h - what `roost check` and `roost rules` have in common: rules printed for people. */
#ifndef ROOST_CLI_RULES_H
#define ROOST_CLI_RULES_H

#include "ingest/rules_judge.h"

#include <stdio.h>

/* How the lines were packed: number of rules, the longest, what remains, what was left out. */
void rules_print_packing(const struct rules *rules, FILE *out);

/* What one line of the list became, and in which rule it is. */
void rules_print_line(const struct rules *rules, uint32_t line, FILE *out);

/* The file's own name, which is enough beside a keyword; messages have its whole path. */
const char *rules_file_name(const char *path);

#endif
