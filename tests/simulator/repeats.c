/* What a new connection begins with again: the last messages, as they were sent, and nothing twice beyond
 * them. */
#include "simulator/repeats.h"
#include "support/client.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILTER "/1.1/statuses/filter.json"
#define SAMPLE "/1.1/statuses/sample.json"

enum { TWEETS = 40 };

/* Options to play "coffee n0." to "coffee n39.", each fourth "tea" instead. */
static struct simulator_options forty(char **file)
{
    struct buffer lines = BUFFER(1 << 20);
    for (unsigned i = 0; i < TWEETS; i++) {
        char text[40];
        snprintf(text, sizeof text, "%s n%u.", i % 4 == 3 ? "tea" : "coffee", i);
        add_tweet(&lines, i, "en", text);
    }
    *file = temporary_file(buffer_string(&lines));
    buffer_free(&lines);
    struct simulator_options o = SIMULATOR_OPTIONS;
    o.file = *file;
    o.no_auth = true;
    o.at_end = SIMULATOR_CLOSE;
    return o;
}

static void end(struct server *s, char *file)
{
    server_stop(s);
    unlink(file);
    free(file);
}

/* The body of one connection to its end. */
static struct buffer heard(const struct server *s, const char *path, const char *form)
{
    struct client c;
    client_ask(&c, simulator_port(s->simulator), path, form, "");
    client_read_until(&c, NULL, 0);
    struct buffer body = BUFFER(256 << 20);
    size_t count;
    bool ended;
    client_body(&c, &body, NULL, 0, &count, &ended);
    client_close(&c);
    return body;
}

/* The body has these numbers whole, in this order, and no other. */
static void expect_numbers(struct buffer *body, const unsigned *numbers, size_t count)
{
    const char *at = buffer_string(body);
    cr_expect_eq(count_of(body, "}\r\n"), count, "%zu messages in %s", count_of(body, "}\r\n"), at);
    for (size_t i = 0; i < count; i++) {
        char text[20];
        snprintf(text, sizeof text, " n%u.", numbers[i]);
        at = strstr(at, text);
        cr_assert(at, "n%u is message %zu", numbers[i], i);
        at += strlen(text);
    }
    buffer_free(body);
}

static void expect_range(struct buffer *body, unsigned first, unsigned behind)
{
    unsigned numbers[TWEETS];
    for (unsigned i = first; i < behind; i++) {
        numbers[i - first] = i;
    }
    expect_numbers(body, numbers, behind - first);
}

Test(repeats, the_ring_keeps_the_last_and_forgets_what_was_not_sent)
{
    struct repeats r;
    cr_assert_eq(repeats_init(&r, 3), 0);
    char bytes[] = "a";
    for (uint64_t i = 1; i <= 5; i++) {
        bytes[0] = (char)('0' + i);
        repeats_add(&r, (size_t)i, i, view_of(bytes), true);
    }
    cr_assert_eq(r.count, 3);
    for (size_t i = 0; i < 3; i++) {
        cr_expect_eq(repeats_at(&r, i)->position, i + 3);
        cr_expect_eq(repeats_at(&r, i)->bytes.at[0], (char)('3' + i), "a copy, as asked for");
    }
    repeats_drop_behind(&r, 4);
    cr_assert_eq(r.count, 2);
    cr_expect_eq(repeats_at(&r, 1)->position, 4);
    repeats_add(&r, 9, 5, view_of(bytes), false);
    cr_expect_eq(repeats_at(&r, 2)->bytes.at, bytes, "no copy, as asked for");
    repeats_drop_behind(&r, 0);
    cr_expect_eq(r.count, 0);
    repeats_free(&r);
    cr_assert_eq(repeats_init(&r, 0), 0);
    repeats_add(&r, 1, 1, view_of(bytes), true);
    cr_expect_eq(r.count, 0);
    repeats_free(&r);
}

Test(repeats, a_new_connection_begins_with_the_last_messages_of_the_old)
{
    char *file;
    struct simulator_options o = forty(&file);
    o.total = 20;
    o.repeat = 5;
    struct server s;
    server_start(&s, &o);
    struct buffer body = heard(&s, SAMPLE, NULL);
    expect_range(&body, 0, 20);
    for (size_t i = 0; i < 2; i++) {
        body = heard(&s, SAMPLE, NULL);
        expect_range(&body, 15, 20);
    }
    body = heard(&s, FILTER, "track=tea");
    expect_numbers(&body, (unsigned[]){15, 19}, 2);
    end(&s, file);
}

Test(repeats, a_cut_stream_goes_on_behind_the_repeats_and_they_do_not_count_for_the_cut)
{
    char *file;
    struct simulator_options o = forty(&file);
    o.cut_after = 10;
    o.repeat = 12;
    struct server s;
    server_start(&s, &o);
    struct buffer body = heard(&s, SAMPLE, NULL);
    expect_range(&body, 0, 10);
    body = heard(&s, SAMPLE, NULL);
    expect_range(&body, 0, 20);
    body = heard(&s, SAMPLE, NULL);
    expect_range(&body, 8, 30);
    end(&s, file);
}

Test(repeats, with_fresh_ids_a_repeated_tweet_has_the_id_it_had)
{
    char *file;
    struct simulator_options o = forty(&file);
    o.fresh_ids = true;
    o.repeat = 7;
    struct server s;
    server_start(&s, &o);
    struct buffer first = heard(&s, SAMPLE, NULL), second = heard(&s, SAMPLE, NULL);
    cr_expect_eq(count_of(&first, "}\r\n"), TWEETS);
    cr_expect_eq(count_of(&second, "}\r\n"), 7);
    cr_assert(first.length > second.length);
    cr_expect_str_eq(buffer_string(&first) + (first.length - second.length), buffer_string(&second));
    buffer_free(&first);
    buffer_free(&second);
    end(&s, file);
}

Test(repeats, a_stream_with_a_rate_gives_back_what_nobody_heard)
{
    char *file;
    struct simulator_options o = forty(&file);
    o.rate = 200;
    o.wait_for_client = true;
    o.repeat = 1000;
    struct server s;
    server_start(&s, &o);
    struct client c;
    client_ask(&c, simulator_port(s.simulator), SAMPLE, NULL, "");
    client_read_until(&c, "}\r\n", 3);
    client_close(&c);
    struct buffer body = heard(&s, SAMPLE, NULL);
    expect_range(&body, 0, TWEETS);
    end(&s, file);
}

Test(repeats, the_repeats_of_a_stream_with_a_rate_fit_into_its_queue)
{
    char *file;
    struct simulator_options o = forty(&file);
    o.rate = 100000;
    o.repeat = 1000;
    o.queue = 4096;
    struct server s;
    server_start(&s, &o);
    struct buffer body = {0};
    do { /* until all is played, so that only repeats are left */
        buffer_free(&body);
        body = heard(&s, SAMPLE, NULL);
    } while (!count_of(&body, " n39."));
    cr_expect_eq(count_of(&body, "\"disconnect\""), 0);
    cr_expect_leq(body.length, 2048 + 200);
    cr_expect_gt(body.length, 1024, "%zu", body.length);
    buffer_free(&body);
    end(&s, file);
}

Test(repeats, more_than_the_most_is_an_error)
{
    struct err e;
    struct simulator_options o = SIMULATOR_OPTIONS;
    o.repeat = SIMULATOR_REPEAT_MAX + 1;
    cr_expect_null(simulator_open(&o, &e));
    cr_expect_eq(err_exit_status(&e), 2);
}
