/* sinks/console.h - the sink `type = console`: posts and events as lines on stdout, for looking and for
 * trying out.
 *
 * At least once: a load that fails in the middle is printed again. The position lives in memory only, so a
 * new process prints from the oldest frame that the bridge keeps.
 */
#ifndef ROOST_SINKS_CONSOLE_H
#define ROOST_SINKS_CONSOLE_H

#include "base/buffer.h"
#include "etl/sink.h"

extern const struct config_type_table console_config;
extern const struct sink_type sink_console;

/* A post as "TIME @author: text" (clean_text where there is one, cut after 120 letters), an event as "TIME
 * kind SOURCE ID", each with its LF. Control and direction characters are written as \u{...}: nothing in a
 * post can move the cursor. */
void console_print(struct buffer *b, const struct post *p);

#endif
