/* Users behind a trusted proxy, and lists of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "api/access.h"

static void test_lists(void **state)
{
    (void)state;
    assert_true(access_lists("olga vera", "vera"));
    assert_true(access_lists(" olga,vera ", "olga"));
    assert_true(access_lists("*", "anyone"));
    assert_false(access_lists("olga vera", "ver"));
    assert_false(access_lists("olga vera", "verax"));
    assert_false(access_lists("", "vera"));
    assert_false(access_lists("olga*", "olgax"));
}

static enum result ask(const char *peer, const char *user, struct access_identity *out)
{
    struct config config = {.api_trusted_proxies = "192.0.2.0/24", .api_auth_proxy_header = "X-User",
        .api_auth_proxy_owners = "olga", .api_auth_proxy_viewers = "vera"};
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct access *access = NULL;
    struct failure why = {0};
    assert_int_equal(inet_pton(AF_INET, peer, &address.sin_addr), 1);
    assert_int_equal(access_open(&config, &access, &why), RESULT_OK);
    enum result result = access_by_proxy(access, (const struct sockaddr *)&address, user, out);
    access_close(access);
    return result;
}

static void test_only_a_trusted_proxy_names_users(void **state)
{
    (void)state;
    struct access_identity identity = {0};
    assert_int_equal(ask("192.0.2.7", "olga", &identity), RESULT_OK);
    assert_true((identity.scopes & ACCESS_OPS) != 0);
    assert_string_equal(identity.actor, "proxy_owner");
    assert_int_equal(ask("192.0.2.7", "vera", &identity), RESULT_OK);
    assert_int_equal(identity.scopes, ACCESS_READ);
    assert_int_equal(ask("198.51.100.7", "olga", &identity), RESULT_NOT_FOUND);
    assert_int_equal(ask("192.0.2.7", "mallory", &identity), RESULT_NOT_FOUND);
    assert_int_equal(ask("192.0.2.7", NULL, &identity), RESULT_NOT_FOUND);
    assert_int_equal(ask("192.0.2.7", "", &identity), RESULT_NOT_FOUND);
}

static void test_faulty_proxies_are_refused(void **state)
{
    (void)state;
    const struct config config = {.api_trusted_proxies = "nowhere"};
    struct access *access = NULL;
    struct failure why = {0};
    assert_int_equal(access_open(&config, &access, &why), RESULT_INVALID);
    assert_string_equal(why.field, "api.trusted_proxies");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_only_a_trusted_proxy_names_users),
        cmocka_unit_test(test_faulty_proxies_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
