/* ingest/ledger_file.h - the ledgers of all sources, in one file beside the spool.
 *
 * One entry a line. Written when an entry has changed and, while the listener lives, so often that its signs
 * of life are at most a second old (0.9 s and the time of a write), on a worker of libuv and not on the loop,
 * but for ledger_write_now; a change while a write is under way is written after it. A file that cannot be
 * read begins anew, with a warning: what it knew is then unknown, not wrong. On the loop's thread.
 */
#ifndef ROOST_INGEST_LEDGER_FILE_H
#define ROOST_INGEST_LEDGER_FILE_H

#include "ingest/ledger.h"

#include <uv.h>

struct ledger;

/* Reads the file (none is no error) and begins to keep it. NULL: memory is out. */
struct ledger *ledger_open(uv_loop_t *loop, const char *path, struct err *e);

/* This boot's identity; "" where the system does not tell. */
const char *ledger_boot(const struct ledger *l);

/* A source of the configuration takes its entry, which stays where it is until ledger_give_back and a
 * ledger_forget after it, or ledger_close. NULL: memory is out. */
struct ledger_entry *ledger_take(struct ledger *l, const char *name);
void ledger_give_back(struct ledger *l, const struct ledger_entry *entry);

/* An entry was changed: writes the file in the loop's next turn, together with what else changes in this one.
 */
void ledger_changed(struct ledger *l);

/* The same, before it returns: for what the file must have before anything else happens. Waits for the disk,
 * also for a write of the worker that is under way. */
void ledger_write_now(struct ledger *l);

/* Ends the ledgers of all sources that nobody has taken; each row they left is handed to `row` (see
 * ledger_end). False: it is not taken now, and is kept for the next call. */
void ledger_forget(struct ledger *l, bool (*row)(void *user, const char *name, const struct ledger_row *row),
                   void *user);

/* Writes a last time, frees everything and calls done(user) from the loop. */
void ledger_close(struct ledger *l, void (*done)(void *user), void *user);

#endif
