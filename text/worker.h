/* text/worker.h - the ICU handles that one thread needs.
 *
 * ICU's iterators hold a position, so two threads cannot share them, and opening one per post costs more than
 * its work. Each thread therefore makes one worker and passes it to the functions of this room that need it;
 * no other state is kept between calls.
 */
#ifndef ROOST_TEXT_WORKER_H
#define ROOST_TEXT_WORKER_H

#include "base/err.h"

struct text_worker;

/* For one thread at a time. NULL: memory is out, or ICU's data is missing (ERR_FATAL, the message names ICU's
 * error). The caller frees it. */
struct text_worker *text_worker_new(struct err *e);

/* NULL does nothing. */
void text_worker_free(struct text_worker *w);

#endif
