/* cli/spool.c - `roost spool`: what is in a spool, for people, or its frames as lines of JSON. */
#include "bridge/spool_look.h"

#include "base/log.h"
#include "base/number.h"
#include "cli/command.h"
#include "cli/spool.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct log_context context = {"spool", NULL};

void spool_print_consumers(const struct spool_look *look, FILE *out)
{
    int widest = 0;
    for (size_t i = 0; i < look->consumer_count; i++) {
        int width = (int)strlen(look->consumers[i].name);
        widest = width > widest ? width : widest;
    }
    for (size_t i = 0; i < look->consumer_count; i++) {
        const struct spool_consumer *c = &look->consumers[i];
        fprintf(out, "consumer   %-*s   acknowledged %" PRIu64 "   behind by %" PRIu64 " frames\n", widest,
                c->name, c->acknowledged, spool_look_behind(look, c));
    }
    if (!look->consumer_count) {
        fputs("consumer   none is known\n", out);
    }
}

/* "frames A to B (N in all)", or nothing when there are none. */
static void print_frames(const struct spool_damage *d, FILE *out)
{
    if (d->first <= d->last) {
        fprintf(out, "frames %" PRIu64 " to %" PRIu64 " (%" PRIu64 " in all), ", d->first, d->last,
                d->last - d->first + 1);
    }
}

static void print_damage(const struct spool_look *look, FILE *out)
{
    static const char *const words[] = {[SPOOL_DAMAGE_TORN] = "torn tail: ",
                                        [SPOOL_DAMAGE_CORRUPT] = "corrupt: ",
                                        [SPOOL_DAMAGE_MISSING] = "missing: ",
                                        [SPOOL_DAMAGE_STRAY] = "stray: "};
    size_t shown =
        look->damage_count < SPOOL_LOOK_DAMAGE_MAXIMUM ? look->damage_count : SPOOL_LOOK_DAMAGE_MAXIMUM;
    for (size_t i = 0; i < shown; i++) {
        const struct spool_damage *d = &look->damage[i];
        fprintf(out, "damage     %s", words[d->kind]);
        print_frames(d, out);
        fprintf(out, "%" PRIu64 " bytes in %s%s\n", d->bytes, d->segment,
                d->kind == SPOOL_DAMAGE_TORN ? "; roost listen cuts them off when it opens the spool" : "");
    }
    if (look->damage_count > shown) {
        fprintf(out, "damage     and %zu more places\n", look->damage_count - shown);
    }
}

static void print_look(const char *folder, const struct spool_look *look)
{
    printf("spool      %s\n"
           "identity   %s\n"
           "first      %" PRIu64 "\n"
           "last       %" PRIu64 "\n"
           "held       %" PRIu64 "\n"
           "frames     %" PRIu64 "\n"
           "bytes      %" PRIu64 "\n"
           "segments   %zu\n",
           folder, look->identity[0] ? look->identity : "none", look->first, look->last, look->held,
           look->frames, look->bytes, look->segments);
    spool_print_consumers(look, stdout);
    if (!look->damage_count) {
        puts("damage     none");
    }
    print_damage(look, stdout);
}

static int write_line(void *user, const struct spool_frame *frame, struct err *e)
{
    (void)user;
    if (fwrite(frame->payload.at, 1, frame->payload.length, stdout) != frame->payload.length ||
        putchar('\n') == EOF) {
        return err_set(e, ERR_RETRY, "cannot write to standard output: %s", strerror(errno));
    }
    return 0;
}

static int run(const char *folder, bool cat, uint64_t from, uint64_t to)
{
    const struct spool_look_range range = {.from = from, .to = to, .frame = write_line};
    struct spool_look *look = calloc(1, sizeof *look);
    struct err e;
    if (!look) {
        log_error(&context, "out of memory");
        return 1;
    }
    int result = spool_look(folder, cat ? &range : NULL, look, &e);
    if (result == 0 && cat) {
        print_damage(look, stderr);
    } else if (result == 0) {
        print_look(folder, look);
    }
    free(look);
    if (fflush(stdout) && result == 0) {
        result = err_set(&e, ERR_RETRY, "cannot write to standard output: %s", strerror(errno));
    }
    if (result) {
        log_error(&context, "%s", e.text);
        return err_exit_status(&e);
    }
    return 0;
}

static int spool_run(int argc, char **argv)
{
    static const struct option options[] = {{"cat", no_argument, NULL, 'a'},
                                            {"from", required_argument, NULL, 'f'},
                                            {"to", required_argument, NULL, 't'},
                                            {NULL, 0, NULL, 0}};
    bool cat = false, ranged = false;
    uint64_t from = 1, to = UINT64_MAX;
    optind = 1;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (option == 'a') {
            cat = true;
        } else if ((option == 'f' || option == 't') &&
                   number_parse_unsigned(view_of(optarg), option == 'f' ? &from : &to) == 0) {
            ranged = true;
        } else {
            return command_misuse(&spool_command, "%s is not understood", argv[optind - 1]);
        }
    }
    if (argc - optind != 1) {
        return command_misuse(&spool_command, "one folder, not %d", argc - optind);
    }
    if ((ranged && !cat) || from > to) {
        return command_misuse(&spool_command, ranged && !cat ? "--from and --to go with --cat"
                                                             : "--from is higher than --to");
    }
    signal(SIGPIPE, SIG_DFL); /* `| head` ends it, as any program that prints */
    return run(argv[optind], cat, from, to);
}

const struct command spool_command = {
    .name = "spool",
    .usage = "spool [--cat [--from SEQUENCE] [--to SEQUENCE]] DIR",
    .help = "Shows what is in a spool: its identity, the first, last and held sequence, its size, what each "
            "consumer\n"
            "has acknowledged, and damage. Changes nothing and disturbs nobody, also while roost listen "
            "runs.\n\n"
            "    DIR              spool_dir of [bridge]\n"
            "    --cat            the posts and events instead, a line of JSON each, as they cross the "
            "bridge;\n"
            "                     damage goes to stderr\n"
            "    --from SEQUENCE  with --cat: begins at this one\n"
            "    --to SEQUENCE    with --cat: ends at this one\n\n"
            "Exit status: 0; 1 the spool cannot be read; 2 there is none in DIR, or the arguments are "
            "wrong.\n",
    .run = spool_run,
};
