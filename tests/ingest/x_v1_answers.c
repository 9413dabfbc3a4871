/* What the answers of v1.1 mean: each row of section 4.1 of the API document, with the bodies that are known.
 * No server: the answers are judged as they stand. */
#include "base/clock.h"
#include "ingest/source_answer.h"
#include "ingest/x_v1.h"

#include <criterion/criterion.h>

#define PAGE(status, phrase)                                                                                 \
    "<html>\n<head>\n<meta http-equiv=\"Content-Type\" content=\"text/html; "                                \
    "charset=utf-8\"/>\n<title>Error " status " " phrase                                                     \
    "</title>\n</head>\n<body>\n<h2>HTTP ERROR: " status                                                     \
    "</h2>\n<p>Problem accessing '/1.1/statuses/filter.json'. Reason:\n<pre>    " phrase                     \
    "</pre>\n</body>\n</html>"

static const struct {
    int status;
    const char *body;
    bool final;
    enum backoff_ladder ladder;
    const char *cause, *words; /* in the whole message */
} answers[] = {
    {401, PAGE("401", "Unauthorized"), true, BACKOFF_HTTP, "credentials",
     "answered 401 \"Error 401 Unauthorized\": the keys are wrong or were revoked, or this machine's clock "
     "is"},
    /* As some servers wrote it, with a backslash and an n. */
    {401, "<html>\\n<head>\n<title>Error 401 Unauthorized</title>", true, BACKOFF_HTTP, "credentials",
     "401 \"Error 401 Unauthorized\""},
    {403, PAGE("403", "\nPlease use V2 filtered and sample volume stream as alternatives"), true,
     BACKOFF_HTTP, "credentials",
     "answered 403 \"Error 403  Please use V2 filtered and sample volume stream as alternatives\""},
    {404, "{\"errors\":[{\"message\":\"Sorry, that page does not exist\",\"code\":34}]}", true, BACKOFF_HTTP,
     "credentials", "that page does not exist"},
    {406, "No filter parameters found. Expect at least one parameter: follow track locations\r\n", true,
     BACKOFF_HTTP, "credentials",
     "406 \"No filter parameters found. Expect at least one parameter: follow track locations\": a parameter "
     "is "
     "not accepted"},
    {410, "", true, BACKOFF_HTTP, "credentials", "410: this stream was closed for good"},
    {413, "", true, BACKOFF_HTTP, "credentials", "413: there are more keywords than the server allows"},
    {416, "", true, BACKOFF_HTTP, "credentials", "416: the url asks for a backfill"},
    {420, "Exceeded connection limit for user", false, BACKOFF_RATE_LIMIT, "rate_limit",
     "420 \"Exceeded connection limit for user\": too many attempts or connections"},
    {420, "Easy there, Turbo. Too many requests recently. Enhance your calm.", false, BACKOFF_RATE_LIMIT,
     "rate_limit", "Enhance your calm"},
    {500, "", false, BACKOFF_HTTP, "http", "500: the server is overloaded or ill"},
    {502, PAGE("502", "Bad Gateway"), false, BACKOFF_HTTP, "http", "502 \"Error 502 Bad Gateway\""},
    {503, "", false, BACKOFF_HTTP, "http", "503: the server is overloaded or ill"},
    {504, "", false, BACKOFF_HTTP, "http", "504: the server is overloaded or ill"},
    {302, "", false, BACKOFF_HTTP, "http", "redirects are not followed"},
    /* Not in the document: worth another try, since nothing says that it is not. */
    {400, "", false, BACKOFF_HTTP, "http", "400: the server does not take the request"},
    {418, "", false, BACKOFF_HTTP, "http", "418: the server does not take the request"},
};

Test(x_v1_answers, each_status_has_its_ladder_its_cause_and_its_words)
{
    struct filter_keyword none = {0};
    struct source_x_v1_settings settings = {
        .common = {.name = "test",
                   .type = "x-v1",
                   .url = "https://stream.example/1.1/statuses/filter.json",
                   .filter = {.keywords = &none, .local_filter = FILTER_LOCAL_NO}},
        .api_key = "k",
        .api_secret = "s",
        .access_token = "t",
        .access_secret = "u"};
    struct err e = {ERR_RETRY, ""};
    void *state = x_v1_protocol.open(&settings.common, &e);
    cr_assert_not_null(state, "%s", e.text);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        const struct http_response response = {.status = answers[i].status,
                                               .date_ms = CLOCK_NONE,
                                               .retry_after_ms = -1,
                                               .rate_reset_ms = -1,
                                               .rate_remaining = -1};
        const struct http_result result = {
            .end = HTTP_END_STATUS, .text = "", .response = &response, .body = view_of(answers[i].body)};
        struct source_verdict v;
        source_answer_judge(&x_v1_protocol, state, x_v1_protocol.timing, settings.common.url, &result, &v);
        cr_expect_eq(v.reaction.final, answers[i].final, "%d: final %d", answers[i].status, v.reaction.final);
        cr_expect(answers[i].final || v.reaction.ladder == answers[i].ladder, "%d: ladder %d",
                  answers[i].status, v.reaction.ladder);
        cr_expect_str_eq(v.reaction.cause, answers[i].cause, "%d: cause %s", answers[i].status,
                         v.reaction.cause);
        cr_expect_not_null(strstr(v.why, answers[i].words), "%s\n does not say\n%s", v.why, answers[i].words);
    }
    x_v1_protocol.close(state);
}
