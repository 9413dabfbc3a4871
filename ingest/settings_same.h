/* ingest/settings_same.h - do two configurations of a source ask for the same, in the same way?
 *
 * Compared is all that a source goes by, secrets as they were read from their files and keywords as they were
 * understood; where a keyword stands in its file is not.
 */
#ifndef ROOST_INGEST_SETTINGS_SAME_H
#define ROOST_INGEST_SETTINGS_SAME_H

#include "ingest/settings.h"

#include <stdbool.h>

bool settings_same(const struct source_settings *a, const struct source_settings *b);

#endif
