/* base/err.h - an error as a value: what went wrong, in words that can be shown, and whether trying again may
 * help.
 *
 * Functions that can fail take a struct err * as their last argument, return -1 (or NULL) and fill it. The
 * text is a whole message: it names what, where and, if the user can act, what to do. A low function never
 * logs what it returns; whoever decides (retry, set aside, stop) logs once. A struct err needs no
 * initialisation and owns nothing.
 */
#ifndef ROOST_BASE_ERR_H
#define ROOST_BASE_ERR_H

enum err_kind {
    ERR_RETRY,  /* the same call may work later: keep the data, back off; as a process's end: exit status 1 */
    ERR_REJECT, /* this input can never work: set it aside, go on */
    ERR_FATAL   /* configuration, schema or credentials are wrong: a restart does not help; exit status 2 */
};

enum { ERR_TEXT_SIZE = 1000 };

struct err {
    enum err_kind kind;
    char text[ERR_TEXT_SIZE]; /* always ends with NUL; cut, never overrun */
};

/* Fills *e (which may be NULL: then nothing is kept). Returns -1, so that `return err_set(...)` reads well.
 */
int err_set(struct err *e, enum err_kind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "FORMATTED: " in front of the text already in *e; the kind stays. Returns -1. */
int err_wrap(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The kind of a failed system call: ERR_RETRY for an errno that passes when room or resources are there again
 * (ENOSPC, EDQUOT, ENOMEM, EMFILE, ENFILE, EAGAIN, EINTR), else ERR_FATAL. A service that ends with 2 is not
 * started again, so a full disk must not be that. */
enum err_kind err_kind_of(int number);

/* The process's exit status that fits a kind: 2 for ERR_FATAL, else 1 (command line, "Exit status"). */
int err_exit_status(const struct err *e);

#endif
