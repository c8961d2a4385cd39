/*
 * Coins: bytes are taken as the contract says; the frequencies are right, and wrong coins are found out; what overflows or is
 * stuck gives no coin.
 */
#include "tests/unit/anonymizer/release/samples.h"

#include "anonymizer/release/bernoulli.h"

struct script {
    const unsigned char *bytes;
    size_t n, used;
};

static enum result script_bytes(void *context, void *out, size_t n)
{
    struct script *script = context;
    assert_true(script->used + n <= script->n);
    memcpy(out, script->bytes + script->used, n);
    script->used += n;
    return RESULT_OK;
}

static uint64_t uniform(const struct noise_source *source, rational_wide m)
{
    rational_wide value;
    assert_int_equal(bernoulli_uniform(source, m, &value, NULL), RESULT_OK);
    assert_true(value < m && value <= UINT64_MAX);
    return (uint64_t)value;
}

static void test_bytes_taken(void **state)
{
    (void)state;
    static const unsigned char bytes[] = {0xff, 0x2c, 0x01, 0x2b, 0xff, 0x03, 0x02};
    struct script script = {bytes, sizeof bytes, 0};
    struct noise_source source = {script_bytes, &script};
    assert_int_equal(uniform(&source, 1), 0);
    assert_int_equal(script.used, 0);
    assert_int_equal(uniform(&source, 256), 255);
    assert_int_equal(script.used, 1);
    /* 0x12c = 300 is not below 300; 0xff2b cut to nine bits is 299. */
    assert_int_equal(uniform(&source, 300), 299);
    assert_int_equal(script.used, 5);
    assert_int_equal(uniform(&source, 3), 2);
    assert_int_equal(script.used, 7);
}

static void test_wide_integers(void **state)
{
    (void)state;
    unsigned char ones = 0xff;
    struct noise_source source = {stuck_bytes, &ones};
    rational_wide value;
    rational_wide top = (rational_wide)1 << 127;
    assert_int_equal(bernoulli_uniform(&source, top, &value, NULL), RESULT_OK);
    assert_true(value == top - 1);
    assert_int_equal(bernoulli_uniform(&source, ~(rational_wide)0, &value, NULL), RESULT_FAILED);
    assert_int_equal(bernoulli_uniform(&source, 0, &value, NULL), RESULT_INVALID);
    assert_true(value == top - 1);
}

/* Χ² of n draws below m, by a drawer. */
static bool uniform_fits(uint64_t m, uint64_t (*draw)(const struct noise_source *source, uint64_t m))
{
    size_t n = sample_count();
    double *seen = calloc((size_t)m, sizeof *seen);
    assert_non_null(seen);
    struct noise_source source = stream_source((unsigned char)m);
    for (size_t i = 0; i < n; i++)
        seen[draw(&source, m)]++;
    double sum = 0;
    double expected = (double)n / (double)m;
    for (size_t i = 0; i < (size_t)m; i++)
        sum += (seen[i] - expected) * (seen[i] - expected) / expected;
    free(seen);
    return sum <= chi_limit((size_t)m - 1);
}

static uint64_t sound_uniform(const struct noise_source *source, uint64_t m)
{
    return uniform(source, m);
}

/* Planted: a byte modulo m, so that small values come more often. */
static uint64_t modulo_uniform(const struct noise_source *source, uint64_t m)
{
    return uniform(source, 512) % m;
}

static void test_uniform(void **state)
{
    (void)state;
    static const uint64_t ms[] = {2, 3, 5, 64, 192, 255, 257, 300};
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++)
        assert_true(uniform_fits(ms[i], sound_uniform));
    assert_true(uniform_fits(64, modulo_uniform));
    assert_false(uniform_fits(192, modulo_uniform));
    assert_false(uniform_fits(300, modulo_uniform));
}

typedef enum result (*coin)(const struct noise_source *source, rational_wide n, rational_wide d, bool *out, struct failure *why);

/* By how many standard deviations a coin's heads differ from p. */
static double coin_z(coin toss, rational_wide n, rational_wide d, double p, unsigned char seed)
{
    size_t tosses = sample_count();
    size_t heads = 0;
    struct noise_source source = stream_source(seed);
    for (size_t i = 0; i < tosses; i++) {
        bool head = false;
        assert_int_equal(toss(&source, n, d, &head, NULL), RESULT_OK);
        heads += head;
    }
    if (p <= 0 || p >= 1)
        return (double)heads == p * (double)tosses ? 0 : INFINITY;
    return z_of((double)heads, tosses, p);
}

static void test_ratio(void **state)
{
    (void)state;
    static const uint64_t fractions[][2] = {{0, 7}, {7, 7}, {1, 2}, {1, 3}, {5, 7}, {1, 100}, {299, 300}, {123456789, 987654321},
        {UINT64_MAX / 3, UINT64_MAX}};
    for (size_t i = 0; i < sizeof fractions / sizeof *fractions; i++) {
        uint64_t n = fractions[i][0];
        uint64_t d = fractions[i][1];
        assert_true(fabs(coin_z(bernoulli_ratio, n, d, (double)n / (double)d, (unsigned char)i)) < LIMIT_Z);
    }
    rational_wide wide = (rational_wide)1 << 120;
    assert_true(fabs(coin_z(bernoulli_ratio, wide * 3, wide * 10, 0.3, 77)) < LIMIT_Z);
    assert_true(fabs(coin_z(bernoulli_ratio, 3, 10, 0.32, 77)) > LIMIT_Z);
}

/* Planted: the product of chances stops at the third factor, so that exp(-x) is 1 - x + x²/2. */
static enum result short_exp(const struct noise_source *source, rational_wide n, rational_wide d, bool *out, struct failure *why)
{
    for (unsigned k = 1; k < 3; k++) {
        bool head = false;
        enum result result = bernoulli_ratio(source, n, d * k, &head, why);
        if (result != RESULT_OK)
            return result;
        *out = k % 2 == 1;
        if (!head)
            return RESULT_OK;
    }
    *out = true;
    return RESULT_OK;
}

static void test_exp(void **state)
{
    (void)state;
    static const uint64_t fractions[][2] = {{0, 1}, {0, 9}, {1, 1000}, {1, 10}, {1, 3}, {1, 2}, {9, 10}, {1, 1}, {8, 8}, {11, 10},
        {3, 2}, {2, 1}, {5, 2}, {10, 3}, {5, 1}, {8, 1}};
    for (size_t i = 0; i < sizeof fractions / sizeof *fractions; i++) {
        uint64_t n = fractions[i][0];
        uint64_t d = fractions[i][1];
        assert_true(fabs(coin_z(bernoulli_exp, n, d, exp(-(double)n / (double)d), (unsigned char)i)) < LIMIT_Z);
    }
    rational_wide wide = (rational_wide)1 << 110;
    assert_true(fabs(coin_z(bernoulli_exp, wide * 7, wide * 10, exp(-0.7), 78)) < LIMIT_Z);
    /* 1 - 1/2 + 1/8 is 0.625, not 0.607. */
    assert_true(fabs(coin_z(short_exp, 1, 2, exp(-0.5), 79)) > LIMIT_Z);
    assert_true(fabs(coin_z(short_exp, 1, 2, 0.625, 79)) < LIMIT_Z);
    /* A coin of exp(-1.1) taken for one of exp(-1). */
    assert_true(fabs(coin_z(bernoulli_exp, 11, 10, exp(-1), 80)) > LIMIT_Z);
}

static void test_no_coin(void **state)
{
    (void)state;
    bool head = true;
    struct failure why = {0};
    struct noise_source source = stream_source(1);
    struct stream *stream = source.context;
    assert_int_equal(bernoulli_ratio(&source, 4, 3, &head, &why), RESULT_INVALID);
    assert_int_equal(bernoulli_ratio(&source, 0, 0, &head, &why), RESULT_INVALID);
    assert_int_equal(bernoulli_exp(&source, 1, 0, &head, &why), RESULT_INVALID);
    assert_int_equal(stream->consumed, 0);
    assert_string_equal(why.field, "noise");
    /* A head of chance 1, then a denominator twice as large: 129 bits. */
    rational_wide top = (rational_wide)1 << 127;
    assert_int_equal(bernoulli_exp(&source, top, top, &head, NULL), RESULT_FULL);
    unsigned char byte = 0;
    struct noise_source stuck = {stuck_bytes, &byte};
    assert_int_equal(bernoulli_exp(&stuck, 1, 2, &head, NULL), RESULT_FAILED);
    assert_int_equal(bernoulli_exp(&stuck, ~(rational_wide)0, 2, &head, NULL), RESULT_FAILED);
    stream->fails_after = stream->consumed;
    assert_int_equal(bernoulli_exp(&source, 1, 2, &head, NULL), RESULT_UNAVAILABLE);
    assert_int_equal(bernoulli_ratio(&source, 1, 2, &head, NULL), RESULT_UNAVAILABLE);
    assert_true(head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_taken),
        cmocka_unit_test(test_wide_integers),
        cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_ratio),
        cmocka_unit_test(test_exp),
        cmocka_unit_test(test_no_coin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
