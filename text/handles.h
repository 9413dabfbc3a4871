/* text/handles.h - what is in a text worker, for the files of this room only. */
#ifndef ROOST_TEXT_HANDLES_H
#define ROOST_TEXT_HANDLES_H

#include "base/view.h"
#include "text/worker.h"

#include <unicode/ubrk.h>
#include <unicode/ucasemap.h>
#include <unicode/utext.h>

struct text_worker {
    UCaseMap *cases;
    UBreakIterator *words, *clusters;
    UText *text; /* what an iterator walks over; opened anew for each text */
};

/* Puts `iterator`, one of w's, before the first byte of text. Its positions are then bytes of text. NULL:
 * memory is out. Valid until the next call for this worker. */
UBreakIterator *handles_on(struct text_worker *w, UBreakIterator *iterator, struct view text);

#endif
