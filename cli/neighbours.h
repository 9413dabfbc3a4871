/* cli/neighbours.h - the other configurations in the same folder, as /etc/roost/NAME.conf of the template
 * units. */
#ifndef ROOST_CLI_NEIGHBOURS_H
#define ROOST_CLI_NEIGHBOURS_H

#include "base/err.h"
#include "config/config.h"

/* After `roost listen` could not open its bridge: puts behind the text of *e which other files *.conf of this
 * one's folder name the same address or the same spool, and what to do; nothing when none does, or none can
 * be read. Which of them is running is not known. Returns -1, as err_set does. */
int neighbours_blame(const struct config *c, struct err *e);

#endif
