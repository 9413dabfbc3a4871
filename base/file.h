/* base/file.h - whole small files: configuration, secrets, positions. */
#ifndef ROOST_BASE_FILE_H
#define ROOST_BASE_FILE_H

#include "base/buffer.h"
#include "base/err.h"

#include <sys/types.h>

/* Appends the file to *into, whose maximum is the limit. Anything that open(2) and read(2) take may be read
 * (pipes too). -1: it cannot be read (the message names path and cause) or is longer than the limit. */
int file_read(const char *path, struct buffer *into, struct err *e);

/* Replaces the file whole or not at all: a temporary file beside it, fsync, rename, fsync of the folder. */
int file_replace(const char *path, struct view bytes, mode_t mode, struct err *e);

/* Makes a folder and those above it (mode 0750 where new); one that exists already is fine. When it returns
 * 0, power loss does not take the folder away (unless one above it that was there cannot be opened for a
 * sync). */
int file_make_folder(const char *path, struct err *e);

#endif
