/* sinks/jsonl.h - the sink `type = jsonl`: posts and events as lines of JSON in a file that is rotated and
 * synced.
 *
 * A line is what crosses the bridge with `plain = json` (bridge/post.h), in the order of frames. A load
 * counts as written once its lines and then the position (PATH.position) are on disk; a crash in between
 * writes the load again: at least once. A torn last line is cut off when the file is opened, and what power
 * loss left damaged behind the lines of the last position that was saved. A load goes into
 * one file whole; when PATH has reached file_max, it is renamed to PATH.YYYYMMDDTHHMMSS.mmm (UTC), and with
 * `files` set the oldest of those go. Rejects are not written: a sink with tables keeps them. One process at
 * a time (flock).
 */
#ifndef ROOST_SINKS_JSONL_H
#define ROOST_SINKS_JSONL_H

#include "etl/sink.h"

struct jsonl_settings {
    struct sink_settings sink;
    char *path;
    int64_t file_max; /* bytes */
    int64_t files;    /* rotated ones kept; 0: all */
};

extern const struct config_type_table jsonl_config;
extern const struct sink_type sink_jsonl;

#endif
