/* tests/config/support/fixture.h - a folder of its own for a test, files in it, and two small kinds of
 * sections. */
#ifndef ROOST_TESTS_CONFIG_FIXTURE_H
#define ROOST_TESTS_CONFIG_FIXTURE_H

#include "base/view.h"
#include "config/config.h"

#include <sys/types.h>

/* Makes a new folder under $TMPDIR; removed with what is in it by fixture_close. Ends the test when it
 * cannot. */
void fixture_open(void);
void fixture_close(void);

/* Writes a file into the folder and returns its path, valid until fixture_close. */
const char *fixture_write(const char *name, struct view bytes, mode_t mode);

/* [box], unnamed and optional, and [thing NAME] with the types `round` and `square`; `flat` comes later. */
struct box_settings {
    char *address, *folder, *link, *key;
    int mode;
    bool open;
    int64_t count, wait, room;
    struct config_list words;
};
struct thing_settings {
    bool loud;
    char *note;
};
struct round_settings {
    struct thing_settings common;
    int64_t radius;
    char *password;
};
extern const struct config_kind *const fixture_kinds[];
extern const size_t fixture_kind_count;

/* What the check functions saw in the load before: "box thing:one:round all". */
extern char fixture_checks[256];

/* Writes `text` as test.conf (mode 0600) and loads it with the kinds above. */
struct config *fixture_load(const char *text);

#endif
