/*
 * The discrete Laplace distribution: published sequences, fit, and a zero of two signs found out.
 */
#include "tests/unit/anonymizer/release/samples.h"

#include "anonymizer/release/laplace.h"

static double laplace_tail(int64_t t, double scale)
{
    if (t <= 0)
        return 1 - laplace_tail(1 - t, scale);
    return exp(-(double)t / scale) / (1 + exp(-1 / scale));
}

static bool fits(sampler draw, struct rational scale, double against, unsigned char seed)
{
    size_t n = sample_count();
    int64_t *samples = draw_samples(draw, scale, n, seed);
    size_t freedom;
    int64_t width = 1 + (int64_t)(against / 4);
    double chi = chi_squared(samples, n, laplace_tail, against, width, (int64_t)(12 * against) + 2, &freedom);
    free(samples);
    return chi <= chi_limit(freedom);
}

/* Planted: as if a minus zero were a zero too, which then weighs twice what it should against all others. */
static enum result two_zeros(const struct noise_source *source, struct rational scale, int64_t *out, struct failure *why)
{
    rational_wide coin;
    enum result result;
    do {
        result = laplace_sample(source, scale, out, why);
        if (result == RESULT_OK)
            result = bernoulli_uniform(source, 2, &coin, why);
    } while (result == RESULT_OK && *out != 0 && coin == 1);
    return result;
}

static void test_sequences(void **state)
{
    (void)state;
    assert_int_equal(check_sequences("dlaplace", laplace_sample), 48);
}

static void test_published_tails(void **state)
{
    (void)state;
    json_t *golden = golden_values();
    size_t checked = 0;
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(golden, "values"), i, row) {
        if (strcmp(json_string_value(json_object_get(row, "kind")), "dlaplace_cdf") != 0)
            continue;
        const char *scale = json_string_value(json_object_get(json_object_get(row, "params"), "scale"));
        double value = json_number_value(json_object_get(row, "value"));
        double tolerance = json_number_value(json_object_get(row, "tolerance"));
        double below = 1 - laplace_tail((int64_t)golden_number(row, "x") + 1, strcmp(scale, "1/2") == 0 ? 0.5 : 1);
        assert_true(fabs(below - value) <= tolerance);
        checked++;
    }
    assert_int_equal(checked, 5);
    json_decref(golden);
}

static void test_fit(void **state)
{
    (void)state;
    static const struct rational scales[] = {{1, 1}, {1, 2}, {2, 2}, {7, 3}, {3, 1}, {20, 1}, {1000, 1}, {1 << 20, 3}};
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        double scale = (double)scales[i].numerator / (double)scales[i].denominator;
        assert_true(fits(laplace_sample, scales[i], scale, (unsigned char)i));
        assert_false(fits(laplace_sample, scales[i], scale * 1.1, (unsigned char)i));
        assert_false(fits(laplace_sample, scales[i], scale / 1.1, (unsigned char)i));
    }
    assert_false(fits(two_zeros, (struct rational){1, 1}, 1, 90));
    assert_false(fits(two_zeros, (struct rational){3, 1}, 3, 91));
}

static void test_failing_closed(void **state)
{
    (void)state;
    (void)check_failing(laplace_sample, (struct rational){3, 1}, true, true);
    /* Ones below a power of two are a value like any other, and the coins that follow end. */
    (void)check_failing(laplace_sample, (struct rational){4, 1}, true, false);
    static const struct rational bad[] = {{0, 1}, {1, 0}, {LAPLACE_SCALE_MAX + 1, 1}, {1, LAPLACE_SCALE_MAX + 1}};
    struct noise_source source = stream_source(1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t sample = 77;
        assert_int_equal(laplace_sample(&source, bad[i], &sample, NULL), RESULT_INVALID);
        assert_int_equal(sample, 77);
    }
    int64_t sample;
    assert_int_equal(laplace_sample(&source, (struct rational){LAPLACE_SCALE_MAX, 1}, &sample, NULL), RESULT_OK);
    assert_int_equal(laplace_sample(&source, (struct rational){1, LAPLACE_SCALE_MAX}, &sample, NULL), RESULT_OK);
    assert_int_equal(sample, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_published_tails),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_failing_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
