/* config/reload.c - which keys a reload cannot change although the new file does. */
#include "config/state.h"

static bool same_text(const char *a, const char *b)
{
    return view_equal(view_of(a), view_of(b));
}

static bool same_list(const struct config_list *a, const struct config_list *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!same_text(a->items[i], b->items[i])) {
            return false;
        }
    }
    return true;
}

static bool same_value(const struct config_key *key, const void *left, const void *right)
{
    const void *a = (const char *)left + key->offset, *b = (const char *)right + key->offset;
    switch (key->type) {
    case CONFIG_TEXT:
    case CONFIG_PATH:
    case CONFIG_SECRET:
        return same_text(*(char *const *)a, *(char *const *)b);
    case CONFIG_CHOICE:
        return *(const int *)a == *(const int *)b;
    case CONFIG_FLAG:
        return *(const bool *)a == *(const bool *)b;
    case CONFIG_NUMBER:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        return *(const int64_t *)a == *(const int64_t *)b;
    case CONFIG_LIST:
        return same_list(a, b);
    }
    return true;
}

struct comparison {
    const void *now, *next; /* settings */
    const char *section;
    void (*tell)(void *user, const char *section, const char *key);
    void *user;
};

static void compare_table(const struct comparison *x, const struct config_key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (keys[i].restart && !same_value(&keys[i], x->now, x->next)) {
            x->tell(x->user, x->section, keys[i].name);
        }
    }
}

static void compare_named(const struct config *now, const struct config_kind *kind, struct comparison *x,
                          const struct config *next)
{
    for (const struct config_section *a = config_first(now, kind->section); a; a = config_next(a)) {
        for (const struct config_section *b = config_first(next, kind->section); b; b = config_next(b)) {
            if (a->type != b->type || strcmp(a->name, b->name) != 0) {
                continue;
            }
            x->now = a->settings;
            x->next = b->settings;
            x->section = config_section_shown(b);
            compare_table(x, kind->keys, kind->key_count);
            if (a->type) {
                compare_table(x, a->type->keys, a->type->key_count);
            }
        }
    }
}

void config_each_restart(const struct config *now, struct config *next,
                         void (*tell)(void *user, const char *section, const char *key), void *user)
{
    struct comparison x = {.tell = tell, .user = user};
    for (size_t i = 0; i < next->kind_count; i++) {
        const struct config_kind *kind = next->kinds[i];
        if (kind->named) {
            compare_named(now, kind, &x, next);
            continue;
        }
        x.now = config_settings(now, kind->section);
        x.next = config_settings(next, kind->section);
        x.section = config_print(next, "[%s]", kind->section);
        if (x.now && x.next) {
            compare_table(&x, kind->keys, kind->key_count);
        }
    }
}
