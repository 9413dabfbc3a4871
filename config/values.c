/* config/values.c - one value as text into one field of a settings struct, by the type of its key. */
#include "base/number.h"
#include "config/ini.h"
#include "config/state.h"

struct unit {
    const char *name;
    int64_t size;
};

/* Ascending, so that the last one that divides a number shows it shortest. */
static const struct unit duration_units[] = {{"ms", 1},      {"s", 1000},     {"min", 60000},
                                             {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit size_units[] = {{"", 1},
                                         {"KiB", 1024},
                                         {"MiB", 1024 * 1024},
                                         {"GiB", INT64_C(1024) * 1024 * 1024},
                                         {"TiB", INT64_C(1024) * 1024 * 1024 * 1024},
                                         {NULL, 0}};

static const char *amount_shown(struct config *c, const struct unit *units, int64_t amount)
{
    const struct unit *best = units;
    for (const struct unit *u = units; u->name; u++) {
        best = amount && amount % u->size == 0 ? u : best;
    }
    return config_print(c, "%lld%s", (long long)(amount / best->size), best->name);
}

/* "from 10ms to 1h"; "" when the key has no limits. */
static const char *range_shown(struct config *c, const struct config_key *key, const struct unit *units)
{
    if (!key->min && !key->max) {
        return "";
    }
    return config_print(c, ", from %s to %s", amount_shown(c, units, key->min),
                        amount_shown(c, units, key->max));
}

static int read_amount(const struct config_key *key, const struct unit *units, struct view text,
                       int64_t *amount)
{
    size_t digits = 0;
    while (digits < text.length && text.at[digits] >= '0' && text.at[digits] <= '9') {
        digits++;
    }
    struct view unit = view_from(text, digits);
    int64_t number;
    if (number_parse(view_make(text.at, digits), 0, INT64_MAX, &number)) {
        return -1;
    }
    for (const struct unit *u = units; u->name; u++) {
        if (view_is(unit, u->name)) {
            bool limits = key->min || key->max;
            return __builtin_mul_overflow(number, u->size, amount) ||
                           (limits && (*amount < key->min || *amount > key->max))
                       ? -1
                       : 0;
        }
    }
    return -1;
}

static int read_number(struct config *c, const struct config_key *key, struct view text, int64_t *number,
                       const char **why)
{
    bool limits = key->min || key->max;
    if (number_parse(text, limits ? key->min : 0, limits ? key->max : INT64_MAX, number) == 0) {
        return 0;
    }
    *why = limits ? config_print(c, "a whole number from %lld to %lld is right", (long long)key->min,
                                 (long long)key->max)
                  : "a whole number, 0 or more, is right";
    return -1;
}

static int read_choice(struct config *c, const struct config_key *key, struct view text, int *index,
                       const char **why)
{
    const char *all = "";
    for (int i = 0; key->choices[i]; i++) {
        if (view_is(text, key->choices[i])) {
            *index = i;
            return 0;
        }
        all = config_print(c, "%s%s%s", all, i ? ", " : "", key->choices[i]);
    }
    *why = config_print(c, "one of %s is right", all);
    return -1;
}

static int read_flag(struct view text, bool *flag, const char **why)
{
    if (!view_is(text, "yes") && !view_is(text, "no")) {
        *why = "yes or no is right";
        return -1;
    }
    *flag = view_is(text, "yes");
    return 0;
}

static void report(struct config *c, const struct config_key *key, struct view value,
                   struct config_place place, const char *why)
{
    if (key->hidden || key->type == CONFIG_SECRET) {
        config_mistake(c, place, "%s: %s", key->name, why);
    } else {
        config_mistake(c, place, "%s = %s: %s", key->name, config_shown(c, value), why);
    }
}

/* Asks the key's own check; place.line 0 is a default, which its table answers for. */
static bool check_passes(struct config *c, const struct config_key *key, struct view value,
                         struct config_place place)
{
    struct err why = {.text = "this value cannot be used"};
    if (!key->check || !place.line || key->check(value.at, &why) == 0) {
        return true;
    }
    report(c, key, value, place, why.text);
    return false;
}

static size_t count_items(struct view raw)
{
    struct view item;
    size_t count = 0;
    while (ini_next_item(&raw, &item)) {
        count++;
    }
    return count;
}

static void read_list(struct config *c, const struct config_key *key, struct view raw,
                      struct config_place place, struct config_list *list)
{
    *list = (struct config_list){.place = place};
    if (!raw.length) {
        return;
    }
    list->items = arena_zeroed(c->memory, count_items(raw), sizeof *list->items);
    struct view item;
    for (size_t number = 1; list->items && ini_next_item(&raw, &item); number++) {
        if (!item.length) {
            config_mistake(c, place, "%s: item %zu is empty: one comma too many", key->name, number);
            continue;
        }
        char *text = config_string(c, item);
        if (text && check_passes(c, key, view_make(text, item.length), place)) {
            list->items[list->count++] = text;
        }
    }
}

/* Types that hold one word or number. */
static int read_scalar(struct config *c, const struct config_key *key, struct view text, void *field,
                       const char **why)
{
    switch (key->type) {
    case CONFIG_CHOICE:
        return read_choice(c, key, text, field, why);
    case CONFIG_FLAG:
        return read_flag(text, field, why);
    case CONFIG_NUMBER:
        return read_number(c, key, text, field, why);
    case CONFIG_DURATION:
        if (read_amount(key, duration_units, text, field)) {
            *why = config_print(c, "a whole number with ms, s, min, h or d right behind it is right%s",
                                range_shown(c, key, duration_units));
            return -1;
        }
        return 0;
    case CONFIG_SIZE:
        if (read_amount(key, size_units, text, field)) {
            *why =
                config_print(c, "a number of bytes, or with KiB, MiB, GiB or TiB right behind it, is right%s",
                             range_shown(c, key, size_units));
            return -1;
        }
        return 0;
    case CONFIG_TEXT:
    case CONFIG_PATH:
    case CONFIG_SECRET:
    case CONFIG_LIST:
        break;
    }
    return 0;
}

static bool is_text(const struct config_key *key)
{
    return key->type == CONFIG_TEXT || key->type == CONFIG_PATH || key->type == CONFIG_SECRET;
}

/* An empty value is "none" where none is possible; elsewhere it says nothing. */
static void read_empty(struct config *c, const struct config_key *key, struct config_place place,
                       char **field)
{
    bool has_default = key->fallback && key->fallback[0];
    if (is_text(key) && !has_default) {
        *field = NULL;
    } else if (has_default) {
        config_mistake(c, place, "%s has no value: leave the line out for the default, %s", key->name,
                       key->fallback);
    } else {
        config_mistake(c, place, "%s has no value: give it one, or leave the line out", key->name);
    }
}

void value_read(struct config *c, const struct config_key *key, struct view raw, struct config_place place,
                void *settings)
{
    void *field = (char *)settings + key->offset;
    if (key->type == CONFIG_LIST) {
        read_list(c, key, raw, place, field);
        return;
    }
    char *text = arena_alloc(c->memory, raw.length + 1);
    if (!text) {
        return;
    }
    struct view value = view_make(text, ini_unquote(raw, text));
    if (!value.length) {
        read_empty(c, key, place, field);
        return;
    }
    const char *why = "";
    if (is_text(key)) {
        if (!check_passes(c, key, value, place)) {
            return;
        }
        *(char **)field = key->type == CONFIG_PATH ? (char *)config_resolve(c, text) : text;
        if (key->type == CONFIG_SECRET && place.line) {
            secret_note_inline(c, place);
        }
    } else if (read_scalar(c, key, value, field, &why)) {
        report(c, key, value, place, why);
    } else {
        check_passes(c, key, value, place);
    }
}
