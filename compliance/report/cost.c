#include "compliance/report/cost.h"

#include <stdio.h>
#include <string.h>

#include "anonymizer/release/epsilon.h"

#define EPSILON_SHOWN_PLACES 3

const char *cost_epsilon(decimal_units rho, char out[COST_TEXT_BYTES])
{
    char text[RATIONAL_TEXT_MAX];
    const struct rational exact = {rho, DECIMAL_ONE}, delta = {1, UINT64_C(1000000000)};
    struct rational epsilon;
    (void)snprintf(out, COST_TEXT_BYTES, "more than 1\xe2\x80\xaf" "000\xe2\x80\xaf" "000");
    if (epsilon_of_rho(exact, delta, &epsilon, NULL) != RESULT_OK)
        return out;
    rational_decimal(epsilon, EPSILON_SHOWN_PLACES, RATIONAL_UP, text);
    (void)snprintf(out, COST_TEXT_BYTES, "%.30s", text);
    return out;
}

const char *cost_promise(const char *preset)
{
    static const char *const promises[][2] = {{"strict", "3"}, {"standard", "8"}, {"small", "16"}};
    for (size_t i = 0; i < sizeof promises / sizeof *promises; i++)
        if (strcmp(promises[i][0], preset) == 0)
            return promises[i][1];
    return NULL;
}
