#include "text/worker.h"

#include "text/handles.h"

#include <stdlib.h>

struct text_worker *text_worker_new(struct err *e)
{
    struct text_worker *w = calloc(1, sizeof *w);
    if (!w) {
        err_set(e, ERR_RETRY, "memory is out: no room for a text worker");
        return NULL;
    }
    UErrorCode status = U_ZERO_ERROR;
    w->cases = ucasemap_open("", U_FOLD_CASE_DEFAULT, &status);
    w->words = ubrk_open(UBRK_WORD, "root", NULL, 0, &status);
    w->clusters = ubrk_open(UBRK_CHARACTER, "root", NULL, 0, &status);
    w->text = utext_openUTF8(NULL, "", 0, &status);
    if (U_FAILURE(status)) {
        err_set(e, ERR_FATAL, "ICU cannot open its case map and break iterators (%s): is libicu complete?",
                u_errorName(status));
        text_worker_free(w);
        return NULL;
    }
    return w;
}

void text_worker_free(struct text_worker *w)
{
    if (!w) {
        return;
    }
    ucasemap_close(w->cases);
    ubrk_close(w->words);
    ubrk_close(w->clusters);
    utext_close(w->text);
    free(w);
}

UBreakIterator *handles_on(struct text_worker *w, UBreakIterator *iterator, struct view text)
{
    UErrorCode status = U_ZERO_ERROR;
    utext_openUTF8(w->text, text.at, (int64_t)text.length, &status);
    ubrk_setUText(iterator, w->text, &status);
    return U_FAILURE(status) ? NULL : iterator;
}
