/* cli/audit_parts.h - what the two files of `roost audit` share: audit.c judges the tables, audit_spool.c the
 * spool's frames beside them.
 */
#ifndef ROOST_CLI_AUDIT_PARTS_H
#define ROOST_CLI_AUDIT_PARTS_H

#include "sinks/audit.h"

#include <stdint.h>

enum { AUDIT_SHOWN_MAXIMUM = 100 }; /* differences printed per sink; all are counted */

/* What is found out about one sink. */
struct audit_report {
    const char *sink; /* its section's name */
    uint64_t differences;
    uint64_t batches, posts, events, rejects;
    struct audit_removed removed; /* by `keep` */
    uint64_t not_recounted;       /* batches whose rows it may have removed */
};

/* Prints one difference, as a whole sentence, on stdout, and counts it. */
void audit_difference(struct audit_report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct audit_spool_counts {
    uint64_t compared; /* frames up to the position */
    uint64_t beyond;   /* frames behind it: still to come */
    uint64_t damaged;  /* bytes */
};

/* Compares every frame kept in the spool of `folder`, whose identity it is, with the tables. `position`: the
 * highest that any consumer of these tables has in this spool; 0: none. */
int audit_compare_spool(struct audit *a, const char *folder, const char *identity, uint64_t position,
                        struct audit_report *r, struct audit_spool_counts *counts, struct err *e);

#endif
