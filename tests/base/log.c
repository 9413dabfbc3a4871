/* tests/base/log.c - what a line is on stderr and for journald, and what becomes of lines that repeat. */
#include "base/log.h"
#include "base/clock.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct log_context source = {"ingest", "covid"};
static int file = -1;

/* stderr is a file of this test's own. */
static void capture(void)
{
    char path[] = "/tmp/roost-test-log-XXXXXX";
    file = mkstemp(path);
    cr_assert_geq(file, 0);
    unlink(path);
    cr_assert_eq(dup2(file, STDERR_FILENO), STDERR_FILENO);
    unsetenv("JOURNAL_STREAM");
}

TestSuite(log, .init = capture);

static const char *written(void)
{
    static char text[65536];
    ssize_t n = pread(file, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static int count(const char *needle)
{
    int n = 0;
    for (const char *at = written(); (at = strstr(at, needle)) != NULL; at += strlen(needle)) {
        n++;
    }
    return n;
}

Test(log, an_event_is_one_line_with_its_part_and_only_as_loud_as_is_wished)
{
    log_info(&source, "two\nlines\r");
    log_debug(&source, "quiet");
    log_error(NULL, "nobody's");
    cr_expect_eq(count(" ingest covid: two lines \n"), 1);
    cr_expect_eq(count("quiet"), 0);
    cr_expect_eq(count(" ERROR nobody's\n"), 1);
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug(&source, "quiet");
    cr_expect_eq(count(" debug ingest covid: quiet\n"), 1);
    log_set_level(LOG_LEVEL_WARNING);
    log_notice(&source, "not this");
    cr_expect_eq(count("not this"), 0);
}

Test(log, journald_gets_its_fields_and_no_line_can_add_one)
{
    char entry[1000];
    size_t n = log_journal_entry(entry, sizeof entry, LOG_LEVEL_WARNING, &source, "ingest covid: lost");
    entry[n] = '\0';
    cr_expect_str_eq(entry, "PRIORITY=4\nSYSLOG_IDENTIFIER=roost\nROOST_MODULE=ingest\nROOST_SOURCE=covid\n"
                            "MESSAGE=ingest covid: lost\n");
    log_set_batch(INT64_C(1539202759211));
    const struct log_context sink = {"sink", "main"};
    n = log_journal_entry(entry, sizeof entry, LOG_LEVEL_INFO, &sink, "back");
    entry[n] = '\0';
    cr_expect_str_eq(entry, "PRIORITY=6\nSYSLOG_IDENTIFIER=roost\nROOST_MODULE=sink\nROOST_SINK=main\n"
                            "ROOST_BATCH=2018-10-10T20:19:19.211Z\nMESSAGE=back\n");
    log_set_batch(CLOCK_NONE);
    n = log_journal_entry(entry, 60, LOG_LEVEL_INFO, NULL,
                          "a line that is longer than there is room for here");
    cr_expect_leq(n, 60);
    cr_expect_eq(entry[n - 1], '\n', "cut, it is still an entry");
}

Test(log, only_a_stderr_that_is_the_journals_gets_priorities)
{
    struct stat status;
    char stream[64];
    setenv("JOURNAL_STREAM", "1:2", 1);
    log_warning(&source, "elsewhere");
    cr_expect_eq(count(" WARNING ingest covid: elsewhere\n"), 1, "inherited from a service, but redirected");
    fstat(STDERR_FILENO, &status);
    snprintf(stream, sizeof stream, "%lu:%lu", (unsigned long)status.st_dev, (unsigned long)status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    if (access("/run/systemd/journal/socket", F_OK) == 0) {
        return; /* then it went there */
    }
    log_warning(&source, "here");
    cr_expect_eq(count("<4>ingest covid: here\n"), 1);
}

Test(log, what_repeats_is_counted_once_it_is_a_flood)
{
    log_collapse();
    for (int i = 0; i < LOG_BURST + 70; i++) {
        log_warning(&source, "attempt %d failed", i);
        log_error(&source, "%s", i % 2 ? "odd" : "even");
    }
    log_warning(&source, "something else");
    cr_expect_eq(count("attempt "), LOG_BURST);
    cr_expect_eq(count(": odd\n"), LOG_BURST, "words that are an argument are words");
    cr_expect_eq(count("something else"), 1);
    log_settle(false);
    cr_expect_eq(count("left out"), 0, "its minute is not over");
    log_settle(true);
    cr_expect_eq(count("WARNING ingest covid: attempt 99 failed (the latest of 70 such lines that were left "
                       "out within a "
                       "minute)\n"),
                 1, "%s", written());
    log_settle(true);
    cr_expect_eq(count("left out"), 3, "attempts, odd, even; once each");
    log_warning(&source, "attempt %d failed", 1000);
    cr_expect_eq(count("attempt 1000 failed"), 1, "a new minute");
}

Test(log, more_kinds_of_lines_than_are_remembered_lose_no_count)
{
    log_collapse();
    for (int i = 0; i < LOG_BURST + 5; i++) {
        log_warning(&source, "the flood");
    }
    for (int i = 0; i < 100; i++) {
        char text[32];
        snprintf(text, sizeof text, "kind %d", i);
        log_warning(&source, "%s", text);
    }
    cr_expect_eq(count("the latest of 5 such lines"), 1, "said when its place was needed");
    cr_expect_eq(count("kind "), 100);
}
