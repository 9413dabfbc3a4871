/* cli/consumer.c - `roost consumer`: who the spool keeps frames for, and an end to that.
 *
 * The list is read from the files. Forgetting needs the one who writes them: the bridge, where one runs; this
 * process, under the spool's lock, where none does. Which of the two it is can change at any moment (a bridge
 * that starts has the lock before it listens), so both are tried in turn for a short while.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/wipe.h"
#include "bridge/client.h"
#include "bridge/settings.h"
#include "bridge/spool.h"
#include "bridge/spool_look.h"
#include "cli/command.h"
#include "cli/kinds.h"
#include "cli/spool.h"

#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATIENCE_MS = 2000, PAUSE_MS = 100, ANSWER_MS = 5000 };

static const struct log_context context = {"consumer", NULL};

static int list(const struct bridge_settings *bridge, struct err *e)
{
    struct spool_look *look = calloc(1, sizeof *look);
    if (!look) {
        return err_set(e, ERR_RETRY, "out of memory");
    }
    int result = spool_look(bridge->spool_dir, NULL, look, e);
    if (result == 0) {
        spool_print_consumers(look, stdout);
    }
    free(look);
    return result;
}

/* The bridge's token on the heap; NULL: this user cannot read it, so the bridge must know the user. */
static char *read_token(const char *folder)
{
    struct buffer bytes = BUFFER(256);
    char *path = NULL, *token = NULL;
    if (asprintf(&path, "%s/token", folder) >= 0 && file_read(path, &bytes, NULL) == 0) {
        token = view_copy(view_trim(buffer_view(&bytes)));
    }
    free(path);
    wipe_buffer(&bytes);
    return token;
}

static int ask_bridge(const struct bridge_settings *bridge, const char *name, struct err *e)
{
    char *token = read_token(bridge->spool_dir);
    const struct bridge_client_settings settings = {bridge->listen, name, token};
    struct bridge_client *c = bridge_client_new(&settings, e);
    int result = c ? bridge_client_forget(c, ANSWER_MS, e) : -1;
    bridge_client_free(c);
    wipe_string(token);
    return result;
}

static int forget(const struct bridge_settings *bridge, const char *name, struct err *e)
{
    int64_t end_ms = clock_real_ms() + PATIENCE_MS;
    for (;;) {
        int result = spool_forget_closed(bridge->spool_dir, name, e);
        if (result > 0) {
            result = ask_bridge(bridge, name, e);
        }
        if (result == 0) {
            printf("consumer %s is forgotten\n", name);
            return 0;
        }
        if (e->kind != ERR_RETRY || clock_real_ms() >= end_ms) {
            return -1;
        }
        poll(NULL, 0, PAUSE_MS);
    }
}

static int consumer_run(int argc, char **argv)
{
    static const char *const used[] = {"bridge", NULL};
    const char *path = kinds_path_and_words(&consumer_command, argc, argv, 2);
    if (!path) {
        return 2;
    }
    int words = argc - optind;
    bool lists = words == 1 && view_is(VIEW("list"), argv[optind]);
    bool forgets = words == 2 && view_is(VIEW("forget"), argv[optind]);
    const char *name = forgets ? argv[optind + 1] : NULL;
    if (!lists && !forgets) {
        return command_misuse(&consumer_command, "either \"list\" or \"forget NAME\" is wanted");
    }
    struct config *config = kinds_load(path, used);
    if (!config) {
        return 2;
    }
    const struct bridge_settings *bridge = config_settings(config, "bridge");
    struct err e;
    int status = 0;
    if (lists ? list(bridge, &e) : forget(bridge, name, &e)) {
        log_error(&context, "%s", e.text);
        status = e.kind == ERR_REJECT ? 2 : err_exit_status(&e);
    }
    config_free(config);
    return status;
}

const struct command consumer_command = {
    .name = "consumer",
    .usage = "consumer list|forget NAME [-c FILE]",
    .help = "The consumers that the spool keeps frames for, and an end to one of them.\n\n"
            "    list          each with what it has acknowledged and how many frames it is behind\n"
            "    forget NAME   keeps nothing for it any more; for one that will not come back. Works while\n"
            "                  roost listen runs (not while NAME is connected) and while it does not\n"
            "    -c FILE       the configuration (default /etc/roost/roost.conf)\n",
    .run = consumer_run,
};
