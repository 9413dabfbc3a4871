#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, enum err_kind kind, const char *format, ...)
{
    if (!e) {
        return -1;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(e->text, sizeof e->text, format, arguments);
    va_end(arguments);
    e->kind = kind;
    return -1;
}

int err_wrap(struct err *e, const char *format, ...)
{
    if (!e) {
        return -1;
    }
    char old[ERR_TEXT_SIZE];
    memcpy(old, e->text, sizeof old);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(e->text, sizeof e->text, format, arguments);
    va_end(arguments);
    size_t used = strlen(e->text);
    snprintf(e->text + used, sizeof e->text - used, ": %s", old);
    return -1;
}

enum err_kind err_kind_of(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EAGAIN:
    case EINTR:
        return ERR_RETRY;
    default:
        return ERR_FATAL;
    }
}

int err_exit_status(const struct err *e)
{
    return e->kind == ERR_FATAL ? 2 : 1;
}
