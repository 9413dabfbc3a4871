/* sinks/interrupt.h - waiting for a file descriptor, until another thread says stop.
 *
 * An interrupt is an eventfd: raised once, it stays raised, so a wait that begins a moment later ends at once
 * too. Raising is safe from any thread; waiting too.
 */
#ifndef ROOST_SINKS_INTERRUPT_H
#define ROOST_SINKS_INTERRUPT_H

#include "base/err.h"

#include <stdint.h>

/* The new interrupt's file descriptor, which the caller closes; -1 with ERR_FATAL when the system has none to
 * give. */
int interrupt_new(struct err *e);

void interrupt_raise(int interrupt);

enum { INTERRUPT_RAISED = -1, INTERRUPT_TIMEOUT = 0 };

/* Waits until one of poll(2)'s `events` (or an error or hang-up) is there on fd and returns what is there;
 * INTERRUPT_RAISED when the interrupt is or gets raised; INTERRUPT_TIMEOUT when the steady clock
 * (base/clock.h) is past deadline_ms (INT64_MAX: no deadline). fd -1: waits for the interrupt or the deadline
 * only. */
int interrupt_wait(int interrupt, int fd, short events, int64_t deadline_ms);

#endif
