/* Whose request it is, behind proxies that are trusted and before ones that are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "service/http/proxy.h"

static struct sockaddr_storage peer(const char *text)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        memcpy(&storage, &v4, sizeof v4);
    else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
        memcpy(&storage, &v6, sizeof v6);
    return storage;
}

static void assert_client(const char *trusted, const char *from, const char *forwarded, const char *expected)
{
    struct proxy proxy;
    struct failure why = {0};
    char text[PROXY_TEXT_BYTES];
    assert_int_equal(proxy_parse(trusted, "some.key", &proxy, &why), RESULT_OK);
    const struct sockaddr_storage storage = peer(from);
    struct proxy_address client = proxy_client(&proxy, (const struct sockaddr *)&storage, forwarded);
    assert_string_equal(proxy_text(&client, text), expected);
}

static void believes_no_header_of_a_stranger(void **state)
{
    (void)state;
    assert_client("", "198.51.100.7", "203.0.113.9", "198.51.100.7");
    assert_client("10.0.0.0/8", "198.51.100.7", "203.0.113.9", "198.51.100.7");
    assert_client("10.0.0.0/8", "198.51.100.7", NULL, "198.51.100.7");
}

static void takes_the_rightmost_untrusted(void **state)
{
    (void)state;
    assert_client("10.0.0.0/8", "10.1.2.3", "203.0.113.9", "203.0.113.9");
    assert_client("10.0.0.0/8", "10.1.2.3", "1.2.3.4, 203.0.113.9", "203.0.113.9");
    assert_client("10.0.0.0/8", "10.1.2.3", "1.2.3.4 , 203.0.113.9,10.9.9.9", "203.0.113.9");
    assert_client("10.0.0.0/8 203.0.113.9", "10.1.2.3", "1.2.3.4,203.0.113.9,10.9.9.9", "1.2.3.4");
    assert_client("10.0.0.0/8", "10.1.2.3", "10.4.4.4,10.5.5.5", "10.4.4.4");
}

static void stops_at_what_is_no_address(void **state)
{
    (void)state;
    assert_client("10.0.0.0/8", "10.1.2.3", "1.2.3.4, unknown", "10.1.2.3");
    assert_client("10.0.0.0/8", "10.1.2.3", "1.2.3.4, , 10.2.2.2", "10.2.2.2");
    assert_client("10.0.0.0/8", "10.1.2.3", "", "10.1.2.3");
    assert_client("10.0.0.0/8", "10.1.2.3", ",", "10.1.2.3");
}

static void reads_ports_brackets_and_ipv6(void **state)
{
    (void)state;
    assert_client("10.0.0.0/8", "10.1.2.3", "203.0.113.9:5123", "203.0.113.9");
    assert_client("10.0.0.0/8", "10.1.2.3", "[2001:db8::1]:443", "2001:db8::1");
    assert_client("2001:db8::/32", "2001:db8:1::5", "2001:db9::7", "2001:db9::7");
    assert_client("2001:db8::/33", "2001:db8:8000::5", "2001:db9::7", "2001:db8:8000::5");
    assert_client("10.0.0.0/8", "::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9");
}

static void refuses_ranges_that_are_none(void **state)
{
    static const char *const faulty[] = {"10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8", "x", "10.0.0.0/8x", "1.2.3.4/-1"};
    struct proxy proxy;
    (void)state;
    for (size_t i = 0; i < sizeof faulty / sizeof faulty[0]; i++) {
        struct failure why = {0};
        assert_int_equal(proxy_parse(faulty[i], "some.key", &proxy, &why), RESULT_INVALID);
        assert_string_equal(why.field, "some.key");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(believes_no_header_of_a_stranger),
        cmocka_unit_test(takes_the_rightmost_untrusted),
        cmocka_unit_test(stops_at_what_is_no_address),
        cmocka_unit_test(reads_ports_brackets_and_ipv6),
        cmocka_unit_test(refuses_ranges_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
