/* config/config.h - the configuration file, read through tables of keys that the rooms own.
 *
 * This room knows the form (sections, keys, values, positions, secrets, mistakes), never a key by name. A
 * room describes a section with a struct config_kind and gets back a filled settings struct. All mistakes of
 * a file are found in one run: nothing here stops at the first. A value of a secret, of an unknown key or of
 * a key marked `hidden` is never put into a message. Lines: design section 4 (UTF-8, CRLF and a BOM are fine,
 * 64 KiB long at most, `;` after white space begins a comment except in double quotes, which are removed; `#`
 * or `;` first on a line is a comment line).
 *
 * Files of configuration are read once into memory and belong to struct config; so do all strings in settings
 * structs.
 */
#ifndef ROOST_CONFIG_CONFIG_H
#define ROOST_CONFIG_CONFIG_H

#include "base/err.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a value is written, and what field of the settings struct at `offset` it fills. */
enum config_type {
    /* char *: any text; absent: NULL. With `hidden` it has a twin KEY_file, as a secret has. */
    CONFIG_TEXT,
    /* char *: absolute, or relative to the configuration file's folder; stored absolute. */
    CONFIG_PATH,
    /* char *: KEY = the secret, or KEY_file = its file (relative to $CREDENTIALS_DIRECTORY if set, else to
     * the configuration's folder; white space at its end removed). Never both. */
    CONFIG_SECRET,
    CONFIG_CHOICE,   /* int: index into `choices` */
    CONFIG_FLAG,     /* bool: yes | no */
    CONFIG_NUMBER,   /* int64_t: decimal, min to max */
    CONFIG_DURATION, /* int64_t milliseconds: 10ms, 1s, 5min, 1h, 180d; min to max in milliseconds */
    CONFIG_SIZE,     /* int64_t bytes: 512, 64KiB, 4GiB (also MiB, TiB); min to max in bytes */
    /* struct config_list: comma separated, each item trimmed, empty items are mistakes; a double quoted part
     * keeps its commas and its quotes (keyword phrases need them). An empty value is a list of none. */
    CONFIG_LIST
};

/* Where something stands, for messages: "FILE:LINE". The file's name belongs to the struct config. */
struct config_place {
    const char *file;
    unsigned line; /* from 1; 0: the file as a whole */
};

struct config_list {
    char **items; /* strings ended by NUL */
    size_t count;
    struct config_place place; /* of the key; line 0 when it was not given */
};

struct config;
struct config_section;

struct config_key {
    const char *name;
    size_t offset;
    const char *fallback; /* the default as it would be written in the file; NULL: none */
    enum config_type type;
    bool required;              /* missing is a mistake that names the section */
    bool hidden;                /* the value may hold a secret (conninfo): it is never shown */
    bool restart;               /* a reload cannot change it: named in a warning, stays as it was */
    int64_t min, max;           /* for NUMBER, DURATION, SIZE; both 0: no limits beyond >= 0 */
    const char *const *choices; /* for CHOICE: ended by NULL */
    /* A further check of one value as written, without its quotes (of a list: of each item, with them); NULL:
     * none. Returns 0, or -1 with *why saying what would be right (without the value: it is added by the
     * caller where it may be shown). */
    int (*check)(const char *value, struct err *why);
    const char *help; /* one sentence, for the sample file, docs and --help */
};

/* One value of the key `type` in a kind that has types (source, sink): further keys, in a settings struct
 * that begins with the kind's own struct, so that offsets of both tables fit. */
struct config_type_table {
    const char *name; /* as in `type = NAME` */
    const struct config_key *keys;
    size_t key_count;
    size_t settings_size;
    /* Called once per section of this type when all its keys are read, mistakes or not; reports with
     * config_mistake. NULL: nothing to check. */
    void (*check)(struct config *c, const struct config_section *s, void *settings);
};

struct config_kind {
    const char *section; /* "bridge", "source" */
    bool named;          /* [source NAME]: as many as wanted, names of 1 to 63 of a-z A-Z 0-9 _ - . */
    bool optional;       /* may be absent: then its defaults hold (never for named kinds) */
    const struct config_key *keys;
    size_t key_count;
    size_t settings_size;
    const struct config_type_table *const *types; /* NULL-ended; NULL: this kind has no `type` key */
    const char *const
        *later_types; /* types of later versions: "this version does not have it"; NULL-ended or NULL */
    void (*check)(struct config *c, const struct config_section *s, void *settings);
    /* Called once at the end, also without any section of this kind: for what concerns several. */
    void (*check_all)(struct config *c);
};

/* Reads path with these kinds (the array and all it points to must outlive the config). Always returns a
 * config, unless memory is out (NULL); the caller asks config_mistakes() before using it. */
struct config *config_load(const char *path, const struct config_kind *const *kinds, size_t kind_count);

/* The same for a process that works with some kinds only (`used`: their section names, ended by NULL; `roost
 * etl` may not read the secrets of the sources). Sections of the other kinds are read and their names and
 * values checked, but their secrets' files are not opened, nothing is required in them and their check
 * functions are not called. NULL: all. */
struct config *config_load_for(const char *path, const struct config_kind *const *kinds, size_t kind_count,
                               const char *const *used);

/* Number of mistakes, and each one's whole line: "FILE:LINE: what is wrong: what would be right". */
size_t config_mistakes(const struct config *c);
const char *config_mistake_text(const struct config *c, size_t index);

/* Reports a mistake at a place (line 0: the file). `format` says what is wrong and what would be right. */
void config_mistake(struct config *c, struct config_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* For check functions: the value of this key turned out to hold a secret (a conninfo with a password in it).
 * When it stands in the file itself, and the world can read that, the file is refused. */
void config_secret(struct config *c, const struct config_section *s, const char *key);

/* The configuration file's path as given, and the absolute path of its folder. */
const char *config_path(const struct config *c);
const char *config_folder(const struct config *c);

/* The first section of a kind, then the next; NULL: no more. An absent optional section is not listed, but
 * config_settings(c, "bridge") still gives its defaults. */
const struct config_section *config_first(const struct config *c, const char *kind);
const struct config_section *config_next(const struct config_section *s);

const char *
config_section_name(const struct config_section *s); /* NAME of [source NAME]; "" for unnamed kinds */
const char *
config_section_type(const struct config_section *s); /* the value of `type`; NULL: none or unknown */
struct config_place config_section_place(const struct config_section *s);
void *config_section_settings(const struct config_section *s); /* the filled settings struct */

/* Where a key of a section was set; line 0 when it has its default. */
struct config_place config_key_place(const struct config_section *s, const char *key);

/* The settings of an unnamed kind ([bridge]): filled, or its defaults. NULL: no such kind. */
void *config_settings(const struct config *c, const char *kind);

/* A path as a value of this file means it: absolute stays, else relative to the folder. Belongs to the
 * config. */
const char *config_resolve(struct config *c, const char *path);

/* Memory for what check functions work out (keyword lists); belongs to the config. NULL: memory is out. */
void *config_keep(struct config *c, void *allocated, void (*free_it)(void *));

/* Calls tell for every key with `restart` whose value differs between the configuration in force and one read
 * anew; named sections are compared when both have them with the same type. `section` is "[bridge]" or "[sink
 * main]" and lives as long as `next`. */
void config_each_restart(const struct config *now, struct config *next,
                         void (*tell)(void *user, const char *section, const char *key), void *user);

/* NULL does nothing. */
void config_free(struct config *c);

/* A text file of one entry a line (keyword files): read, BOM and CR removed, checked for UTF-8 and line
 * length. Mistakes go to the config. Lines point into memory of the config; empty ones are left out. -1:
 * nothing was read. */
struct config_line {
    struct view text; /* trimmed */
    struct config_place place;
};
int config_read_lines(struct config *c, const char *path, struct config_place asked_at,
                      struct config_line **lines, size_t *count);

#endif
