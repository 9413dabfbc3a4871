/* cli/status_print.h - the answers of both services as a picture for people. */
#ifndef ROOST_CLI_STATUS_PRINT_H
#define ROOST_CLI_STATUS_PRINT_H

#include "base/buffer.h"
#include "cli/status_judge.h"

struct status_paper {
    bool colour;
    int columns, rows; /* longer lines are cut, further ones left out; 0: none is */
    bool redraw;       /* each line clears what stood behind it: drawn over an earlier picture */
    bool figures;      /* the first line ends with performance data: a monitor reads it */
};

/* Appends the whole picture; its first line is the one that monitors show. */
void status_print(struct buffer *into, const struct status_said *listen, const struct status_said *etl,
                  const struct status_verdict *v, const struct status_paper *paper);

/* One JSON object with the names of docs/status.md, and a line end. */
void status_print_json(struct buffer *into, const struct status_said *listen, const struct status_said *etl,
                       const struct status_verdict *v);

#endif
