#include "ingest/backoff.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define TIMING (&backoff_documented)

Test(backoff, network_errors_climb_by_a_quarter_second_to_16_s)
{
    struct backoff b = {0};
    for (int i = 1; i <= 64; i++) {
        cr_expect(eq(i64, backoff_failed(&b, TIMING, BACKOFF_NETWORK, 0), 250 * i));
    }
    cr_expect(backoff_at_top(&b, TIMING, BACKOFF_NETWORK));
    for (int i = 0; i < 1000; i++) {
        cr_expect(eq(i64, backoff_failed(&b, TIMING, BACKOFF_NETWORK, 0), 16000));
    }
}

Test(backoff, http_errors_double_from_5_to_320_s)
{
    static const int64_t waits[] = {5, 10, 20, 40, 80, 160, 320, 320, 320};
    struct backoff b = {0};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        cr_expect(eq(i64, backoff_failed(&b, TIMING, BACKOFF_HTTP, 0), waits[i] * 1000));
        cr_expect(eq(int, backoff_at_top(&b, TIMING, BACKOFF_HTTP), i >= 6));
    }
}

Test(backoff, rate_limits_double_from_a_minute_to_an_hour)
{
    static const int64_t waits[] = {60, 120, 240, 480, 960, 1920, 3600, 3600};
    struct backoff b = {0};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        cr_expect(eq(i64, backoff_failed(&b, TIMING, BACKOFF_RATE_LIMIT, 0), waits[i] * 1000));
    }
}

Test(backoff, final_answers_of_a_known_server_are_asked_again_after_a_minute_doubling_to_an_hour)
{
    static const int64_t waits[] = {60, 120, 240, 480, 960, 1920, 3600, 3600};
    struct backoff b = {0};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        cr_expect(eq(i64, backoff_failed(&b, TIMING, BACKOFF_FINAL, 0), waits[i] * 1000));
    }
}

Test(backoff, a_servers_longer_wait_is_honoured_and_a_shorter_one_is_not)
{
    struct backoff b = {0};
    cr_expect(eq(i64, backoff_failed(&b, TIMING, BACKOFF_RATE_LIMIT, 900 * 1000), 900 * 1000));
    cr_expect(eq(i64, backoff_failed(&b, TIMING, BACKOFF_RATE_LIMIT, 1000), 120 * 1000));
    cr_expect(eq(i64, backoff_failed(&b, TIMING, BACKOFF_HTTP, INT64_MAX), BACKOFF_LONGEST_REQUEST_MS));
    cr_expect(eq(i64, backoff_failed(&b, TIMING, BACKOFF_HTTP, -1), 10 * 1000));
}

Test(backoff, ladders_are_separate_and_a_connection_resets_those_of_http)
{
    struct backoff b = {0};
    backoff_failed(&b, TIMING, BACKOFF_NETWORK, 0);
    backoff_failed(&b, TIMING, BACKOFF_HTTP, 0);
    backoff_failed(&b, TIMING, BACKOFF_RATE_LIMIT, 0);
    cr_expect(eq(i64, backoff_failed(&b, TIMING, BACKOFF_HTTP, 0), 10 * 1000));
    backoff_established(&b);
    cr_expect(eq(i64, backoff_failed(&b, TIMING, BACKOFF_HTTP, 0), 5 * 1000));
    cr_expect(eq(i64, backoff_failed(&b, TIMING, BACKOFF_RATE_LIMIT, 0), 60 * 1000));
    cr_expect(eq(i64, backoff_failed(&b, TIMING, BACKOFF_NETWORK, 0), 500));
}

Test(backoff, an_established_stream_is_opened_again_at_once_then_climbs)
{
    struct backoff b = {0};
    backoff_established(&b);
    cr_expect(eq(i64, backoff_dropped(&b, TIMING, 3600 * 1000, 0), 0));
    cr_expect(eq(i64, backoff_failed(&b, TIMING, BACKOFF_NETWORK, 0), 250));
    cr_expect(eq(i64, backoff_failed(&b, TIMING, BACKOFF_NETWORK, 0), 500));
    backoff_established(&b);
    cr_expect(eq(i64, backoff_dropped(&b, TIMING, TIMING->calm, 0), 0));
    cr_expect(eq(i64, backoff_failed(&b, TIMING, BACKOFF_NETWORK, 0), 250));
}

Test(backoff, a_server_that_accepts_and_closes_is_never_hammered)
{
    struct backoff b = {0};
    for (int i = 1; i <= 10; i++) {
        backoff_established(&b);
        cr_expect(eq(i64, backoff_dropped(&b, TIMING, 1, 0), 250 * i));
    }
    struct backoff chatty = {0};
    backoff_established(&chatty);
    cr_expect(eq(i64, backoff_dropped(&chatty, TIMING, 5, 1), 0));
    for (int i = 1; i <= 10; i++) {
        backoff_established(&chatty);
        cr_expect(eq(i64, backoff_dropped(&chatty, TIMING, 5, 1), 250 * i));
    }
    backoff_established(&chatty);
    cr_expect(eq(i64, backoff_dropped(&chatty, TIMING, TIMING->calm, 1), 0));
    cr_expect(eq(i64, backoff_dropped(&chatty, TIMING, 5, 1), 0));
}
