/* ingest/report.h - the bodies of the events that a source makes itself: gap and count.
 */
#ifndef ROOST_INGEST_REPORT_H
#define ROOST_INGEST_REPORT_H

#include "base/buffer.h"
#include "ingest/ledger.h"
#include "ingest/source.h"

/* {"started_at":...,"ended_at":...,"cause":...,"detail":...,"undelivered":...}; the last only where known. */
void report_gap(struct buffer *body, const struct ledger_row *row);

/* {"from":...,"to":...,"received":...,...}: the source was heard in between, and what it counted from `then`
 * to `now`. Both NULL: without figures, they went with a killed listener. Wall times. */
void report_count(struct buffer *body, int64_t from, int64_t to, const struct source_counts *then,
                  const struct source_counts *now);

#endif
