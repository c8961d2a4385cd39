/*
 * The discrete Gaussian: published sequences byte for byte; fit, variance and tails for ten variances; samplers that are wrong
 * in one thing, and right ones of a variance 10 % off, are rejected; a source that fails gives no sample.
 */
#include "tests/unit/anonymizer/release/samples.h"

#include "anonymizer/release/gaussian.h"
#include "anonymizer/release/laplace.h"

static const struct rational variances[] = {{4, 1}, {38, 5}, {10, 1}, {64823, 1000}, {462, 1}, {4000, 1}, {27225, 2},
    {1000003, 7}, {(uint64_t)1 << 40, 1}, {SIGMA2_MAX, 1}};
#define VARIANCES (sizeof variances / sizeof *variances)

static double value_of(struct rational a)
{
    return (double)a.numerator / (double)a.denominator;
}

/* Sum of exp(-x²/(2σ²)) over x >= t >= 1. */
static double sum_from(int64_t t, double sigma2)
{
    double sum = 0;
    for (int64_t x = t + (int64_t)(14 * sqrt(sigma2)) + 2; x >= t; x--)
        sum += exp(-(double)x * (double)x / (2 * sigma2));
    return sum;
}

static double normalizer(double sigma2)
{
    return 1 + 2 * sum_from(1, sigma2);
}

/* P[Z >= t]: summed, or above a variance of 10^5 the integral from t - 1/2, whose relative error is below 10^-4/σ. */
static double gaussian_tail(int64_t t, double sigma2)
{
    if (t <= 0)
        return 1 - gaussian_tail(1 - t, sigma2);
    if (sigma2 > 1e5)
        return erfc(((double)t - 0.5) / sqrt(2 * sigma2)) / 2;
    return sum_from(t, sigma2) / normalizer(sigma2);
}

static double chi_of(const int64_t *samples, size_t n, double sigma2, size_t *freedom)
{
    double sigma = sqrt(sigma2);
    /* Each integer its own cell as far as that can be; else a defect of one integer would hide in its cell. */
    int64_t width = sigma < 32 ? 1 : (int64_t)(sigma / 8);
    return chi_squared(samples, n, gaussian_tail, sigma2, width, (int64_t)(6 * sigma), freedom);
}

static bool fits(const int64_t *samples, size_t n, double sigma2)
{
    size_t freedom;
    double chi = chi_of(samples, n, sigma2, &freedom);
    return chi <= chi_limit(freedom);
}

/* How far the mean, the second moment and the number in a tail lie from theirs, in standard deviations; the worst of them. */
static double worst_moment(const int64_t *samples, size_t n, double sigma2)
{
    double sum = 0;
    double squares = 0;
    size_t above[2] = {0, 0};
    size_t beyond = 0;
    int64_t two = (int64_t)ceil(2 * sqrt(sigma2));
    int64_t three = (int64_t)ceil(3 * sqrt(sigma2));
    for (size_t i = 0; i < n; i++) {
        double x = (double)samples[i];
        sum += x;
        squares += x * x;
        above[0] += samples[i] >= two;
        above[1] += samples[i] >= three;
        beyond += llabs(samples[i]) > two;
    }
    double count = (double)n;
    double zs[] = {sum / sqrt(count * sigma2), (squares / count / sigma2 - 1) / sqrt(2 / count),
        z_of((double)above[0], n, gaussian_tail(two, sigma2)), z_of((double)above[1], n, gaussian_tail(three, sigma2)),
        z_of((double)beyond, n, 2 * gaussian_tail(two + 1, sigma2))};
    double worst = 0;
    for (size_t i = 0; i < sizeof zs / sizeof *zs; i++)
        worst = fmax(worst, fabs(zs[i]));
    return worst;
}

static void test_sequences(void **state)
{
    (void)state;
    assert_int_equal(check_sequences("dgauss", gaussian_sample), 72);
}

/* Where the published sequences have no denominators and no wide integers: by a reckoning of the same rules in Python's
 * unbounded integers, from the same seed. */
static void test_fractions_and_width(void **state)
{
    (void)state;
    static const struct { struct rational sigma2; uint64_t bytes; int64_t samples[12]; } rows[] = {
        {{38, 5}, 209, {-4, -3, 2, -4, 1, 4, -5, 0, 3, 4, 2, -1}},
        {{64823, 1000}, 252, {6, 4, -8, -9, 13, 2, 3, -9, 15, -3, -3, 11}},
        {{SIGMA2_MAX, 1}, 1132, {65321216, -159549310, 138670815, -18336444, 19878215, -62474058, 150178861, 187308867,
            120168115, 62414964, -21705180, -68224658}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct noise_source source = stream_source(31);
        for (size_t j = 0; j < 12; j++) {
            int64_t sample;
            assert_int_equal(gaussian_sample(&source, rows[i].sigma2, &sample, NULL), RESULT_OK);
            assert_int_equal(sample, rows[i].samples[j]);
        }
        const struct stream *stream = source.context;
        assert_int_equal(stream->consumed, rows[i].bytes);
    }
}

/* That the tests' own distribution is the published one. */
static void test_published_distribution(void **state)
{
    (void)state;
    json_t *golden = golden_values();
    size_t checked = 0;
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(golden, "values"), i, row) {
        const char *kind = json_string_value(json_object_get(row, "kind"));
        double ours;
        if (strcmp(kind, "dgauss_normalizer") == 0) {
            ours = normalizer(golden_number(row, "sigma2"));
        } else if (strcmp(kind, "dgauss_pmf") == 0) {
            double sigma2 = golden_number(row, "sigma2");
            int64_t x = (int64_t)golden_number(row, "x");
            ours = gaussian_tail(x, sigma2) - gaussian_tail(x + 1, sigma2);
        } else {
            continue;
        }
        double tolerance = json_number_value(json_object_get(row, "tolerance"));
        assert_true(fabs(ours - json_number_value(json_object_get(row, "value"))) <= tolerance);
        checked++;
    }
    assert_int_equal(checked, 6);
    json_decref(golden);
}

static void test_fit(void **state)
{
    (void)state;
    size_t n = sample_count();
    for (size_t i = 0; i < VARIANCES; i++) {
        double sigma2 = value_of(variances[i]);
        int64_t *samples = draw_samples(gaussian_sample, variances[i], n, (unsigned char)(100 + i));
        size_t freedom;
        double chi = chi_of(samples, n, sigma2, &freedom);
        double worst = worst_moment(samples, n, sigma2);
        print_message("sigma2 %.6g: chi2 %.1f of %zu (limit %.1f), worst moment or tail %.2f; 10 %% less %.0f, more %.0f\n", sigma2,
            chi, freedom, chi_limit(freedom), worst, chi_of(samples, n, sigma2 * 0.9, &(size_t){0}),
            chi_of(samples, n, sigma2 * 1.1, &(size_t){0}));
        assert_true(fits(samples, n, sigma2));
        assert_true(worst < LIMIT_Z);
        assert_false(fits(samples, n, sigma2 * 0.9));
        assert_false(fits(samples, n, sigma2 * 1.1));
        assert_true(worst_moment(samples, n, sigma2 * 0.9) > LIMIT_Z);
        assert_true(worst_moment(samples, n, sigma2 * 1.1) > LIMIT_Z);
        free(samples);
    }
}

/* What a planted sampler does otherwise. */
enum defect { DEFECT_NONE, DEFECT_NO_HALF, DEFECT_NOT_SQUARED, DEFECT_NO_ACCEPTANCE, DEFECT_TWO_ZEROS, DEFECT_HALF_OPEN };
static enum defect planted;

static bool uniform_coin(const struct noise_source *source)
{
    rational_wide coin;
    assert_int_equal(bernoulli_uniform(source, 2, &coin, NULL), RESULT_OK);
    return coin == 1;
}

/* gaussian_sample once more, with planted. */
static enum result defective(const struct noise_source *source, struct rational sigma2, int64_t *out, struct failure *why)
{
    rational_wide n = sigma2.numerator;
    rational_wide d = sigma2.denominator;
    rational_wide t = (rational_wide)floor(sqrt(value_of(sigma2))) + 1;
    for (;;) {
        int64_t y;
        enum result result = laplace_sample(source, (struct rational){(uint64_t)t, 1}, &y, why);
        if (result != RESULT_OK)
            return result;
        rational_wide at = (rational_wide)llabs(y) * t * d;
        rational_wide distance = at > n ? at - n : n - at;
        rational_wide top = planted == DEFECT_NOT_SQUARED ? distance : distance * distance;
        rational_wide bottom = planted == DEFECT_NOT_SQUARED ? 2 * n : (planted == DEFECT_NO_HALF ? 1 : 2) * n * t * t * d;
        bool stays = false;
        result = bernoulli_exp(source, top, bottom, &stays, why);
        if (result != RESULT_OK)
            return result;
        if (planted == DEFECT_HALF_OPEN && y == -1)
            y = 0;
        /* As if a minus zero were kept: zero weighs twice what it should against all others. */
        bool again = planted == DEFECT_TWO_ZEROS && y != 0 && uniform_coin(source);
        if ((stays && !again) || planted == DEFECT_NO_ACCEPTANCE) {
            *out = y;
            return RESULT_OK;
        }
    }
}

static void test_planted_samplers(void **state)
{
    (void)state;
    static const enum defect defects[] = {DEFECT_NO_HALF, DEFECT_NOT_SQUARED, DEFECT_NO_ACCEPTANCE, DEFECT_TWO_ZEROS,
        DEFECT_HALF_OPEN};
    size_t n = sample_count();
    static const struct rational some[] = {{4, 1}, {10, 1}, {64823, 1000}, {462, 1}};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        planted = DEFECT_NONE;
        int64_t *sound = draw_samples(defective, some[i], n, (unsigned char)(150 + i));
        int64_t *ours = draw_samples(gaussian_sample, some[i], n, (unsigned char)(150 + i));
        assert_memory_equal(sound, ours, n * sizeof *sound);
        free(sound);
        free(ours);
        for (size_t j = 0; j < sizeof defects / sizeof *defects; j++) {
            planted = defects[j];
            int64_t *samples = draw_samples(defective, some[i], n, (unsigned char)(150 + i));
            size_t freedom;
            double chi = chi_of(samples, n, value_of(some[i]), &freedom);
            print_message("sigma2 %.6g, defect %d: chi2 %.0f (limit %.0f)\n", value_of(some[i]), (int)planted, chi, chi_limit(freedom));
            assert_true(chi > chi_limit(freedom));
            free(samples);
        }
    }
}

static void test_failing_closed(void **state)
{
    (void)state;
    for (size_t i = 0; i < VARIANCES; i++)
        (void)check_failing(gaussian_sample, variances[i], true, true);
}

static void test_bounds(void **state)
{
    (void)state;
    static const struct rational bad[] = {{0, 1}, {4, 0}, {0, 0}, {3, 1}, {39, 10}, {3999999, 1000000}, {SIGMA2_MAX + 1, 1},
        {UINT64_MAX, 1}, {SIGMA2_MAX, SIGMA2_MAX / 4 + 1}, {UINT64_MAX, UINT64_MAX / 5}};
    struct noise_source source = stream_source(1);
    struct stream *stream = source.context;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct failure why = {0};
        int64_t sample = 77;
        assert_int_equal(gaussian_sample(&source, bad[i], &sample, &why), RESULT_INVALID);
        assert_int_equal(sample, 77);
        assert_string_equal(why.field, "sigma2");
    }
    assert_int_equal(stream->consumed, 0);
    static const struct rational good[] = {{SIGMA2_MAX, SIGMA2_MAX / 4}, {SIGMA2_MAX - 1, 1}, {SIGMA2_MAX - 1, 12345678901}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        for (int j = 0; j < 1000; j++) {
            int64_t sample;
            assert_int_equal(gaussian_sample(&source, good[i], &sample, NULL), RESULT_OK);
            assert_true(fabs((double)sample) < 8 * sqrt(value_of(good[i])));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_fractions_and_width),
        cmocka_unit_test(test_published_distribution),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_planted_samplers),
        cmocka_unit_test(test_failing_closed),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
