/* Limits of requests by actor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/limiter.h"

static int allowed_of(struct limiter *limiter, const char *actor, int64_t now_ms, int asked)
{
    int allowed = 0;
    for (int i = 0; i < asked; i++)
        allowed += limiter_allow(limiter, actor, now_ms);
    return allowed;
}

static void a_burst_then_the_rate(void **unused)
{
    (void)unused;
    struct limiter *limiter = limiter_new(2, 10);
    assert_non_null(limiter);
    assert_int_equal(allowed_of(limiter, "one", 5, 30), 10);
    assert_int_equal(allowed_of(limiter, "one", 5 + 400, 30), 0);
    assert_int_equal(allowed_of(limiter, "one", 5 + 500, 30), 1);
    assert_int_equal(allowed_of(limiter, "one", 5 + 3500, 30), 6);
    assert_int_equal(allowed_of(limiter, "one", 5 + 3600000, 30), 10);
    limiter_free(limiter);
}

static void actors_do_not_share(void **unused)
{
    (void)unused;
    struct limiter *limiter = limiter_new(1, 3);
    assert_int_equal(allowed_of(limiter, "one", 0, 9), 3);
    assert_int_equal(allowed_of(limiter, "other", 0, 9), 3);
    limiter_free(limiter);
}

static void time_that_stands_gives_nothing(void **unused)
{
    (void)unused;
    struct limiter *limiter = limiter_new(1000, 1);
    assert_int_equal(allowed_of(limiter, "one", 77, 1000), 1);
    assert_int_equal(allowed_of(limiter, "one", 78, 1000), 1);
    limiter_free(limiter);
    limiter_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_then_the_rate),
        cmocka_unit_test(actors_do_not_share),
        cmocka_unit_test(time_that_stands_gives_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
