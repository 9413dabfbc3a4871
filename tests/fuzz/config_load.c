/* Fuzz target: any bytes as a configuration file. The loader must come back with settings or mistakes,
 * without a crash, a leak, or a message that is no UTF-8 text of one line. */
#include "base/utf8.h"
#include "bridge/settings.h"
#include "config/config.h"
#include "ingest/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_messages(const struct config *c)
{
    for (size_t i = 0; i < config_mistakes(c); i++) {
        const char *text = config_mistake_text(c, i);
        if (!utf8_valid(view_of(text)) || strchr(text, '\n')) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const struct config_kind *const kinds[] = {&source_kind, &filter_kind, &bridge_kind};
    int fd = memfd_create("config", MFD_CLOEXEC);
    if (fd < 0 || fchmod(fd, 0600) || write(fd, bytes, size) != (ssize_t)size) {
        abort();
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct config *c = config_load(path, kinds, sizeof kinds / sizeof kinds[0]);
    if (c) {
        check_messages(c);
    }
    config_free(c);
    close(fd);
    return 0;
}
