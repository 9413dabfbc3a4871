/* tests/power_loss/support/trial.h - a program dies by power loss at each of its operations, again while it
 * recovers, and is judged by what it said in between.
 *
 * One trial: a new folder; life 0 runs in a process of its own until power fails during operation N; life 1,
 * the recovery, until it fails again early on; sometimes a life 2; then the last life, with power. What a
 * life says (trial_say) reaches the judge even if power fails at once afterwards: to promise is to say. The
 * judge reads what all lives of a trial have said, in order. N rises from 1 until life 0 comes to its end; a
 * trial of the short form cuts the recovery at one place, which moves on from trial to trial, with
 * ROOST_LONG=1 the first round cuts it at all of them. */
#ifndef ROOST_TESTS_POWER_LOSS_TRIAL_H
#define ROOST_TESTS_POWER_LOSS_TRIAL_H

#include "base/buffer.h"

struct trial {
    const char *name;
    unsigned seeds; /* rounds over all N; ROOST_LONG=1: 4 times as many */
    unsigned jobs;  /* processes at a time */
    /* One life in `folder`; begins with what the life before left. The seed is the round's and chooses what
     * is done; `last`: nothing goes wrong any more. */
    void (*live)(const char *folder, unsigned life, bool last, uint64_t seed);
    /* One line of what was said, "life K" before each life's. Writes what is wrong into *wrong, if anything
     * is. `memory` begins as `memory_size` zero bytes in each trial. */
    void (*judge)(void *memory, const char *line, struct buffer *wrong);
    size_t memory_size;
    unsigned fail_syncs; /* of a thousand, in life 0 */
    bool kills;  /* some first lives are killed without a power loss: their writes wait for the next */
    bool broken; /* the program is wrong on purpose: some trial must find it */
};

/* Runs in a life: one line, at most 4000 bytes, without LF. */
void trial_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints a line of figures, and what the first wrong trial said. 0: as it should be; 1: not. */
int trial_run(const struct trial *t);

#endif
