#include "anonymizer/release/range.h"

#include <math.h>

int64_t range_steps(const struct app_measure *measure)
{
    return llround((measure->max - measure->min) / measure->step);
}
