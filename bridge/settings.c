#include "bridge/settings.h"

#include "bridge/address.h"
#include "bridge/frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const plain_choices[] = {"text", "json", "off", NULL};
static const char *const start_choices[] = {"now", "on_client", NULL};
static const char *const when_full_choices[] = {"stop", "drop_oldest", NULL};

int bridge_check_address(const char *value, struct err *why)
{
    struct address a;
    return address_parse(value, &a, why);
}

int bridge_check_listen(const char *value, struct err *why)
{
    struct address a;
    if (address_parse(value, &a, why)) {
        return -1;
    }
    if (!address_is_local(&a)) {
        return err_set(
            why, ERR_FATAL,
            "the bridge is local, since plain clients prove nothing: an address of 127.0.0.0/8, [::1] or a "
            "Unix socket");
    }
    return 0;
}

int bridge_check_marker(const char *value, struct err *why)
{
    struct view marker = view_of(value);
    bool letter = false;
    bool right = marker.length >= 2 && marker.length <= FRAME_MARKER_MAXIMUM;
    for (size_t i = 0; i < marker.length; i++) {
        char c = marker.at[i];
        letter = letter || (c >= 'a' && c <= 'z');
        right = right && c > ' ' && c < 0x7F && !(c >= 'A' && c <= 'Z');
    }
    if (!right || !letter) {
        return err_set(
            why, ERR_FATAL,
            "2 to 32 printable ASCII characters without white space and upper case (clients lowercase "
            "before they split), at least one of them a letter");
    }
    return 0;
}

static void check_section(struct config *c, const struct config_section *s, void *settings)
{
    const struct bridge_settings *b = settings;
    if (b->plain != BRIDGE_PLAIN_JSON || !b->end_marker || bridge_check_marker(b->end_marker, NULL) ||
        frame_marker_escapable(view_of(b->end_marker))) {
        return;
    }
    struct config_place place = config_key_place(s, "end_marker");
    config_mistake(
        c, place.line ? place : config_section_place(s),
        "end_marker does not fit plain = json, since JSON itself can look like it: it needs one of "
        "g-k m o-q v-z or of ! # $ %% & ' ( ) * ; < = > ? @ ^ _ ` | ~, and neither \" nor \\");
}

char *bridge_default_spool(const char *folder, const char *path)
{
    static const char services[] = "/etc/roost", suffix[] = ".conf";
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t length = strlen(name), above = strlen(folder);
    char *spool = NULL;
    if (above < sizeof services - 1 || strcmp(folder + above - (sizeof services - 1), services) != 0 ||
        length < sizeof suffix || strcmp(name + length - (sizeof suffix - 1), suffix) != 0 ||
        !strcmp(name, "roost.conf")) {
        return strdup("/var/lib/roost/spool");
    }
    int bytes = (int)(length - (sizeof suffix - 1));
    return asprintf(&spool, "/var/lib/roost/%.*s/spool", bytes, name) < 0 ? NULL : spool;
}

static void place_spool(struct config *c)
{
    const struct config_section *s = config_first(c, "bridge");
    struct bridge_settings *b = config_settings(c, "bridge");
    if (b && (!s || !config_key_place(s, "spool_dir").line)) {
        char *spool = config_keep(c, bridge_default_spool(config_folder(c), config_path(c)), free);
        b->spool_dir = spool ? spool : b->spool_dir; /* without memory the whole file is refused */
    }
}

#define AT(field) offsetof(struct bridge_settings, field)

static const struct config_key keys[] = {
    {.name = "listen",
     .type = CONFIG_TEXT,
     .offset = AT(listen),
     .fallback = "127.0.0.1:5555",
     .restart = true,
     .check = bridge_check_listen,
     .help = "Where the bridge listens: a local HOST:PORT, or the absolute path of a Unix socket."},
    {.name = "end_marker",
     .type = CONFIG_TEXT,
     .offset = AT(end_marker),
     .fallback = "__end",
     .restart = true,
     .check = bridge_check_marker,
     .help = "What ends each frame; a marker inside a text is broken up."},
    {.name = "plain",
     .type = CONFIG_CHOICE,
     .offset = AT(plain),
     .fallback = "text",
     .restart = true,
     .choices = plain_choices,
     .help =
         "What a client that sends nothing gets: the text of each post, the post as JSON, or nothing (off)."},
    {.name = "start",
     .type = CONFIG_CHOICE,
     .offset = AT(start),
     .fallback = "now",
     .restart = true,
     .choices = start_choices,
     .help =
         "When the network stream is opened: now, or when the first client is there (it then stays open)."},
    {.name = "spool_dir",
     .type = CONFIG_PATH,
     .offset = AT(spool_dir),
     .fallback = "/var/lib/roost/spool",
     .restart = true,
     .help = "Folder of the spool, which keeps each post until all known consumers have it."},
    {.name = "spool_max",
     .type = CONFIG_SIZE,
     .offset = AT(spool_max),
     .fallback = "4GiB",
     .restart = true,
     .min = INT64_C(16) << 20,
     .max = INT64_C(1) << 50,
     .help = "The most that the spool may take on disk."},
    {.name = "spool_sync",
     .type = CONFIG_DURATION,
     .offset = AT(spool_sync),
     .fallback = "100ms",
     .restart = true,
     .min = 0,
     .max = 1000,
     .help = "Least time between two syncs of the spool; consumers get a post once it is synced; 0ms: back "
             "to back."},
    {.name = "when_full",
     .type = CONFIG_CHOICE,
     .offset = AT(when_full),
     .fallback = "stop",
     .restart = true,
     .choices = when_full_choices,
     .help = "What happens at spool_max: stop taking posts, or drop the oldest, also those not yet "
             "acknowledged."},
};

const struct config_kind bridge_kind = {
    .section = "bridge",
    .optional = true,
    .keys = keys,
    .key_count = sizeof keys / sizeof keys[0],
    .settings_size = sizeof(struct bridge_settings),
    .check = check_section,
    .check_all = place_spool,
};
