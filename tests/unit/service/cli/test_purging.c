/* The keyed hash of a purge's reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/cli/purging.h"

/* HMAC-SHA-256 by RFC 4231's construction; the value is Python's: hmac.new(bytes(range(16)), b"a leak", "sha256"). */
static void the_reason_is_an_hmac_under_the_nonce(void **state)
{
    (void)state;
    uint8_t nonce[16];
    char out[65], other[65];
    for (uint8_t i = 0; i < 16; i++)
        nonce[i] = i;
    purging_blind("a leak", nonce, out);
    assert_string_equal(out, "57c47634a5e1d60344feebd3b6bc431c0616d9c92a9b96b1386b5ee3f84bbed3");
    nonce[0] = 1;
    purging_blind("a leak", nonce, other);
    assert_string_not_equal(out, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_reason_is_an_hmac_under_the_nonce)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
