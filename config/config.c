/* config/config.c - the file as a whole: from its lines to sections, from sections to settings, then the
 * checks.
 *
 * The order matters. All lines are read before any value, because `type`, wherever it stands, decides what
 * the other keys of its section are; all values are read before any check, because checks look at several
 * sections.
 */
#include "config/config.h"

#include "base/file.h"
#include "base/wipe.h"
#include "config/ini.h"
#include "config/lines.h"
#include "config/state.h"
#include "config/suggest.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEMORY_MAXIMUM = 512 * 1024 * 1024 };

/* Where lines go while the file is read. */
struct reading {
    struct config *c;
    struct config_section *section; /* NULL: none yet, or an unknown one */
    bool passed_over; /* in an unknown section: its mistake is reported, its keys are not judged */
};

bool config_kind_used(const struct config *c, const struct config_kind *kind)
{
    for (size_t i = 0; c->used && c->used[i]; i++) {
        if (!strcmp(c->used[i], kind->section)) {
            return true;
        }
    }
    return !c->used;
}

static const struct config_kind *find_kind(const struct config *c, struct view word)
{
    for (size_t i = 0; i < c->kind_count; i++) {
        if (view_is(word, c->kinds[i]->section)) {
            return c->kinds[i];
        }
    }
    return NULL;
}

static void report_unknown_section(struct config *c, struct view word, struct config_place place)
{
    struct suggest near = suggest_for(word);
    const char *all = "";
    for (size_t i = 0; i < c->kind_count; i++) {
        suggest_offer(&near, c->kinds[i]->section);
        all = config_print(c, "%s%s[%s%s]", all, i ? ", " : "", c->kinds[i]->section,
                           c->kinds[i]->named ? " NAME" : "");
    }
    const char *shown = config_shown_name(c, "section", word);
    if (near.best) {
        const struct config_kind *kind = find_kind(c, view_of(near.best));
        config_mistake(c, place, "%s is unknown: did you mean [%s%s]?", shown, near.best,
                       kind && kind->named ? " NAME" : "");
    } else {
        config_mistake(c, place, "%s is unknown: there are %s", shown, all);
    }
}

static bool name_is_right(struct view name)
{
    for (size_t i = 0; i < name.length; i++) {
        char ch = name.at[i];
        bool letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
        if (!letter && (ch < '0' || ch > '9') && ch != '_' && ch != '-' && ch != '.') {
            return false;
        }
    }
    return name.length >= 1 && name.length <= CONFIG_NAME_MAXIMUM;
}

static const struct config_section *find_section(const struct config *c, const struct config_kind *kind,
                                                 struct view name)
{
    for (const struct config_section *s = c->sections; s; s = s->next) {
        if (s->kind == kind && !s->left_out && view_is(name, s->name)) {
            return s;
        }
    }
    return NULL;
}

/* False: the header is wrong, or its section was there before; the mistake is reported. */
static bool header_is_right(struct config *c, const struct config_kind *kind, struct view name,
                            struct config_place place)
{
    if (!kind->named && name.length) {
        config_mistake(c, place, "[%s] takes no name: there is one, [%s]", kind->section, kind->section);
        return false;
    }
    if (kind->named && !name.length) {
        config_mistake(c, place, "[%s] has no name: [%s NAME], the name is yours", kind->section,
                       kind->section);
        return false;
    }
    if (kind->named && !name_is_right(name)) {
        config_mistake(c, place, "the name in [%s NAME] is wrong: 1 to %d of a-z A-Z 0-9 _ - . are right",
                       kind->section, (int)CONFIG_NAME_MAXIMUM);
        return false;
    }
    const struct config_section *before = find_section(c, kind, name);
    if (before) {
        config_mistake(c, place, "%s is given twice, first on line %u: %s", config_section_shown(before),
                       before->line, kind->named ? "give this one another name" : "put all its keys there");
    }
    return !before;
}

static void begin_section(struct reading *r, struct view word, struct view name, unsigned line)
{
    struct config *c = r->c;
    struct config_place place = config_place_of(c, line);
    const struct config_kind *kind = find_kind(c, word);
    r->section = NULL;
    r->passed_over = true;
    if (!kind) {
        report_unknown_section(c, word, place);
        return;
    }
    if (c->section_count == CONFIG_SECTIONS_MAXIMUM) {
        config_mistake(c, place, "more than %d sections: leave some out", (int)CONFIG_SECTIONS_MAXIMUM);
    }
    if (c->section_count++ >= CONFIG_SECTIONS_MAXIMUM) {
        return;
    }
    struct config_section *s = arena_zeroed(c->memory, 1, sizeof *s);
    bool right = header_is_right(c, kind, name, place);
    const char *kept_name = config_string(c, right ? name : view_make("", 0));
    if (!s || !kept_name) {
        return;
    }
    *s = (struct config_section){
        .config = c, .kind = kind, .name = kept_name, .line = line, .left_out = !right};
    s->entries_end = &s->entries;
    *c->sections_end = s;
    c->sections_end = &s->next;
    r->section = s;
}

static void add_entry(struct reading *r, struct view key, struct view raw, unsigned line, bool broken)
{
    struct config *c = r->c;
    struct config_section *s = r->section;
    struct config_place place = config_place_of(c, line);
    if (!s) {
        if (!r->passed_over) {
            const struct config_kind *first = c->kind_count ? c->kinds[0] : NULL;
            config_mistake(c, place, "a key before any section: begin with a line such as [%s%s]",
                           first ? first->section : "section", first && first->named ? " NAME" : "");
        }
        return;
    }
    struct config_entry *before = config_entry_find(s, key);
    if (before) {
        config_mistake(c, place, "%s is given twice in %s, first on line %u: keep one of them",
                       config_shown_name(c, "key", key), config_section_shown(s), before->line);
        return;
    }
    if (s->entry_count == CONFIG_KEYS_MAXIMUM) {
        config_mistake(c, place, "more than %d keys in %s: the rest is not read", (int)CONFIG_KEYS_MAXIMUM,
                       config_section_shown(s));
    }
    if (s->entry_count++ >= CONFIG_KEYS_MAXIMUM) {
        return;
    }
    struct config_entry *entry = arena_zeroed(c->memory, 1, sizeof *entry);
    if (entry) {
        *entry = (struct config_entry){.key = key, .raw = raw, .line = line, .broken = broken};
        *s->entries_end = entry;
        s->entries_end = &entry->next;
    }
}

static void read_line(struct reading *r, const struct line *line)
{
    struct ini_line ini = ini_read(line->text);
    const char *problem = line->problem[0] ? line->problem : ini.problem;
    if (problem) {
        config_mistake(r->c, config_place_of(r->c, line->number), "%s", problem);
    }
    if (ini.kind == INI_SECTION && !problem) {
        begin_section(r, ini.word, ini.argument, line->number);
    } else if (ini.kind == INI_SECTION) {
        r->section = NULL;
        r->passed_over = true;
    } else if (ini.kind == INI_KEY) {
        add_entry(r, ini.word, ini.argument, line->number, problem != NULL);
    }
}

static void wipe_text(void *text)
{
    wipe_string(text);
}

/* -1: the file cannot be read; reported. */
static int read_file(struct config *c)
{
    struct stat status;
    struct config_place whole = config_place_of(c, 0);
    if (stat(c->path, &status)) {
        config_mistake(
            c, whole,
            "cannot be read: %s: name another file with -c FILE, or begin with the sample roost.conf",
            strerror(errno));
        return -1;
    }
    c->mode = S_ISREG(status.st_mode) ? status.st_mode : 0;
    struct buffer bytes = BUFFER(CONFIG_FILE_MAXIMUM);
    struct err e;
    /* One that grows would leave copies behind, and secrets may stand in the file. */
    size_t expected = S_ISREG(status.st_mode) ? (size_t)status.st_size + 1 : 0;
    buffer_reserve(&bytes, expected < CONFIG_FILE_MAXIMUM ? expected : 0);
    if (file_read(c->path, &bytes, &e)) {
        config_mistake(c, whole, "%s: the service's user must be able to read a file of at most 4 MiB",
                       e.text);
        wipe_buffer(&bytes);
        return -1;
    }
    bytes.maximum++; /* for the NUL */
    if (!bytes.length || !buffer_string(&bytes)) {
        wipe_buffer(&bytes);
        return 0;
    }
    size_t length = bytes.length;
    char *text = config_keep(c, bytes.data, wipe_text);
    struct lines lines = lines_of(view_make(text, text ? length : 0));
    struct reading reading = {.c = c};
    struct line line;
    while (lines_next(&lines, &line)) {
        read_line(&reading, &line);
    }
    return 0;
}

static void fill_sections(struct config *c, bool was_read)
{
    for (struct config_section *s = c->sections; s; s = s->next) {
        section_fill(c, s);
    }
    for (size_t i = 0; i < c->kind_count; i++) {
        const struct config_kind *kind = c->kinds[i];
        bool there = false;
        for (const struct config_section *s = c->sections; s; s = s->next) {
            there |= s->kind == kind;
        }
        if (!kind->named) {
            c->defaults[i] = section_defaults(c, kind, NULL);
        }
        if (was_read && !there && !kind->named && !kind->optional && config_kind_used(c, kind)) {
            config_mistake(c, config_place_of(c, 0), "the section [%s] is missing: add it", kind->section);
        }
    }
}

static void run_checks(struct config *c)
{
    for (struct config_section *s = c->sections; s && !c->failed && !arena_failed(c->memory); s = s->next) {
        if (s->left_out || !config_kind_used(c, s->kind)) {
            continue;
        }
        if (s->kind->check) {
            s->kind->check(c, s, s->settings);
        }
        if (s->type && s->type->check) {
            s->type->check(c, s, s->settings);
        }
    }
    for (size_t i = 0; i < c->kind_count && !c->failed && !arena_failed(c->memory); i++) {
        if (c->kinds[i]->check_all && config_kind_used(c, c->kinds[i])) {
            c->kinds[i]->check_all(c);
        }
    }
}

/* The absolute path of the folder that `path` is in; where it does not exist, as near as can be. */
static const char *folder_of(struct config *c, const char *path)
{
    const char *slash = strrchr(path, '/');
    struct view head = slash ? view_make(path, slash == path ? 1 : (size_t)(slash - path)) : VIEW(".");
    const char *folder = config_string(c, head);
    char *real = folder ? realpath(folder, NULL) : NULL;
    if (real) {
        folder = config_string(c, view_of(real));
        free(real);
    }
    return folder;
}

static struct config *config_new(const char *path, const struct config_kind *const *kinds, size_t kind_count,
                                 const char *const *used)
{
    struct config *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    *c = (struct config){
        .memory = arena_new(MEMORY_MAXIMUM), .kinds = kinds, .kind_count = kind_count, .used = used};
    c->sections_end = &c->sections;
    if (!c->memory) {
        goto failed;
    }
    c->path = config_string(c, view_of(path));
    c->folder = c->path ? folder_of(c, c->path) : NULL;
    c->defaults = arena_zeroed(c->memory, kind_count, sizeof *c->defaults);
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    c->credentials = credentials && credentials[0] ? config_string(c, view_of(credentials)) : NULL;
    if (!arena_failed(c->memory)) {
        return c;
    }
failed:
    config_free(c);
    return NULL;
}

struct config *config_load_for(const char *path, const struct config_kind *const *kinds, size_t kind_count,
                               const char *const *used)
{
    struct config *c = config_new(path, kinds, kind_count, used);
    if (!c) {
        return NULL;
    }
    bool was_read = read_file(c) == 0;
    fill_sections(c, was_read);
    if (was_read) {
        run_checks(c);
        secret_check_exposed(c);
    }
    config_mistakes_sort(c);
    if (c->failed || arena_failed(c->memory)) {
        config_free(c);
        return NULL;
    }
    return c;
}

struct config *config_load(const char *path, const struct config_kind *const *kinds, size_t kind_count)
{
    return config_load_for(path, kinds, kind_count, NULL);
}

const char *config_path(const struct config *c)
{
    return c->path;
}

const char *config_folder(const struct config *c)
{
    return c->folder;
}

static const struct config_section *next_of(const struct config_section *s, const char *kind)
{
    while (s && (s->left_out || strcmp(s->kind->section, kind) != 0)) {
        s = s->next;
    }
    return s;
}

const struct config_section *config_first(const struct config *c, const char *kind)
{
    return next_of(c->sections, kind);
}

const struct config_section *config_next(const struct config_section *s)
{
    return next_of(s->next, s->kind->section);
}

const char *config_section_name(const struct config_section *s)
{
    return s->name;
}

const char *config_section_type(const struct config_section *s)
{
    return s->type ? s->type->name : NULL;
}

struct config_place config_section_place(const struct config_section *s)
{
    return config_place_of(s->config, s->line);
}

void *config_section_settings(const struct config_section *s)
{
    return s->settings;
}

struct config_place config_key_place(const struct config_section *s, const char *key)
{
    const struct config_entry *exact = config_entry_find(s, view_of(key));
    if (exact) {
        return config_place_of(s->config, exact->line);
    }
    for (const struct config_entry *e = s->entries; e; e = e->next) {
        bool by_file;
        const struct config_key *found = config_key_find(s->kind, s->type, e->key, &by_file);
        if (found && by_file && !strcmp(found->name, key)) {
            return config_place_of(s->config, e->line);
        }
    }
    return config_place_of(s->config, 0);
}

void *config_settings(const struct config *c, const char *kind)
{
    for (size_t i = 0; i < c->kind_count; i++) {
        if (!strcmp(c->kinds[i]->section, kind)) {
            const struct config_section *s = config_first(c, kind);
            return s && !c->kinds[i]->named ? s->settings : c->defaults[i];
        }
    }
    return NULL;
}

const char *config_resolve(struct config *c, const char *path)
{
    if (path[0] == '/') {
        return config_string(c, view_of(path));
    }
    const char *joint = c->folder[strlen(c->folder) - 1] == '/' ? "" : "/";
    const char *resolved = config_print(c, "%s%s%s", c->folder, joint, path);
    return resolved[0] ? resolved : NULL;
}

void *config_keep(struct config *c, void *allocated, void (*free_it)(void *))
{
    struct config_kept *kept = allocated ? arena_alloc(c->memory, sizeof *kept) : NULL;
    if (!kept) {
        c->failed = true;
        if (allocated) {
            free_it(allocated);
        }
        return NULL;
    }
    *kept = (struct config_kept){.next = c->kept, .allocated = allocated, .free_it = free_it};
    c->kept = kept;
    return allocated;
}

void config_free(struct config *c)
{
    if (!c) {
        return;
    }
    for (struct config_kept *k = c->kept; k; k = k->next) {
        k->free_it(k->allocated);
    }
    free(c->mistakes);
    if (c->memory) {
        arena_wipe(c->memory);
    }
    arena_free(c->memory);
    free(c);
}
