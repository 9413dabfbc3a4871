/* tests/base/values.c - numbers, times, views, UTF-8, checksums: what each reads, and what it must refuse. */
#include "base/checksum.h"
#include "base/clock.h"
#include "base/number.h"
#include "base/random.h"
#include "base/utf8.h"
#include "base/view.h"

#include <criterion/criterion.h>
#include <stdlib.h>

Test(number, nothing_but_whole_decimal_numbers_in_range_is_read)
{
    int64_t v = 7;
    cr_assert_eq(number_parse(VIEW("-9223372036854775808"), INT64_MIN, INT64_MAX, &v), 0);
    cr_assert_eq(v, INT64_MIN);
    cr_assert_eq(number_parse(VIEW("9223372036854775807"), INT64_MIN, INT64_MAX, &v), 0);
    cr_assert_eq(v, INT64_MAX);
    const char *bad[] = {
        "", "-", "+1", " 1", "1 ", "1x", "0x10", "1e3", "9223372036854775808", "99999999999999999999", "11"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(number_parse(view_of(bad[i]), INT64_MIN, i == 10 ? 10 : INT64_MAX, &v), -1, "%s",
                     bad[i]);
    }
    cr_assert_eq(number_parse(view_none(), 0, 1, &v), -1);
    uint32_t hex;
    cr_assert_eq(number_parse_hex32(VIEW("DeadBeef"), &hex), 0);
    cr_assert_eq(hex, 0xdeadbeef);
    cr_assert_eq(number_parse_hex32(VIEW("deadbee"), &hex), -1);
    cr_assert_eq(number_parse_hex32(VIEW("deadbeeg"), &hex), -1);
}

Test(clock, rfc_3339_is_read_with_any_offset_and_written_in_utc)
{
    int64_t ms;
    char text[CLOCK_TEXT_SIZE];
    cr_assert_eq(clock_parse(VIEW("2018-10-10T20:19:24.211Z"), &ms), 0);
    cr_assert_eq(ms, 1539202764211);
    cr_assert_str_eq(clock_format(ms, text), "2018-10-10T20:19:24.211Z");
    cr_assert_eq(clock_parse(VIEW("2018-10-10t22:19:24.2119999+02:00"), &ms), 0);
    cr_assert_eq(ms, 1539202764211);
    cr_assert_eq(clock_parse(VIEW("1969-12-31T23:59:59.999Z"), &ms), 0);
    cr_assert_eq(ms, -1);
    cr_assert_str_eq(clock_format(-1, text), "1969-12-31T23:59:59.999Z");
    cr_assert_eq(clock_parse(VIEW("2024-02-29T00:00:00Z"), &ms), 0);
}

Test(clock, what_is_no_time_is_refused)
{
    const char *bad[] = {"",
                         "2018-10-10",
                         "2018-10-10T20:19:24",
                         "2018-13-10T20:19:24Z",
                         "2018-02-29T20:19:24Z",
                         "2018-10-10T24:00:00Z",
                         "2018-10-10T20:19:24.Z",
                         "2018-10-10T20:19:24Zx",
                         "2018-10-10T20:19:24+0200",
                         "Wed Oct 10 20:19:24 +0000 2018"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ms;
        cr_assert_eq(clock_parse(view_of(bad[i]), &ms), -1, "%s", bad[i]);
    }
}

Test(clock, every_day_of_four_centuries_has_its_number)
{
    int64_t expected = clock_from_date(1899, 12, 31, 0, 0, 0, 0);
    for (int year = 1900; year < 2300; year++) {
        for (int month = 1; month <= 12; month++) {
            static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
            int leap = month == 2 && ((year % 4 == 0 && year % 100) || year % 400 == 0);
            for (int day = 1; day <= days[month - 1] + leap; day++) {
                expected += 86400000;
                cr_assert_eq(clock_from_date(year, month, day, 0, 0, 0, 0), expected, "%d-%d-%d", year, month,
                             day);
            }
        }
    }
}

Test(view, absent_is_not_empty)
{
    cr_assert(view_absent(view_none()));
    cr_assert_not(view_absent(VIEW("")));
    cr_assert_not(view_equal(view_none(), VIEW("")));
    cr_assert(view_equal(VIEW("ab"), view_of("ab")));
    cr_assert_not(view_is(view_none(), ""));
    cr_assert(view_is(view_trim(VIEW(" \t\r\n a b \v\f")), "a b"));
    cr_assert(view_compare(VIEW("ab"), VIEW("abc")) < 0);
    cr_assert(view_compare(VIEW("\xff"), VIEW("a")) > 0, "bytes compare as unsigned");
    char *copy = view_copy(VIEW("a\0b"));
    cr_assert_eq(memcmp(copy, "a\0b", 4), 0);
    free(copy);
    cr_assert_null(view_copy(view_none()));
}

Test(utf8, every_code_point_survives_the_way_out_and_in)
{
    for (uint32_t point = 0; point <= 0x10FFFF; point++) {
        if (point >= 0xD800 && point <= 0xDFFF) {
            continue;
        }
        char bytes[4];
        size_t n = utf8_put(point, bytes), at = 0;
        cr_assert_eq(utf8_next(view_make(bytes, n), &at), point);
        cr_assert_eq(at, n);
    }
}

Test(utf8, bytes_that_are_not_utf8_are_seen_and_counted_by_maximal_subparts)
{
    const struct {
        const char *bytes;
        size_t count;
    } bad[] = {{"\xC0\x80", 2},  {"\xED\xA0\x80", 3}, {"\xF4\x90\x80\x80", 4},
               {"\xE2\x82", 1},  {"\xF0\x9F\x98", 1}, {"\x80", 1},
               {"\xFF", 1},      {"\xE2\x82z", 2},    {"\xF0\x80\x80\x80", 4},
               {"a\xE0\x80z", 4}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_not(utf8_valid(view_of(bad[i].bytes)), "case %zu", i);
        cr_assert_eq(utf8_count(view_of(bad[i].bytes)), bad[i].count, "case %zu", i);
    }
    cr_assert_eq(utf8_offset(VIEW("a\xE2\x82\xAC\xF0\x9F\x98\x80z"), 3), 8);
    cr_assert_eq(utf8_offset(VIEW("ab"), 9), 2);
}

Test(checksum, the_published_value_and_any_split_agree)
{
    cr_assert_eq(checksum_crc32c(0, "123456789", 9), 0xe3069283);
    char zeros[32] = {0};
    cr_assert_eq(checksum_crc32c(0, zeros, 32), 0x8a9136aa); /* RFC 3720, B.4: 32 bytes of zeroes */
    for (size_t cut = 0; cut <= 9; cut++) {
        uint32_t first = checksum_crc32c(0, "123456789", cut);
        cr_assert_eq(checksum_crc32c(first, &"123456789"[cut], 9 - cut), 0xe3069283);
    }
}

Test(random, a_seed_repeats_its_numbers)
{
    struct random a = {42}, b = {42};
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(random_next(&a), random_next(&b));
    }
    char hex[33];
    random_hex(hex, 16);
    cr_assert_eq(strspn(hex, "0123456789abcdef"), 32);
}
