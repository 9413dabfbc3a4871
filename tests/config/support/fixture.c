#include "fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[256];
static char paths[16][320];
static size_t path_count;
char fixture_checks[256];

void fixture_open(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/roost-config-XXXXXX", base && base[0] ? base : "/tmp");
    path_count = 0;
    fixture_checks[0] = '\0';
    unsetenv("CREDENTIALS_DIRECTORY");
    if (!mkdtemp(folder)) {
        perror("mkdtemp");
        exit(1);
    }
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status, (void)type, (void)where;
    return remove(path);
}

void fixture_close(void)
{
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *fixture_write(const char *name, struct view bytes, mode_t mode)
{
    char *path = paths[path_count++ % 16];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    if (fd < 0 || write(fd, bytes.at, bytes.length) != (ssize_t)bytes.length || fchmod(fd, mode)) {
        perror(path);
        exit(1);
    }
    close(fd);
    return path;
}

static void note(const char *text)
{
    size_t used = strlen(fixture_checks);
    snprintf(fixture_checks + used, sizeof fixture_checks - used, "%s%s", used ? " " : "", text);
}

static void check_box(struct config *c, const struct config_section *s, void *settings)
{
    const struct box_settings *box = settings;
    if (box->link && strstr(box->link, "password=")) {
        config_secret(c, s, "link");
    }
    note("box");
}

static void check_thing(struct config *c, const struct config_section *s, void *settings)
{
    (void)c, (void)settings;
    char text[128];
    const char *type = config_section_type(s);
    snprintf(text, sizeof text, "thing:%s:%s", config_section_name(s), type ? type : "-");
    note(text);
}

static void check_round(struct config *c, const struct config_section *s, void *settings)
{
    const struct round_settings *thing = settings;
    if (thing->radius == 13) {
        config_mistake(c, config_key_place(s, "radius"), "radius = 13: another number is right");
    }
}

static void check_all(struct config *c)
{
    (void)c;
    note("all");
}

static int check_address(const char *value, struct err *why)
{
    return strchr(value, ':') ? 0 : err_set(why, ERR_FATAL, "HOST:PORT is right");
}

static const char *const modes[] = {"text", "json", "off", NULL};

#define BOX(field)   offsetof(struct box_settings, field)
#define THING(field) offsetof(struct thing_settings, field)
#define ROUND(field) offsetof(struct round_settings, field)

static const struct config_key box_keys[] = {
    {.name = "address",
     .type = CONFIG_TEXT,
     .offset = BOX(address),
     .fallback = "127.0.0.1:1",
     .restart = true,
     .check = check_address,
     .help = "Where it listens."},
    {.name = "folder", .type = CONFIG_PATH, .offset = BOX(folder), .help = "Where it keeps things."},
    {.name = "link", .type = CONFIG_TEXT, .offset = BOX(link), .hidden = true, .help = "How to get there."},
    {.name = "key", .type = CONFIG_SECRET, .offset = BOX(key), .help = "The secret."},
    {.name = "mode",
     .type = CONFIG_CHOICE,
     .offset = BOX(mode),
     .fallback = "text",
     .choices = modes,
     .help = "How."},
    {.name = "open", .type = CONFIG_FLAG, .offset = BOX(open), .fallback = "yes", .help = "Whether."},
    {.name = "count",
     .type = CONFIG_NUMBER,
     .offset = BOX(count),
     .fallback = "3",
     .min = 1,
     .max = 100,
     .restart = true,
     .help = "How many."},
    {.name = "wait",
     .type = CONFIG_DURATION,
     .offset = BOX(wait),
     .fallback = "1s",
     .min = 10,
     .max = 3600000,
     .help = "How long."},
    {.name = "room",
     .type = CONFIG_SIZE,
     .offset = BOX(room),
     .fallback = "4GiB",
     .min = 1024,
     .max = INT64_MAX,
     .help = "How much."},
    {.name = "words", .type = CONFIG_LIST, .offset = BOX(words), .help = "Which."},
};
static const struct config_key thing_keys[] = {
    {.name = "loud",
     .type = CONFIG_FLAG,
     .offset = THING(loud),
     .fallback = "no",
     .help = "Whether it is loud."},
    {.name = "note", .type = CONFIG_TEXT, .offset = THING(note), .help = "What to know."},
};
static const struct config_key round_keys[] = {
    {.name = "radius",
     .type = CONFIG_NUMBER,
     .offset = ROUND(radius),
     .required = true,
     .help = "How round."},
    {.name = "password",
     .type = CONFIG_SECRET,
     .offset = ROUND(password),
     .required = true,
     .help = "The secret."},
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static const struct config_type_table round_type = {.name = "round",
                                                    .keys = round_keys,
                                                    .key_count = COUNT(round_keys),
                                                    .settings_size = sizeof(struct round_settings),
                                                    .check = check_round};
static const struct config_type_table square_type = {.name = "square",
                                                     .settings_size = sizeof(struct thing_settings)};
static const struct config_type_table *const types[] = {&round_type, &square_type, NULL};
static const char *const later[] = {"flat", NULL};
static const struct config_kind box_kind = {.section = "box",
                                            .optional = true,
                                            .keys = box_keys,
                                            .key_count = COUNT(box_keys),
                                            .settings_size = sizeof(struct box_settings),
                                            .check = check_box};
static const struct config_kind thing_kind = {.section = "thing",
                                              .named = true,
                                              .keys = thing_keys,
                                              .key_count = COUNT(thing_keys),
                                              .settings_size = sizeof(struct thing_settings),
                                              .types = types,
                                              .later_types = later,
                                              .check = check_thing,
                                              .check_all = check_all};
const struct config_kind *const fixture_kinds[] = {&box_kind, &thing_kind};
const size_t fixture_kind_count = COUNT(fixture_kinds);

struct config *fixture_load(const char *text)
{
    return config_load(fixture_write("test.conf", view_of(text), 0600), fixture_kinds, fixture_kind_count);
}
