/* config/sections.c - the entries of one section through the key tables of its kind and type. */
#include "config/ini.h"
#include "config/state.h"
#include "config/suggest.h"

bool config_key_has_file(const struct config_key *key)
{
    return key->type == CONFIG_SECRET || (key->type == CONFIG_TEXT && key->hidden);
}

struct config_entry *config_entry_find(const struct config_section *s, struct view key)
{
    for (struct config_entry *e = s->entries; e; e = e->next) {
        if (view_equal(e->key, key)) {
            return e;
        }
    }
    return NULL;
}

static const struct config_key *find_in(const struct config_key *keys, size_t count, struct view name,
                                        bool by_file)
{
    for (size_t i = 0; i < count; i++) {
        if (view_is(name, keys[i].name) && (!by_file || config_key_has_file(&keys[i]))) {
            return &keys[i];
        }
    }
    return NULL;
}

const struct config_key *config_key_find(const struct config_kind *kind, const struct config_type_table *type,
                                         struct view name, bool *by_file)
{
    struct view ending = VIEW("_file");
    struct view stem = view_none();
    if (name.length > ending.length && view_equal(view_from(name, name.length - ending.length), ending)) {
        stem = view_make(name.at, name.length - ending.length);
    }
    for (int pass = 0; pass < 2; pass++) {
        struct view wanted = pass ? stem : name;
        const struct config_key *key = type ? find_in(type->keys, type->key_count, wanted, pass) : NULL;
        if (!key) {
            key = find_in(kind->keys, kind->key_count, wanted, pass);
        }
        if (key) {
            *by_file = pass;
            return key;
        }
    }
    return NULL;
}

/* The types' names for a message, "x-v1, x-v2". */
static const char *types_shown(struct config *c, const struct config_kind *kind)
{
    const char *all = "";
    for (size_t i = 0; kind->types[i]; i++) {
        all = config_print(c, "%s%s%s", all, i ? ", " : "", kind->types[i]->name);
    }
    return all;
}

static void report_type(struct config *c, struct config_section *s, struct view name,
                        struct config_place place)
{
    struct suggest near = suggest_for(name);
    for (size_t i = 0; s->kind->later_types && s->kind->later_types[i]; i++) {
        if (view_is(name, s->kind->later_types[i])) {
            s->later_type = true;
            config_mistake(c, place, "type = %s: this version of roost does not have it: it has %s",
                           config_shown(c, name), types_shown(c, s->kind));
            return;
        }
        suggest_offer(&near, s->kind->later_types[i]);
    }
    for (size_t i = 0; s->kind->types[i]; i++) {
        suggest_offer(&near, s->kind->types[i]->name);
    }
    const char *hint = near.best ? config_print(c, " (did you mean %s?)", near.best) : "";
    config_mistake(c, place, "type = %s: one of %s is right%s", config_shown(c, name),
                   types_shown(c, s->kind), hint);
}

/* Finds what `type` says; the type's table decides which keys the section has. */
static void find_type(struct config *c, struct config_section *s)
{
    if (!s->kind->types) {
        return;
    }
    const struct config_entry *entry = config_entry_find(s, VIEW("type"));
    if (!entry || (!entry->raw.length && !entry->broken)) {
        config_mistake(c, config_place_of(c, entry ? entry->line : s->line), "%s has no type: add type = %s",
                       config_section_shown(s), types_shown(c, s->kind));
        return;
    }
    char *text = arena_alloc(c->memory, entry->raw.length + 1);
    if (!text || entry->broken) {
        return;
    }
    struct view name = view_make(text, ini_unquote(entry->raw, text));
    for (size_t i = 0; s->kind->types[i]; i++) {
        if (view_is(name, s->kind->types[i]->name)) {
            s->type = s->kind->types[i];
            return;
        }
    }
    report_type(c, s, name, config_place_of(c, entry->line));
}

static void set_defaults(struct config *c, const struct config_key *keys, size_t count, void *settings)
{
    for (size_t i = 0; i < count; i++) {
        if (keys[i].fallback && keys[i].fallback[0]) {
            value_read(c, &keys[i], view_of(keys[i].fallback), config_place_of(c, 0), settings);
        }
    }
}

void *section_defaults(struct config *c, const struct config_kind *kind, const struct config_type_table *type)
{
    size_t size =
        type && type->settings_size > kind->settings_size ? type->settings_size : kind->settings_size;
    void *settings = arena_zeroed(c->memory, 1, size);
    if (settings) {
        set_defaults(c, kind->keys, kind->key_count, settings);
        if (type) {
            set_defaults(c, type->keys, type->key_count, settings);
        }
    }
    return settings;
}

static void offer_keys(struct config *c, struct suggest *near, const struct config_key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        suggest_offer(near, keys[i].name);
        if (config_key_has_file(&keys[i])) {
            suggest_offer(near, config_print(c, "%s_file", keys[i].name));
        }
    }
}

/* The section in which a key would be right: "[bridge]"; NULL: none. */
static const char *right_section(struct config *c, const struct config_section *s, struct view key)
{
    bool by_file;
    for (size_t i = 0; i < c->kind_count; i++) {
        const struct config_kind *kind = c->kinds[i];
        const char *name = kind->named ? " NAME" : "";
        if (kind != s->kind && config_key_find(kind, NULL, key, &by_file)) {
            return config_print(c, "[%s%s]", kind->section, name);
        }
        for (size_t j = 0; kind->types && kind->types[j]; j++) {
            if (config_key_find(kind, kind->types[j], key, &by_file)) {
                return config_print(c, "[%s%s] of type %s", kind->section, name, kind->types[j]->name);
            }
        }
    }
    return NULL;
}

static const char *keys_shown(struct config *c, const struct config_section *s)
{
    const char *all = s->kind->types ? "type" : "";
    for (size_t i = 0; i < s->kind->key_count; i++) {
        all = config_print(c, "%s%s%s", all, all[0] ? ", " : "", s->kind->keys[i].name);
    }
    for (size_t i = 0; s->type && i < s->type->key_count; i++) {
        all = config_print(c, "%s%s%s", all, all[0] ? ", " : "", s->type->keys[i].name);
    }
    return all;
}

static void report_unknown(struct config *c, const struct config_section *s, const struct config_entry *entry)
{
    if (c->mistake_count >= CONFIG_MISTAKES_MAXIMUM) {
        c->mistakes_left_out++;
        return;
    }
    struct config_place place = config_place_of(c, entry->line);
    const char *shown = config_shown_name(c, "key", entry->key);
    const char *section = config_section_shown(s);
    struct suggest near = suggest_for(entry->key);
    offer_keys(c, &near, s->kind->keys, s->kind->key_count);
    if (s->type) {
        offer_keys(c, &near, s->type->keys, s->type->key_count);
    }
    if (s->kind->types) {
        suggest_offer(&near, "type");
    }
    const char *right = right_section(c, s, entry->key);
    if (right) {
        config_mistake(c, place, "%s is unknown in %s: it belongs in %s", shown, section, right);
    } else if (near.best) {
        config_mistake(c, place, "%s is unknown in %s: did you mean %s?", shown, section, near.best);
    } else {
        config_mistake(c, place, "%s is unknown in %s: its keys are %s", shown, section, keys_shown(c, s));
    }
}

/* Without its type a section may hold the keys of any type. */
static bool may_be_known(const struct config_section *s, struct view key)
{
    bool by_file;
    for (size_t i = 0; !s->type && s->kind->types && s->kind->types[i]; i++) {
        if (config_key_find(s->kind, s->kind->types[i], key, &by_file)) {
            return true;
        }
    }
    return s->later_type;
}

static void read_entry(struct config *c, struct config_section *s, struct config_entry *entry)
{
    bool by_file;
    const struct config_key *key = config_key_find(s->kind, s->type, entry->key, &by_file);
    if (!key) {
        if (!(s->kind->types && view_is(entry->key, "type")) && !may_be_known(s, entry->key)) {
            report_unknown(c, s, entry);
        }
        return;
    }
    struct config_entry *other = by_file ? config_entry_find(s, view_of(key->name)) : NULL;
    if (other) {
        config_mistake(c, config_place_of(c, entry->line > other->line ? entry->line : other->line),
                       "%s and %s_file are both given, the other one on line %u: keep one of them", key->name,
                       key->name, entry->line > other->line ? other->line : entry->line);
        return;
    }
    if (entry->broken) {
        return;
    }
    if (!by_file) {
        value_read(c, key, entry->raw, config_place_of(c, entry->line), s->settings);
    } else if (config_kind_used(c, s->kind)) {
        secret_read_file(c, key, entry, s->settings);
    }
}

/* A required key counts as given when its line or its file's line is there and not empty. */
static void check_required(struct config *c, const struct config_section *s, const struct config_key *keys,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct config_key *key = &keys[i];
        bool has_file = config_key_has_file(key);
        const struct config_entry *entry = config_entry_find(s, view_of(key->name));
        if (!entry && has_file) {
            entry = config_entry_find(s, view_of(config_print(c, "%s_file", key->name)));
        }
        if (!key->required || (entry && (entry->raw.length || entry->broken))) {
            continue;
        }
        const char *twin = has_file ? config_print(c, " or %s_file", key->name) : "";
        config_mistake(c, config_place_of(c, s->line), "%s has no %s: add %s%s%s%s", config_section_shown(s),
                       key->name, key->name, twin, key->help ? ". " : "", key->help ? key->help : "");
    }
}

void section_fill(struct config *c, struct config_section *s)
{
    find_type(c, s);
    s->settings = section_defaults(c, s->kind, s->type);
    if (!s->settings) {
        return;
    }
    for (struct config_entry *e = s->entries; e; e = e->next) {
        read_entry(c, s, e);
    }
    if (s->left_out || s->later_type || !config_kind_used(c, s->kind)) {
        return;
    }
    check_required(c, s, s->kind->keys, s->kind->key_count);
    if (s->type) {
        check_required(c, s, s->type->keys, s->type->key_count);
    }
}
