/* cli/tail.h - `roost tail`: a look at what crosses a bridge, as a plain client. */
#ifndef ROOST_CLI_TAIL_H
#define ROOST_CLI_TAIL_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Connects to the bridge at `address` (as bridge/address.h reads it) without saying anything, and writes to
 * standard output until `batch_limit` batches are printed (0: endless), or standard output is closed. A
 * bridge that is not there, or goes away, is waited for with a back-off of 0.1 s to 5 s, which the log says
 * once.
 *
 * Not raw: what Spark's socketTextStream(...).flatMap(lambda s: s.lower().split(marker)) and pprint() show,
 * one batch each interval_ms, without the empty record that this split leaves at each line's end; characters
 * that would steer a terminal are shown as escapes.
 *
 * Raw: every byte as it comes; `marker` and `interval_ms` mean nothing, and each piece read counts as a
 * batch.
 *
 * 0, or -1 with *e (ERR_FATAL: the address is none, the interval is out of range). */
int tail_run(const char *address, bool raw, const char *marker, int64_t interval_ms, int64_t batch_limit,
             struct err *e);

#endif
