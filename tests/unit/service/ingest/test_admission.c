/* Token buckets: bursts, refill, one client's excess being nobody else's, and a table that never fills up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sodium.h>
#include <string.h>

#include "service/ingest/admission.h"

static struct proxy_address v4(uint32_t host)
{
    struct proxy_address address = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};
    for (size_t i = 0; i < 4; i++)
        address.bytes[12 + i] = (uint8_t)(host >> (24 - 8 * i));
    return address;
}

static unsigned allowed_of(struct admission *admission, struct proxy_address address, unsigned tries, int64_t now_ms)
{
    unsigned allowed = 0, retry_after_s;
    for (unsigned i = 0; i < tries; i++)
        allowed += admission_allow(admission, &address, now_ms, &retry_after_s);
    return allowed;
}

static void without_a_rate_all_may_come(void **state)
{
    (void)state;
    struct admission *admission = admission_new(0, 1);
    assert_int_equal(allowed_of(admission, v4(1), 1000, 5), 1000);
    admission_free(admission);
}

static void a_burst_then_the_rate(void **state)
{
    (void)state;
    struct admission *admission = admission_new(10, 25);
    assert_int_equal(allowed_of(admission, v4(1), 100, 1000), 25);
    assert_int_equal(allowed_of(admission, v4(1), 100, 1099), 0);
    assert_int_equal(allowed_of(admission, v4(1), 100, 1100), 1);
    assert_int_equal(allowed_of(admission, v4(1), 100, 2100), 10);
    assert_int_equal(allowed_of(admission, v4(1), 100, 1000000000), 25);
    assert_int_equal(allowed_of(admission, v4(2), 100, 2100), 25);
    admission_free(admission);
}

static void says_when_to_come_again(void **state)
{
    (void)state;
    unsigned retry_after_s = 0;
    struct proxy_address address = v4(1);
    struct admission *admission = admission_new(1, 1);
    assert_true(admission_allow(admission, &address, 0, &retry_after_s));
    assert_false(admission_allow(admission, &address, 1, &retry_after_s));
    assert_int_equal(retry_after_s, 1);
    assert_true(admission_allow(admission, &address, 1000, &retry_after_s));
    admission_free(admission);
}

static void a_clock_that_stands_gives_nothing(void **state)
{
    (void)state;
    struct admission *admission = admission_new(1000, 5);
    assert_int_equal(allowed_of(admission, v4(1), 10, 500), 5);
    assert_int_equal(allowed_of(admission, v4(1), 10, 400), 0);
    admission_free(admission);
}

static void ipv6_counts_by_its_64(void **state)
{
    (void)state;
    struct admission *admission = admission_new(1, 4);
    struct proxy_address a = {{0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 1}}, b = a, other = a;
    b.bytes[15] = 9;
    other.bytes[7] = 2;
    assert_int_equal(allowed_of(admission, a, 3, 1), 3);
    assert_int_equal(allowed_of(admission, b, 3, 1), 1);
    assert_int_equal(allowed_of(admission, other, 9, 1), 4);
    admission_free(admission);
}

static void a_million_clients_change_nothing_for_the_next(void **state)
{
    (void)state;
    struct admission *admission = admission_new(1, 1);
    for (uint32_t i = 0; i < 1000000; i++)
        assert_int_equal(allowed_of(admission, v4(i), 1, 1), 1);
    assert_int_equal(allowed_of(admission, v4(0xffffffff), 5, 2), 1);
    admission_free(admission);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_rate_all_may_come),
        cmocka_unit_test(a_burst_then_the_rate),
        cmocka_unit_test(says_when_to_come_again),
        cmocka_unit_test(a_clock_that_stands_gives_nothing),
        cmocka_unit_test(ipv6_counts_by_its_64),
        cmocka_unit_test(a_million_clients_change_nothing_for_the_next),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
