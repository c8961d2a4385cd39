#include "anonymizer/release/sigma2.h"

enum result sigma2_check(struct rational sigma2, struct failure *why)
{
    uint64_t n = sigma2.numerator;
    uint64_t d = sigma2.denominator;
    if (d == 0 || n > SIGMA2_MAX || d > SIGMA2_MAX || n / SIGMA2_MIN < d) {
        failure_set(why, "sigma2", "a variance must be at least %d, its terms at most 2^54", SIGMA2_MIN);
        return RESULT_INVALID;
    }
    return RESULT_OK;
}
