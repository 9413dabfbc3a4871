/* cli/etl_status.h - what `roost etl` tells of itself: the JSON of its status socket and the manager's status
 * line (docs/status.md has the names). Any thread.
 */
#ifndef ROOST_CLI_ETL_STATUS_H
#define ROOST_CLI_ETL_STATUS_H

#include "base/buffer.h"
#include "etl/job.h"

/* Members of an open JSON object. */
void etl_status_tell(struct job *job, struct buffer *json);

void etl_status_line(struct job *job, char *text, size_t size);

/* It has a bridge and all its sinks. */
bool etl_status_ready(struct job *job);

#endif
