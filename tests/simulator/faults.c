/* Faults: the script's words and errors, and each fault as a client on the other side sees it. */
#include "support/client.h"

#include "simulator/fault.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define FILTER "/1.1/statuses/sample.json"
#define STREAM "/2/tweets/search/stream"

/* ---- the script ---- */

static const char EVERY_FAULT[] =
    "message 1 status code=503 times=2 retry-after=7 reset=9 skew=-60 body=html open=keep\n"
    "second 2.5 refuse seconds=0.25 open=clean\n"
    "connection 3 cut how=mid-character\n"
    "message 4 stall seconds=5\n"
    "message 5 quiet seconds=5\n"
    "message 6 slow bytes=100 seconds=1.001\n"
    "message 7 garbage bytes=5\n"
    "message 8 page times=2\n"
    "message 9 redirect open=reset\n"
    "message 10 json\n"
    "message 11 gzip how=corrupt\n"
    "message 12 disconnect type=SlowReader code=7\n"
    "message 13 duplicate count=3\n"
    "message 14 reorder count=3\n"
    "message 15 rate-limit seconds=60\n"
    "message 16 expired-token\n"
    "message 17 eviction times=3\n"
    "message 18 slow-head seconds=3 times=2\n"
    "message 19 late-flush seconds=3\n"
    "message 20 partial-errors count=3\n"
    "message 21 handshake times=2\n"
    "message 22 usage-capped period=Daily times=3\n"
    "message 23 client-forbidden times=3\n";

static char *printed(const char *text)
{
    struct fault_script script;
    struct err e;
    struct buffer lines = BUFFER(1 << 20);
    cr_assert_eq(fault_script_read(view_of(text), "x", &script, &e), 0, "%s", e.text);
    for (size_t i = 0; i < script.count; i++) {
        fault_print(&script.items[i], &lines);
        buffer_add_byte(&lines, '\n');
    }
    char *copy = strdup(buffer_string(&lines));
    fault_script_free(&script);
    buffer_free(&lines);
    return copy;
}

Test(fault, is_printed_as_it_is_read)
{
    char *text = printed(EVERY_FAULT);
    cr_expect_str_eq(text, EVERY_FAULT);
    free(text);
    text = printed("# a comment\n\n  message 1   cut how=no-last-chunk  # the standard\r\nsecond 10.50 gzip "
                   "how=truncated");
    cr_expect_str_eq(text, "message 1 cut\nsecond 10.5 gzip\n");
    free(text);
}

Test(fault, a_wrong_word_is_an_error_with_its_line)
{
    static const char *const rows[][2] = {
        {"\n\nmessage 5 bogus", "s, line 3: bogus: no such fault"},
        {"byte 5 cut", "s, line 1: byte: a line begins with message, second or connection"},
        {"message 5", "s, line 1: message: WHEN NUMBER FAULT"},
        {"message x cut", "s, line 1: x: not a number"},
        {"message 0 cut", "s, line 1: 0: not a number"},
        {"second -1 cut", "s, line 1: -1: not a number"},
        {"second 1.2345 cut", "s, line 1: 1.2345: not a number"},
        {"message 1 stall", "s, line 1: stall: seconds= is missing"},
        {"message 1 stall seconds=0", "s, line 1: seconds=0: not a value"},
        {"message 1 stall 5", "s, line 1: 5: stall does not know it"},
        {"message 1 stall bytes=5", "s, line 1: bytes=5: stall does not know it"},
        {"message 1 stall seconds=5 seconds=6", "s, line 1: seconds=6: it is said twice"},
        {"message 1 cut how=truncated", "s, line 1: cut: truncated and corrupt are for gzip"},
        {"message 1 gzip how=reset", "s, line 1: gzip: how= is not one"},
        {"message 1 status code=200", "s, line 1: status: a status is 400 to 599"},
        {"message 1 status", "s, line 1: status: code= is missing"},
        {"message 1 disconnect code=13", "s, line 1: disconnect: a status is"},
        {"message 1 disconnect type=x", "s, line 1: type=x: not a value"},
        {"message 1 usage-capped period=Yearly", "s, line 1: period=Yearly: not a value"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fault_script script;
        struct err e = {.text = ""};
        cr_expect_lt(fault_script_read(view_of(rows[i][0]), "s", &script, &e), 0, "%s", rows[i][0]);
        cr_expect(strncmp(e.text, rows[i][1], strlen(rows[i][1])) == 0, "%s: %s", rows[i][0], e.text);
        fault_script_free(&script);
    }
}

Test(fault, random_scripts_are_valid_and_repeatable)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct buffer one = BUFFER(1 << 20), two = BUFFER(1 << 20);
        struct err e;
        cr_assert_eq(fault_script_random(seed, 50, 100, "refuse,handshake", &one, &e), 0);
        cr_assert_eq(fault_script_random(seed, 50, 100, "refuse,handshake", &two, &e), 0);
        cr_assert_str_eq(buffer_string(&one), buffer_string(&two));
        cr_assert(!strstr(buffer_string(&one), "refuse") && !strstr(buffer_string(&one), "handshake"));
        char *text = printed(buffer_string(&one));
        cr_assert_str_eq(text, buffer_string(&one));
        free(text);
        buffer_free(&one);
        buffer_free(&two);
    }
    struct buffer into = BUFFER(1000);
    struct err e;
    cr_expect_lt(fault_script_random(1, 1, 1, "nothing", &into, &e), 0);
    cr_expect_lt(fault_script_random(1, 0, 1, NULL, &into, &e), 0);
    buffer_free(&into);
}

/* A client that backs off as it must waits an hour for each refusal beyond the seventh. */
Test(fault, random_scripts_refuse_an_evicted_client_seven_times_and_then_once_for_each_eviction)
{
    size_t most = 0;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct buffer text = BUFFER(1 << 20);
        struct fault_script script;
        struct err e;
        size_t refused = 0;
        cr_assert_eq(fault_script_random(seed, 60, 80, NULL, &text, &e), 0);
        cr_assert_eq(fault_script_read(buffer_view(&text), "s", &script, &e), 0);
        for (size_t i = 0; i < script.count; i++) {
            int64_t times = script.items[i].values[FAULT_TIMES];
            if (script.items[i].kind == FAULT_EVICTION) {
                cr_expect(times == 1 || refused + (size_t)times <= 7, "seed %llu", (unsigned long long)seed);
                refused += (size_t)times;
            }
        }
        most = refused > most ? refused : most;
        fault_script_free(&script);
        buffer_free(&text);
    }
    cr_expect_geq(most, 7);
}

/* ---- carried out ---- */

struct world {
    struct server server;
    struct simulator_options options;
    char *file;
    int port;
};

static void world_open(struct world *w, const char *faults)
{
    struct buffer lines = BUFFER(1 << 20);
    for (unsigned i = 0; i < 40; i++) {
        char text[40];
        snprintf(text, sizeof text, "coffee n%u.", i);
        add_tweet(&lines, i, "en", text);
    }
    w->file = temporary_file(buffer_string(&lines));
    buffer_free(&lines);
    w->options = SIMULATOR_OPTIONS;
    w->options.file = w->file;
    w->options.no_auth = w->options.no_filter = true;
    w->options.api_2 = true;
    w->options.at_end = SIMULATOR_CLOSE;
    w->options.faults = faults;
    server_start(&w->server, &w->options);
    w->port = simulator_port(w->server.simulator);
}

static void world_close(struct world *w)
{
    server_stop(&w->server);
    unlink(w->file);
    free(w->file);
}

struct seen {
    struct buffer body;
    char *text;
    bool ended, reset;
    int status;
    char date[200], retry[200], limit[200], location[200];
    double seconds;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One request, read until the server ends it. */
static struct seen ask(struct world *w, const char *path, const char *headers)
{
    struct seen s = {.body = BUFFER(1 << 20)};
    struct client c;
    size_t count;
    double start = now();
    client_ask(&c, w->port, path, NULL, headers);
    client_read_until(&c, NULL, 0);
    s.seconds = now() - start;
    client_body(&c, &s.body, NULL, 0, &count, &s.ended);
    s.text = strdup(buffer_string(&s.body));
    s.status = client_status(&c);
    s.reset = c.reset;
    client_header(&c, "Date", s.date);
    client_header(&c, "Retry-After", s.retry);
    client_header(&c, "x-rate-limit-reset", s.limit);
    client_header(&c, "Location", s.location);
    client_close(&c);
    return s;
}

static void forget(struct seen *s)
{
    buffer_free(&s->body);
    free(s->text);
}

static int status_of(struct world *w, const char *path)
{
    struct seen s = ask(w, path, "");
    int status = s.status;
    forget(&s);
    return status;
}

Test(faults, a_stream_is_cut_in_each_way_and_goes_on_behind_what_was_sent)
{
    struct world w;
    world_open(&w, "message 5 cut how=clean\nmessage 10 cut\nmessage 15 cut how=mid-message\nmessage 20 cut "
                   "how=mid-character\n");
    static const char *const last[] = {"n4.", "n9.", "n14.", "n19.", "n39."};
    for (size_t i = 0; i < 5; i++) {
        struct seen s = ask(&w, FILTER, "");
        size_t lines = count_of(&s.body, "\r\n");
        cr_expect(strstr(s.text, last[i]), "cut %zu: %s", i, s.text);
        cr_expect_eq(lines, i < 4 ? 5 : 20);
        cr_expect_eq(s.ended, i == 0 || i == 4);
        const char *end = s.text + s.body.length;
        bool whole = end > s.text && end[-1] == '\n';
        cr_expect_eq(whole, i != 2 && i != 3);
        cr_expect(i != 3 || end[-1] == '\xC3');
        cr_expect(!s.reset);
        forget(&s);
    }
    world_close(&w);
}

Test(faults, a_reset_is_one)
{
    struct world w;
    world_open(&w, "message 5 cut how=reset\n");
    struct seen s = ask(&w, FILTER, "");
    cr_expect(s.reset);
    forget(&s);
    world_close(&w);
}

Test(faults, a_status_comes_as_often_as_it_says_with_its_headers)
{
    struct world w;
    world_open(&w, "second 0 status code=503 times=2 retry-after=7 reset=90 skew=-7200 body=empty\n");
    for (int i = 0; i < 2; i++) {
        struct seen s = ask(&w, i ? STREAM : FILTER, "");
        time_t then = time(NULL) - 7200;
        struct tm t;
        char hour[20];
        gmtime_r(&then, &t);
        strftime(hour, sizeof hour, " %H:", &t);
        cr_expect_eq(s.status, 503);
        cr_expect_str_eq(s.retry, "7");
        cr_expect(atoll(s.limit) >= time(NULL) + 80 && atoll(s.limit) <= time(NULL) + 90, "%s", s.limit);
        cr_expect(strstr(s.date, hour) || then % 3600 < 100, "%s is not two hours ago", s.date);
        cr_expect_str_eq(s.text, "");
        forget(&s);
    }
    cr_expect_eq(status_of(&w, FILTER), 200);
    world_close(&w);
}

Test(faults, answers_that_are_no_stream)
{
    struct world w;
    world_open(&w,
               "second 0 page\nsecond 0 redirect\nsecond 0 json\nsecond 0 expired-token\nsecond 0 eviction\n"
               "connection 6 rate-limit seconds=1\n");
    struct seen s = ask(&w, FILTER, "");
    cr_expect(s.status == 200 && strstr(s.text, "<html>"));
    forget(&s);
    s = ask(&w, STREAM "?tweet.fields=id", "");
    cr_expect(s.status == 302);
    cr_expect_str_eq(s.location, STREAM "?tweet.fields=id");
    forget(&s);
    s = ask(&w, FILTER, "");
    cr_expect(s.status == 200 && strstr(s.text, "{\"status\":\"ok\""));
    forget(&s);
    cr_expect_eq(status_of(&w, FILTER), 401);
    s = ask(&w, STREAM, "");
    cr_expect(s.status == 429 && strstr(s.text, "TooManyConnections"));
    forget(&s);
    double start = now();
    s = ask(&w, STREAM, "");
    cr_expect(s.status == 429 && strstr(s.text, "Too Many Requests") && *s.limit);
    forget(&s);
    int status = 420;
    for (; status == 420; usleep(20000)) {
        status = status_of(&w, FILTER);
    }
    cr_expect(status == 200 && now() - start >= 0.9, "%d", status);
    world_close(&w);
}

Test(faults, an_account_is_spent_or_forbidden)
{
    struct world w;
    world_open(&w, "second 0 usage-capped period=Daily\nsecond 0 client-forbidden times=2\n"
                   "second 0 usage-capped times=3\n");
    struct seen s = ask(&w, STREAM, "");
    cr_expect(s.status == 429 && strstr(s.text, "\"period\":\"Daily\"") && strstr(s.text, "/usage-capped"));
    forget(&s);
    s = ask(&w, STREAM, "");
    cr_expect(s.status == 403 && strstr(s.text, "client-not-enrolled") &&
              strstr(s.text, "/client-forbidden"));
    forget(&s);
    s = ask(&w, FILTER, "");
    cr_expect(s.status == 403 && strstr(s.text, "Please use V2 filtered"));
    forget(&s);
    cr_expect_eq(status_of(&w, FILTER), 200); /* v1.1 counts no posts: passed over */
    world_close(&w);
}

Test(faults, messages_come_twice_in_reverse_or_with_garbage)
{
    struct world w;
    world_open(&w, "message 5 duplicate count=3\nmessage 8 reorder count=4\nmessage 20 garbage bytes=300\n");
    struct seen s = ask(&w, FILTER, "");
    cr_expect_eq(count_of(&s.body, "n2."), 2);
    const char *first = strstr(s.text, "coffee n2."), *again = first ? strstr(first + 1, "coffee n2.") : NULL;
    cr_expect(again && again > strstr(s.text, "coffee n4.") && again < strstr(s.text, "coffee n5."));
    const char *n8 = strstr(s.text, "coffee n8."), *n11 = strstr(s.text, "coffee n11."),
               *n12 = strstr(s.text, "coffee n12.");
    cr_expect(n11 && n8 && n12 && n11 < n8 && n8 < n12);
    forget(&s);
    world_close(&w);
}

Test(faults, silence_lasts_as_long_as_it_says)
{
    static const char *const scripts[] = {"message 5 stall seconds=0.5\n",
                                          "message 5 late-flush seconds=0.5\n",
                                          "message 5 quiet seconds=0.5\n", "second 0 slow-head seconds=0.5\n",
                                          "message 5 slow bytes=2000 seconds=0.5\n"};
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        struct world w;
        world_open(&w, scripts[i]);
        struct seen s = ask(&w, FILTER, "");
        cr_expect(s.seconds >= 0.45, "%s: %f s", scripts[i], s.seconds);
        cr_expect_eq(count_of(&s.body, "coffee n"), 40, "%s", scripts[i]);
        cr_expect(s.ended && s.status == 200);
        forget(&s);
        world_close(&w);
    }
}

Test(faults, what_came_before_a_stall_is_with_the_client)
{
    struct world w;
    world_open(&w, "message 5 stall seconds=600\n");
    struct client c;
    client_ask(&c, w.port, FILTER, NULL, "");
    client_read_until(&c, "n4.", 1);
    struct buffer body = BUFFER(1 << 16);
    size_t count;
    bool ended;
    client_body(&c, &body, NULL, 0, &count, &ended);
    cr_expect_eq(count_of(&body, "coffee n"), 5);
    buffer_free(&body);
    client_close(&c);
    world_close(&w);
}

Test(faults, keep_alives_go_on_while_it_is_quiet)
{
    struct world w;
    w.file = NULL;
    world_open(&w, "message 40 quiet seconds=600\n");
    world_close(&w);
    struct buffer lines = BUFFER(1 << 16);
    add_tweet(&lines, 1, "en", "one");
    add_tweet(&lines, 2, "en", "two");
    w.file = temporary_file(buffer_string(&lines));
    buffer_free(&lines);
    w.options.file = w.file;
    w.options.faults = "message 1 quiet seconds=600\n";
    w.options.keep_alive_ms = 30;
    server_start(&w.server, &w.options);
    struct client c;
    client_ask(&c, simulator_port(w.server.simulator), FILTER, NULL, "");
    client_read_until(&c, "\r\n", 5);
    struct buffer body = BUFFER(1 << 16);
    size_t count;
    bool ended;
    client_body(&c, &body, NULL, 0, &count, &ended);
    cr_expect_eq(count_of(&body, "one"), 1);
    cr_expect_eq(count_of(&body, "two"), 0);
    buffer_free(&body);
    client_close(&c);
    world_close(&w);
}

Test(faults, disconnect_messages_are_those_of_each_api)
{
    struct world w;
    world_open(
        &w,
        "message 5 disconnect type=InternalError code=12\nmessage 10 disconnect type=InternalError code=12\n"
        "message 15 eviction\n");
    struct seen s = ask(&w, FILTER, "");
    cr_expect(strstr(s.text, "{\"disconnect\":{\"code\":12,") && s.ended);
    forget(&s);
    s = ask(&w, STREAM, "");
    cr_expect(strstr(s.text, "\"disconnect_type\":\"InternalError\"") && s.ended, "%s", s.text);
    forget(&s);
    s = ask(&w, FILTER, "");
    cr_expect(strstr(s.text, "{\"disconnect\":{\"code\":7,"), "%s", s.text);
    forget(&s);
    cr_expect_eq(status_of(&w, STREAM), 429);
    cr_expect_eq(status_of(&w, STREAM), 200);
    world_close(&w);
}

Test(faults, partial_errors_stand_beside_the_data)
{
    struct world w;
    world_open(&w, "connection 1 garbage bytes=1\nmessage 5 partial-errors count=2\n");
    struct seen s = ask(&w, STREAM, "");
    cr_expect_eq(count_of(&s.body, "\"errors\":[{"), 2);
    cr_expect_eq(count_of(&s.body, "\"data\":{"), 40);
    forget(&s);
    world_close(&w);
}

Test(faults, compressed_data_break)
{
    struct world w;
    world_open(&w, "message 5 gzip how=truncated\nmessage 10 gzip how=corrupt\n");
    struct client c;
    client_ask(&c, w.port, FILTER, NULL, "Accept-Encoding: gzip\r\n");
    client_read_until(&c, NULL, 0);
    cr_expect(c.closed && !c.reset && memmem(c.bytes.data, c.bytes.length, "\r\n0\r\n\r\n", 7));
    client_close(&c);
    client_ask(&c, w.port, FILTER, NULL, "Accept-Encoding: gzip\r\n");
    client_read_until(&c, NULL, 0);
    char bad[64];
    memset(bad, 0xFF, sizeof bad);
    cr_expect(memmem(c.bytes.data, c.bytes.length, bad, sizeof bad) != NULL);
    client_close(&c);
    world_close(&w);
}

Test(faults, connections_are_refused_and_then_taken_again_at_the_same_port)
{
    struct world w;
    world_open(&w, "message 5 refuse seconds=0.3\nsecond 0 handshake\n");
    struct client c;
    client_ask(&c, w.port, FILTER, NULL, "");
    client_read_until(&c, NULL, 0);
    cr_expect_eq(c.bytes.length, 0, "no handshake, no answer");
    client_close(&c);
    struct seen s = ask(&w, FILTER, "");
    cr_expect(strstr(s.text, "n4.") && !strstr(s.text, "n5."));
    forget(&s);
    char command[200];
    snprintf(command, sizeof command, "curl -s -o /dev/null http://127.0.0.1:%d/", w.port);
    cr_expect_eq(WEXITSTATUS(system(command)), 7, "curl: could not connect");
    int tries = 0;
    while (system(command) != 0 && ++tries < 500) {
        usleep(20000);
    }
    s = ask(&w, FILTER, "");
    cr_expect(strstr(s.text, "n5."));
    forget(&s);
    world_close(&w);
}
