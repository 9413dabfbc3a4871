/* config/state.h - what the files of this room share: the configuration while it is being read, and
 * afterwards.
 *
 * Not for other rooms. Everything lives in one arena; a failed allocation is latched there (or in `failed`),
 * and config_load asks once at the end. Strings of the file are views into its text, which the config keeps.
 */
#ifndef ROOST_CONFIG_STATE_H
#define ROOST_CONFIG_STATE_H

#include "base/arena.h"
#include "config/config.h"

#include <sys/types.h>

enum {
    CONFIG_FILE_MAXIMUM = 4 * 1024 * 1024, /* of a configuration or keyword file */
    CONFIG_SECRET_MAXIMUM = 64 * 1024,     /* of a secret's file */
    CONFIG_LINE_MAXIMUM = 64 * 1024,       /* design section 4 */
    CONFIG_LINES_MAXIMUM = 100000,         /* entries of one keyword file */
    CONFIG_SECTIONS_MAXIMUM = 1000,        /* bounds the memory that a hostile file can take */
    CONFIG_KEYS_MAXIMUM = 500,             /* in one section */
    CONFIG_MISTAKES_MAXIMUM = 1000,        /* listed; then one more says that there are others */
    CONFIG_NAME_MAXIMUM = 63               /* of [kind NAME] */
};

/* One `key = value` line of a known section. */
struct config_entry {
    struct config_entry *next;
    struct view key;
    struct view raw; /* the value: trimmed, without its comment, with its quotes */
    unsigned line;
    bool broken; /* a mistake was reported for the line: the key counts as given, the value is not read */
};

struct config_section {
    struct config *config;
    struct config_section *next; /* in the order of the file */
    const struct config_kind *kind;
    const struct config_type_table *type; /* NULL: the kind has no types, or none that is known was named */
    const char *name;                     /* "" for unnamed kinds */
    unsigned line;
    bool left_out; /* a second one of its name, or its header is wrong: read for mistakes, never handed out */
    bool later_type; /* its type comes in a later version: its keys cannot be judged */
    struct config_entry *entries, **entries_end;
    size_t entry_count;
    void *settings;
};

struct config_mistake_line {
    const char *text; /* FILE:LINE: ... */
    const char *file;
    unsigned line;
    size_t order; /* in which it was found */
};

struct config_kept {
    struct config_kept *next;
    void *allocated;
    void (*free_it)(void *);
};

struct config {
    struct arena *memory;
    const char *path, *folder;
    const char *credentials; /* $CREDENTIALS_DIRECTORY; NULL: not set */
    const struct config_kind *const *kinds;
    size_t kind_count;
    const char *const *used; /* config_load_for: the kinds in use; NULL: all */
    struct config_section *sections, **sections_end;
    size_t section_count;
    void **defaults; /* one per kind: the settings of an unnamed kind that has no section */
    struct config_mistake_line *mistakes;
    size_t mistake_count, mistake_capacity, mistakes_left_out;
    struct config_kept *kept;
    mode_t mode;                       /* of the configuration file; 0 when it is no regular file */
    struct config_place inline_secret; /* the first secret that stands in the file itself */
    bool failed;                       /* memory is out */
};

/* A copy ended by NUL in the config's memory. NULL: memory is out (latched). */
char *config_string(struct config *c, struct view text);

/* printf into the config's memory. Never NULL: "" when memory is out (latched). */
const char *config_print(struct config *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A value as it may stand in a message: control characters become '?', long ones are cut. */
const char *config_shown(struct config *c, struct view value);

/* A word that the user wrote where a name belongs, in quotes, if it looks like a name; else "this", since a
 * piece of a secret on a line of its own can look like a key. `what` ("key") goes in front. */
const char *config_shown_name(struct config *c, const char *what, struct view word);

/* [bridge] or [source covid]. */
const char *config_section_shown(const struct config_section *s);

struct config_place config_place_of(const struct config *c, unsigned line);

/* In the order of files and lines. Called once, when all are found. */
void config_mistakes_sort(struct config *c);

/* This process works with sections of this kind: their secrets are read and their checks called. */
bool config_kind_used(const struct config *c, const struct config_kind *kind);

struct config_entry *config_entry_find(const struct config_section *s, struct view key);

/* What a name may mean in a section: the row of its key table (the type's first, then the kind's). *by_file:
 * it is the twin KEY_file of that row. NULL: unknown. `type` itself has no row. */
const struct config_key *config_key_find(const struct config_kind *kind, const struct config_type_table *type,
                                         struct view name, bool *by_file);

/* A secret, or a text that may hold one: it has a twin KEY_file. */
bool config_key_has_file(const struct config_key *key);

/* Reads one section's entries through its tables into new settings. */
void section_fill(struct config *c, struct config_section *s);

/* New settings of a kind with all its defaults. NULL: memory is out. */
void *section_defaults(struct config *c, const struct config_kind *kind,
                       const struct config_type_table *type);

/* Reads a value as the type of its key into settings; reports what is wrong with it at `place`. */
void value_read(struct config *c, const struct config_key *key, struct view raw, struct config_place place,
                void *settings);

/* The same for KEY_file = PATH: the value is what that file holds. */
void secret_read_file(struct config *c, const struct config_key *key, const struct config_entry *entry,
                      void *settings);

/* A secret stands in the configuration file itself. */
void secret_note_inline(struct config *c, struct config_place place);

/* At the end: refuses secrets in a file that the world can read. */
void secret_check_exposed(struct config *c);

#endif
