/* tests/base/memory.c - arenas and buffers: their limits hold, and a failure is latched. */
#include "base/arena.h"
#include "base/buffer.h"

#include <criterion/criterion.h>
#include <stdint.h>

Test(arena, the_limit_is_never_passed_and_the_failure_is_latched)
{
    struct arena *a = arena_new(1000);
    cr_assert_not_null(arena_alloc(a, 500));
    cr_assert_null(arena_alloc(a, 501));
    cr_assert(arena_failed(a));
    cr_assert_null(arena_alloc(a, 1), "nothing is given once it failed");
    arena_reset(a);
    cr_assert_not(arena_failed(a));
    cr_assert_not_null(arena_alloc(a, 900));
    arena_free(a);
}

Test(arena, sizes_that_overflow_fail_and_do_not_wrap)
{
    struct arena *a = arena_new(SIZE_MAX);
    cr_assert_null(arena_alloc(a, SIZE_MAX));
    arena_reset(a);
    cr_assert_null(arena_zeroed(a, SIZE_MAX / 2, 3));
    cr_assert(arena_failed(a));
    arena_free(a);
    arena_free(NULL);
}

Test(arena, pieces_do_not_overlap_and_are_aligned)
{
    struct arena *a = arena_new(1 << 24);
    char *before = NULL;
    for (size_t n = 0; n < 3000; n++) {
        char *at = arena_alloc(a, n);
        cr_assert_eq((uintptr_t)at % 16, 0);
        memset(at, (int)n, n);
        if (before && n > 1) {
            cr_assert_eq(before[0], (char)(n - 1), "the piece before is untouched");
        }
        before = at;
    }
    arena_free(a);
}

Test(arena, what_a_builder_guessed_too_high_comes_back)
{
    struct arena *a = arena_new(1 << 20);
    char *at = arena_alloc(a, 10000);
    size_t used = arena_used(a);
    arena_shrink(a, at, 10000, 10);
    cr_assert_eq(arena_used(a), used - 10000 + 16);
    cr_assert_eq((char *)arena_alloc(a, 1), at + 16);
    arena_shrink(a, at, 10000, 10);
    cr_assert_eq((char *)arena_alloc(a, 1), at + 32, "only the latest piece can shrink");
    arena_free(a);
}

Test(buffer, the_maximum_is_never_passed_and_a_failed_append_adds_nothing)
{
    struct buffer b = BUFFER(10);
    buffer_add_text(&b, "12345");
    buffer_add_text(&b, "678901");
    cr_assert(buffer_failed(&b));
    cr_assert(view_is(buffer_view(&b), "12345"));
    buffer_add_byte(&b, 'x');
    cr_assert(view_is(buffer_view(&b), "12345"), "latched");
    buffer_reset(&b);
    buffer_add_text(&b, "1234567890");
    cr_assert_not(buffer_failed(&b));
    cr_assert_null(buffer_string(&b), "no room for the NUL");
    buffer_free(&b);
}

Test(buffer, numbers_prints_and_drops_keep_every_byte)
{
    struct buffer b = BUFFER(1 << 20);
    buffer_add_number(&b, INT64_MIN);
    buffer_add_byte(&b, ' ');
    buffer_add_number(&b, 0);
    buffer_print(&b, " %s-%05d", "x", 42);
    cr_assert_str_eq(buffer_string(&b), "-9223372036854775808 0 x-00042");
    buffer_drop(&b, 21);
    cr_assert(view_is(buffer_view(&b), "0 x-00042"));
    buffer_drop(&b, 100);
    cr_assert_eq(b.length, 0);
    cr_assert_not(view_absent(buffer_view(&b)));
    buffer_free(&b);
}
