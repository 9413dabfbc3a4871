/* Which posts are in a sample. */
#include "ingest/sample.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static void expect_share(const char *text, uint32_t expected)
{
    uint32_t share = 0;
    struct err e = {.text = ""};
    cr_expect_eq(sample_parse(text, &share, &e), 0, "%s: %s", text, e.text);
    cr_expect_eq(share, expected, "%s: %u", text, share);
}

Test(sample, a_percentage_is_read_to_four_decimals)
{
    expect_share("10%", 100000);
    expect_share("100%", SAMPLE_ALL);
    expect_share("100.0000%", SAMPLE_ALL);
    expect_share("0.0001%", 1);
    expect_share("0.5%", 5000);
    expect_share("033.3333%", 333333);
    expect_share("99.9999%", 999999);
}

Test(sample, what_is_no_percentage_is_refused_with_what_is_right)
{
    static const char *const wrong[] = {"",     "%",      "10",       "0%",          "0.0000%", "100.0001%",
                                        "101%", "1000%",  "0.00001%", "-1%",         "+1%",     " 1%",
                                        "1 %",  "1%%",    ".5%",      "5.%",         "1,5%",    "1e1%",
                                        "10%x", "1.2.3%", "0x1%",     "4294977296%", "0.1",     "tenth"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint32_t share = 7;
        struct err e = {.text = ""};
        cr_expect_eq(sample_parse(wrong[i], &share, &e), -1, "%s is taken as %u", wrong[i], share);
        cr_expect(strstr(e.text, "at most four decimals, is right, as 10% or 0.5%"), "%s: %s", wrong[i],
                  e.text);
        cr_expect_eq(share, 7);
    }
}

/* Worked out by Python: hashlib.sha256(b"x/1").digest()[:8] and so on. */
Test(sample, the_hash_is_the_documented_one)
{
    cr_expect_eq(sample_hash(VIEW("x"), VIEW("1")), UINT64_C(0x6e342990302ac2ec));
    cr_expect_eq(sample_hash(VIEW("x"), VIEW("20")), UINT64_C(0xb5abc560deb3b171));
    cr_expect_eq(sample_hash(VIEW("x"), VIEW("1234567890123456789")), UINT64_C(0x282bcfd74c3b4d1e));
    cr_expect_eq(sample_hash(VIEW("mastodon"), VIEW("https://a.example/1")), UINT64_C(0x9f499d183bb2e6a6));
}

Test(sample, the_limit_is_the_share_of_2_to_the_64th_rounded_down)
{
    cr_expect_eq(sample_limit(1), UINT64_C(18446744073709));
    cr_expect_eq(sample_limit(100000), UINT64_C(0x1999999999999999));
    cr_expect_eq(sample_limit(250000), UINT64_C(1) << 62);
    cr_expect_eq(sample_limit(500000), UINT64_C(1) << 63);
    cr_expect_eq(sample_limit(999999), UINT64_C(18446725626965477906));
}

/* Ids as a network counts them on. The count is binomial, so five deviations are passed once in a million. */
Test(sample, a_share_is_kept_and_a_smaller_one_is_a_part_of_a_larger_one)
{
    enum { IDS = 100000 };
    static const uint32_t shares[] = {1000, 10000, 100000, 333333, 500000, 900000, SAMPLE_ALL};
    enum { SHARES = sizeof shares / sizeof *shares };
    size_t kept[SHARES] = {0};
    for (uint64_t i = 0; i < IDS; i++) {
        char id[24];
        int length = snprintf(id, sizeof id, "%" PRIu64, UINT64_C(1212092628029698048) + i * 4194304);
        bool before = false;
        for (size_t s = 0; s < SHARES; s++) {
            bool has = sample_has(shares[s], VIEW("x"), view_make(id, (size_t)length));
            cr_assert(has || !before, "%s is in a smaller sample and not in %u", id, shares[s]);
            before = has;
            kept[s] += has;
        }
    }
    for (size_t s = 0; s < SHARES; s++) {
        double p = shares[s] / (double)SAMPLE_ALL, expected = p * IDS, deviation = sqrt(expected * (1 - p));
        cr_expect(fabs((double)kept[s] - expected) <= 5 * deviation, "%zu of %d are in %u", kept[s], IDS,
                  shares[s]);
    }
}

Test(sample, networks_have_samples_of_their_own)
{
    size_t both = 0, one = 0;
    for (int i = 0; i < 10000; i++) {
        char id[24];
        struct view v = view_make(id, (size_t)snprintf(id, sizeof id, "%d", i));
        bool x = sample_has(100000, VIEW("x"), v), other = sample_has(100000, VIEW("mastodon"), v);
        both += x && other;
        one += x != other;
    }
    cr_expect(both < 150 && one > 1500, "%zu in both, %zu in one", both, one);
}
