/* tests/base/rate.c - posts per second and per hour, as time goes on. */
#include "base/rate.h"

#include <criterion/criterion.h>

Test(rate, a_steady_flow_has_its_rate_and_fades_when_it_ends)
{
    struct rate r = {0};
    int64_t now = 1000000;
    cr_expect_float_eq(rate_per_second(&r, now), 0, 1e-9);
    for (int i = 0; i < 7200; i++, now += 1000) {
        rate_add(&r, now, 5);
        if (i > 2) {
            double rate = rate_per_second(&r, now);
            cr_expect(rate > 4 && rate < 7, "second %d: %f", i, rate);
        }
    }
    uint64_t hour = rate_last_hour(&r, now);
    cr_expect(hour > 59 * 60 * 5 && hour <= 60 * 60 * 5, "%lu", (unsigned long)hour);
    cr_expect_float_eq(rate_per_second(&r, now + 70000), 0, 1e-9);
    cr_expect_eq(rate_last_hour(&r, now + 4000000), 0);
}

Test(rate, a_burst_counts_for_a_minute_and_is_forgotten_after_a_leap)
{
    struct rate r = {0};
    rate_add(&r, 5000, 600);
    cr_expect_float_eq(rate_per_second(&r, 5000), 600, 1e-9, "in less than a second");
    cr_expect_float_eq(rate_per_second(&r, 35000), 20, 1e-9);
    rate_add(&r, INT64_C(100000000000), 1);
    cr_expect_eq(rate_last_hour(&r, INT64_C(100000000000)), 1);
}
