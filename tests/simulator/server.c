/* The server over real sockets: what each request is answered, what the stream looks like, who is let in. */
#include "support/client.h"

#include <criterion/criterion.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <oauth.h>

#define FILTER "/1.1/statuses/filter.json"
#define SAMPLE "/1.1/statuses/sample.json"

struct world {
    struct server server;
    struct simulator_options options;
    char *file;
    int port;
};

/* Forty tweets, "coffee 0" to "coffee 39", each fourth "tea" instead and in French; deletes between them. */
static void world_make(struct world *w)
{
    struct buffer lines = BUFFER(1 << 20);
    for (unsigned i = 0; i < 40; i++) {
        char text[40];
        snprintf(text, sizeof text, "%s n%u.", i % 4 == 3 ? "tea" : "coffee", i);
        add_tweet(&lines, i, i % 4 == 3 ? "fr" : "en", text);
        if (i % 10 == 9) {
            buffer_add_text(&lines, "{\"delete\":{\"status\":{\"id\":1,\"id_str\":\"1\"}}}\n");
        }
    }
    w->file = temporary_file(buffer_string(&lines));
    buffer_free(&lines);
    w->options = SIMULATOR_OPTIONS;
    w->options.file = w->file;
    w->options.no_auth = true;
}

static void world_open(struct world *w)
{
    server_start(&w->server, &w->options);
    w->port = simulator_port(w->server.simulator);
}

static void world_close(struct world *w)
{
    server_stop(&w->server);
    unlink(w->file);
    free(w->file);
}

static struct buffer body_of(const struct client *c, bool *ended)
{
    struct buffer body = BUFFER(256 << 20);
    size_t count;
    client_body(c, &body, NULL, 0, &count, ended);
    return body;
}

static int status_of(struct world *w, const char *path, const char *body, const char *headers,
                     const char *expected_body)
{
    struct client c;
    client_ask(&c, w->port, path, body, headers);
    client_read_until(&c, NULL, 0);
    bool ended;
    struct buffer answer = body_of(&c, &ended);
    if (expected_body) {
        cr_expect_str_eq(buffer_string(&answer), expected_body);
    }
    cr_expect(!c.reset);
    int status = client_status(&c);
    buffer_free(&answer);
    client_close(&c);
    return status;
}

Test(server, answers_what_the_documents_say_without_a_stream)
{
    struct world w;
    world_make(&w);
    world_open(&w);
    static const char no_parameters[] =
        "No filter parameters found. Expect at least one parameter: follow track locations";
    cr_expect_eq(status_of(&w, FILTER, "", "", no_parameters), 406);
    cr_expect_eq(status_of(&w, FILTER "?language=en", NULL, "", no_parameters), 406);
    cr_expect_eq(status_of(&w, FILTER, "track=a%2C%2Cb", "", NULL), 406);
    cr_expect_eq(status_of(&w, FILTER, "locations=1,2,3", "", NULL), 406);
    cr_expect_eq(status_of(&w, FILTER, "locations=3,2,1,4", "", NULL), 406);
    cr_expect_eq(status_of(&w, FILTER, "follow=ada", "", NULL), 406);
    cr_expect_eq(status_of(&w, FILTER, "track=a&filter_level=high", "", NULL), 406);
    cr_expect_eq(status_of(&w, FILTER, "track=a&count=100", "", NULL), 416);
    cr_expect_eq(status_of(&w, "/1.1/statuses/other.json", "track=a", "", NULL), 404);
    cr_expect_eq(status_of(&w, "/", NULL, "", NULL), 404);
    world_close(&w);
}

Test(server, answers_413_above_the_documented_counts)
{
    struct world w;
    world_make(&w);
    world_open(&w);
    struct buffer body = BUFFER(1 << 20);
    buffer_add_text(&body, "track=a");
    for (size_t i = 1; i < 401; i++) {
        buffer_add_text(&body, ",a");
    }
    cr_expect_eq(status_of(&w, FILTER, buffer_string(&body), "", NULL), 413);
    buffer_reset(&body);
    buffer_add_text(&body, "follow=1");
    for (size_t i = 1; i < 5001; i++) {
        buffer_add_text(&body, ",1");
    }
    cr_expect_eq(status_of(&w, FILTER, buffer_string(&body), "", NULL), 413);
    buffer_reset(&body);
    buffer_add_text(&body, "locations=0,0,1,1");
    for (size_t i = 1; i < 26; i++) {
        buffer_add_text(&body, ",0,0,1,1");
    }
    cr_expect_eq(status_of(&w, FILTER, buffer_string(&body), "", NULL), 413);
    buffer_free(&body);
    world_close(&w);
}

Test(server, refuses_requests_that_are_no_http_and_survives)
{
    static const char *const requests[] = {"\r\n\r\n",
                                           "GET\r\n\r\n",
                                           "GET / HTTP/2.0\r\n\r\n",
                                           "GET x HTTP/1.1\r\n\r\n",
                                           "GET / HTTP/1.1\r\nnonsense\r\n\r\n",
                                           "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                                           "POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
                                           "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"};
    static const int statuses[] = {400, 400, 505, 400, 400, 400, 413, 411};
    struct world w;
    world_make(&w);
    world_open(&w);
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct client c;
        client_open(&c, w.port, requests[i]);
        client_read_until(&c, NULL, 0);
        cr_expect_eq(client_status(&c), statuses[i], "%s: %d", requests[i], client_status(&c));
        client_close(&c);
    }
    world_close(&w);
}

static void oauth_header(char *header, size_t size, int port, const char *body_parameter, const char *secret)
{
    char url[100];
    int argc;
    char **argv = NULL;
    snprintf(url, sizeof url, "http://127.0.0.1:%d" FILTER, port);
    argc = oauth_split_post_paramters(url, &argv, 0);
    oauth_add_param_to_array(&argc, &argv, body_parameter);
    oauth_sign_array2_process(&argc, &argv, NULL, OA_HMAC, "POST", SIMULATOR_API_KEY, secret,
                              SIMULATOR_ACCESS_TOKEN, SIMULATOR_ACCESS_SECRET);
    char *joined = oauth_serialize_url_sep(argc, 1, argv, (char[]){", "}, 6);
    snprintf(header, size, "Authorization: OAuth %s\r\n", joined);
    free(joined);
    oauth_free_array(&argc, &argv);
}

Test(server, lets_in_who_signs_right_once_and_answers_401_in_html_else)
{
    static const char page[] =
        "<html>\n<head>\n<meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\"/>\n"
        "<title>Error 401 Unauthorized</title>\n</head>\n<body>\n<h2>HTTP ERROR: 401</h2>\n<p>Problem "
        "accessing "
        "'/1.1/statuses/filter.json'. Reason:\n<pre>    Unauthorized</pre>\n</body>\n</html>";
    struct world w;
    world_make(&w);
    w.options.no_auth = false;
    w.options.at_end = SIMULATOR_CLOSE;
    world_open(&w);
    char header[1000];
    oauth_header(header, sizeof header, w.port, "track=coffee", SIMULATOR_API_SECRET);
    cr_expect_eq(status_of(&w, FILTER, "track=coffee", header, NULL), 200);
    cr_expect_eq(status_of(&w, FILTER, "track=coffee", header, page), 401);
    oauth_header(header, sizeof header, w.port, "track=coffee", "wrong");
    cr_expect_eq(status_of(&w, FILTER, "track=coffee", header, page), 401);
    oauth_header(header, sizeof header, w.port, "track=coffee", SIMULATOR_API_SECRET);
    cr_expect_eq(status_of(&w, FILTER, "track=tea", header, page), 401);
    cr_expect_eq(status_of(&w, FILTER, "track=coffee", "", page), 401);
    world_close(&w);
}

Test(server, delivers_what_matches_and_every_control_message)
{
    struct world w;
    world_make(&w);
    w.options.at_end = SIMULATOR_CLOSE;
    world_open(&w);
    struct client c;
    client_ask(&c, w.port, FILTER, "track=COFFEE,tea&language=fr", "");
    client_read_until(&c, NULL, 0);
    bool ended;
    struct buffer body = body_of(&c, &ended);
    cr_expect(ended && !c.reset);
    cr_expect_eq(count_of(&body, "\"text\":\"tea"), 10);
    cr_expect_eq(count_of(&body, "\"text\":\"coffee"), 0);
    cr_expect_eq(count_of(&body, "{\"delete\":"), 4);
    cr_expect_eq(count_of(&body, "}\r\n"), 14);
    buffer_free(&body);
    client_close(&c);
    world_close(&w);
}

/* The whole stream with these chunks and this header, compared with the file. */
static void expect_whole(enum wire_chunks chunks, size_t size, const char *headers)
{
    struct world w;
    world_make(&w);
    w.options.at_end = SIMULATOR_CLOSE;
    w.options.chunks = chunks;
    w.options.chunk_size = size;
    world_open(&w);
    struct client c;
    client_ask(&c, w.port, SAMPLE, NULL, headers);
    client_read_until(&c, NULL, 0);
    struct buffer body = BUFFER(1 << 20), file = BUFFER(1 << 20);
    size_t sizes[200] = {0}, count;
    bool ended;
    client_body(&c, &body, sizes, 200, &count, &ended);
    cr_expect(ended);
    FILE *f = fopen(w.file, "r");
    for (int byte; (byte = getc(f)) != EOF;) {
        buffer_add_text(&file, byte == '\n' ? "\r\n" : (char[]){(char)byte, '\0'});
    }
    fclose(f);
    cr_expect(view_equal(buffer_view(&body), buffer_view(&file)), "chunks %d of %zu, %s", (int)chunks, size,
              headers);
    bool plain = !*headers;
    if (chunks == WIRE_FIXED) {
        cr_expect_eq(sizes[0], size);
        cr_expect(!plain || count == (body.length + size - 1) / size);
    } else if (chunks == WIRE_MESSAGES) {
        cr_expect_eq(count, 44u + !plain); /* the end of the compressed data is no message */
    } else if (chunks == WIRE_RANDOM) {
        cr_expect(count > 1 && (sizes[0] != sizes[1] || sizes[1] != sizes[2]));
    }
    buffer_free(&body);
    buffer_free(&file);
    client_close(&c);
    world_close(&w);
}

Test(server, bytes_are_those_of_the_file_whatever_the_chunks_and_codings)
{
    static const char *const headers[] = {"", "Accept-Encoding: deflate, gzip\r\n",
                                          "Accept-Encoding: deflate\r\n"};
    for (size_t i = 0; i < 3; i++) {
        expect_whole(WIRE_BLOCKS, 1, headers[i]);
        expect_whole(WIRE_MESSAGES, 1, headers[i]);
        expect_whole(WIRE_FIXED, 1, headers[i]);
        expect_whole(WIRE_FIXED, 7, headers[i]);
        expect_whole(WIRE_RANDOM, 1, headers[i]);
    }
}

Test(server, gzip_is_flushed_after_each_message_of_an_open_stream)
{
    struct world w;
    world_make(&w);
    world_open(&w);
    struct client c;
    char value[200];
    client_ask(&c, w.port, SAMPLE, NULL, "Accept-Encoding: gzip\r\n");
    client_read_until(&c, "\r\n", 44); /* it would wait for ever if something was kept back */
    cr_expect_str_eq(client_header(&c, "Content-Encoding", value), "gzip");
    cr_expect(!c.closed);
    client_close(&c);
    world_close(&w);
}

Test(server, keep_alives_come_on_a_quiet_stream_and_it_stays_open)
{
    struct world w;
    world_make(&w);
    w.options.keep_alive_ms = 20;
    world_open(&w);
    struct client c;
    client_ask(&c, w.port, FILTER, "track=nothing", "");
    client_read_until(&c, "\r\n", 4 + 10); /* four control messages, ten empty lines */
    cr_expect(!c.closed);
    bool ended;
    struct buffer body = body_of(&c, &ended);
    cr_expect_eq(count_of(&body, "{"), 4 * 3);
    buffer_free(&body);
    client_close(&c);
    world_close(&w);
}

Test(server, delimited_gives_the_length_with_its_line_end)
{
    for (int in_query = 0; in_query < 2; in_query++) {
        struct world w;
        world_make(&w);
        w.options.at_end = SIMULATOR_CLOSE;
        world_open(&w);
        struct client c;
        client_ask(&c, w.port, in_query ? FILTER "?delimited=length" : FILTER,
                   in_query ? "track=tea" : "track=tea&delimited=length", "");
        client_read_until(&c, NULL, 0);
        bool ended;
        struct buffer body = body_of(&c, &ended);
        const char *at = buffer_string(&body);
        size_t messages = 0;
        while (*at) {
            char *end;
            size_t length = strtoul(at, &end, 10);
            cr_assert(end != at && end[0] == '\r' && end[1] == '\n' && end[2] == '{');
            at = end + 2 + length;
            cr_assert(at[-2] == '\r' && at[-1] == '\n');
            messages++;
        }
        cr_expect_eq(messages, 14);
        buffer_free(&body);
        client_close(&c);
        world_close(&w);
    }
}

Test(server, a_new_connection_goes_on_where_the_last_stopped)
{
    struct world w;
    world_make(&w);
    w.options.loop = true;
    w.options.total = 66; /* one and a half times the file */
    w.options.at_end = SIMULATOR_CLOSE;
    world_open(&w);
    struct client c;
    size_t tweets = 0;
    bool ended = false;
    for (size_t i = 0; i < 2; i++) {
        client_ask(&c, w.port, SAMPLE, NULL, "");
        client_read_until(&c, NULL, 0);
        struct buffer body = body_of(&c, &ended);
        tweets += count_of(&body, "}\r\n");
        cr_expect(ended);
        buffer_free(&body);
        client_close(&c);
    }
    cr_expect_eq(tweets, 66);
    /* Another account begins at the beginning. */
    client_ask(&c, w.port, SAMPLE, NULL, "Authorization: Basic b3RoZXI6\r\n");
    client_read_until(&c, NULL, 0);
    struct buffer body = body_of(&c, &ended);
    cr_expect_eq(count_of(&body, "}\r\n"), 66);
    buffer_free(&body);
    client_close(&c);
    world_close(&w);
}

Test(server, a_broken_connection_loses_nothing_that_was_not_sent)
{
    /* More than the kernel's buffers hold, so that the server is stopped in the middle. */
    struct world w;
    world_make(&w);
    struct buffer lines = BUFFER(128 << 20);
    enum { MANY = 25000 };
    char text[1001];
    memset(text, 'x', 1000);
    text[1000] = '\0';
    for (unsigned i = 0; i < MANY; i++) {
        add_tweet(&lines, i, "en", text);
    }
    char *file = temporary_file(buffer_string(&lines));
    buffer_free(&lines);
    w.options.file = file;
    w.options.at_end = SIMULATOR_CLOSE;
    w.options.chunks = WIRE_RANDOM;
    world_open(&w);
    struct client c;
    client_ask(&c, w.port, SAMPLE, NULL, "");
    client_read_until(&c, "\"id\":", 5);
    close(c.fd);
    buffer_free(&c.bytes);
    client_ask(&c, w.port, SAMPLE, NULL, "");
    client_read_until(&c, NULL, 0);
    bool ended;
    struct buffer body = body_of(&c, &ended);
    size_t rest = count_of(&body, "}\r\n");
    const char *first = strstr(buffer_string(&body), "\"id\":10501186211989");
    cr_assert(first);
    size_t first_id = strtoul(first + 19, NULL, 10);
    cr_expect(ended && first_id > 0 && first_id < MANY);
    cr_expect_eq(rest, MANY - first_id, "from %zu on there are %zu", first_id, rest);
    struct simulator_counts counts;
    simulator_counts(w.server.simulator, &counts);
    cr_expect_eq(counts.messages, MANY, "each message is handed over whole once: %llu",
                 (unsigned long long)counts.messages);
    buffer_free(&body);
    client_close(&c);
    world_close(&w);
    unlink(file);
    free(file);
}

Test(server, a_second_connection_ends_the_first_with_code_7)
{
    struct world w;
    world_make(&w);
    world_open(&w);
    struct client first, second;
    client_ask(&first, w.port, FILTER, "track=coffee", "");
    client_read_until(&first, "}\r\n", 34);
    client_ask(&second, w.port, FILTER, "track=coffee", "");
    client_read_until(&first, NULL, 0);
    bool ended;
    struct buffer body = body_of(&first, &ended);
    cr_expect(ended && !first.reset);
    cr_expect_eq(count_of(&body, "{\"disconnect\":{\"code\":7,"), 1);
    buffer_free(&body);
    cr_expect(!second.closed);
    client_close(&first);
    client_close(&second);
    world_close(&w);
}

Test(server, a_stream_with_a_rate_goes_on_at_that_rate_for_all_who_listen)
{
    struct world w;
    world_make(&w);
    w.options.rate = 400;
    w.options.wait_for_client = true;
    w.options.at_end = SIMULATOR_EXIT;
    world_open(&w);
    struct client c;
    client_ask(&c, w.port, SAMPLE, NULL, "");
    client_read_until(&c, NULL, 0);
    bool ended;
    struct buffer body = body_of(&c, &ended);
    cr_expect(ended);
    cr_expect_eq(count_of(&body, "}\r\n"), 44);
    buffer_free(&body);
    client_close(&c);
    server_wait(&w.server);
    unlink(w.file);
    free(w.file);
}

Test(server, a_slow_reader_is_warned_and_then_ended_with_code_4)
{
    struct world w;
    world_make(&w);
    w.options.rate = 50000;
    w.options.loop = true;
    w.options.queue = 64 << 10;
    world_open(&w);
    struct client c;
    client_ask(&c, w.port, FILTER, "track=coffee,tea&stall_warnings=true", "");
    /* It reads nothing until the simulator has given up. */
    struct simulator_counts counts;
    do {
        poll(NULL, 0, 5);
        simulator_counts(w.server.simulator, &counts);
    } while (!counts.slow);
    client_read_until(&c, NULL, 0);
    bool ended;
    struct buffer body = body_of(&c, &ended);
    cr_expect(ended);
    cr_expect_eq(count_of(&body, "{\"disconnect\":{\"code\":4,"), 1);
    cr_expect_geq(count_of(&body, "{\"warning\":{\"code\":\"FALLING_BEHIND\""), 1);
    cr_expect_geq(count_of(&body, "\"percent_full\":6"), 1);
    buffer_free(&body);
    client_close(&c);
    world_close(&w);
}

Test(server, what_a_limit_rate_holds_back_is_counted_from_the_connection_on)
{
    struct world w;
    world_make(&w);
    w.options.rate = 2000;
    w.options.loop = true;
    w.options.limit_rate = 10;
    world_open(&w);
    struct client c;
    client_ask(&c, w.port, FILTER, "track=coffee", "");
    client_read_until(&c, "{\"limit\":{\"track\":", 2);
    bool ended;
    struct buffer body = body_of(&c, &ended);
    char *first = strstr((char *)buffer_string(&body), "{\"limit\":{\"track\":") + 18;
    char *second = strstr(first, "{\"limit\":{\"track\":") + 18;
    cr_expect_gt(strtol(second, NULL, 10), strtol(first, NULL, 10));
    cr_expect_leq(count_of(&body, "\"text\":"), 40);
    buffer_free(&body);
    client_close(&c);
    world_close(&w);
}

Test(server, too_many_connects_are_answered_420_and_a_chosen_status_is_given)
{
    struct world w;
    world_make(&w);
    w.options.max_connects = 2;
    w.options.answer_status = 503;
    w.options.answer_count = 1;
    w.options.at_end = SIMULATOR_CLOSE;
    world_open(&w);
    cr_expect_eq(status_of(&w, SAMPLE, NULL, "", NULL), 503);
    cr_expect_eq(status_of(&w, SAMPLE, NULL, "", NULL), 200);
    cr_expect_eq(status_of(&w, SAMPLE, NULL, "", NULL), 200);
    cr_expect_eq(status_of(&w, SAMPLE, NULL, "", "Exceeded connection limit for user"), 420);
    world_close(&w);
}

Test(server, fresh_ids_make_each_pass_new_and_leave_the_rest_alone)
{
    struct world w;
    world_make(&w);
    w.options.fresh_ids = true;
    w.options.loop = true;
    w.options.total = 88;
    w.options.at_end = SIMULATOR_CLOSE;
    world_open(&w);
    struct client c;
    client_ask(&c, w.port, SAMPLE, NULL, "");
    client_read_until(&c, NULL, 0);
    bool ended;
    struct buffer body = body_of(&c, &ended);
    cr_expect_eq(count_of(&body, "}\r\n"), 88);
    cr_expect_eq(count_of(&body, "10501186211989"), 0);
    cr_expect_eq(count_of(&body, "2018"), 0);
    cr_expect_eq(count_of(&body, "\"text\":\"coffee n0.\""), 2);
    unsigned long long last = 0;
    for (const char *at = buffer_string(&body); (at = strstr(at, ",\"id\":")); at += 6) {
        unsigned long long id = strtoull(at + 6, NULL, 10);
        cr_expect_gt(id, last);
        last = id;
    }
    buffer_free(&body);
    client_close(&c);
    world_close(&w);
}

Test(server, wrong_options_are_errors_with_the_right_exit_status)
{
    struct err e;
    struct simulator_options o = SIMULATOR_OPTIONS;
    o.listen = "localhost";
    cr_expect_null(simulator_open(&o, &e));
    cr_expect_eq(err_exit_status(&e), 2);
    o = SIMULATOR_OPTIONS;
    o.file = "/nowhere/at/all";
    cr_expect_null(simulator_open(&o, &e));
    cr_expect(strstr(e.text, "/nowhere/at/all"));
    o = SIMULATOR_OPTIONS;
    o.sample_count = 10;
    struct simulator *one = simulator_open(&o, &e);
    cr_assert(one);
    o.listen = simulator_address(one);
    cr_expect_null(simulator_open(&o, &e));
    cr_expect_eq(err_exit_status(&e), 1, "the port is in use: trying again may help");
    simulator_close(one);
}
