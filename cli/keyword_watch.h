/* cli/keyword_watch.h - `watch = yes`: tells when a keyword file has other contents.
 *
 * The folders of the files are watched (inotify, through libuv), since editors put a new file in the place of
 * the old one; of a link also the folder that it leads to. What counts is the contents: events only make it
 * look, a second after the last of them, at most five after the first. All on the loop's thread.
 */
#ifndef ROOST_CLI_KEYWORD_WATCH_H
#define ROOST_CLI_KEYWORD_WATCH_H

#include "base/err.h"
#include "config/config.h"

#include <uv.h>

struct keyword_watch;

/* changed(user) is called when a watched file has other contents than were known; it returns false to be
 * called again in a second. NULL: memory is out. */
struct keyword_watch *keyword_watch_open(uv_loop_t *loop, bool (*changed)(void *user), void *user,
                                         struct err *e);

/* Watches the files of this configuration from now on, of whose sections `watch` says so. What was known of a
 * file stays known; of a new one its contents now. What cannot be watched is said on the log. */
void keyword_watch_set(struct keyword_watch *w, const struct config *config);

/* The files are about to be read: their contents now are known. */
void keyword_watch_note(struct keyword_watch *w);

/* Gives all back, its handles once the loop has run. NULL does nothing. */
void keyword_watch_close(struct keyword_watch *w);

#endif
