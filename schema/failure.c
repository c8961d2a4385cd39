#include "schema/failure.h"

#include <stdarg.h>
#include <stdio.h>

void failure_set(struct failure *why, const char *field, const char *format, ...)
{
    if (why == NULL || why->text[0] != '\0')
        return;
    (void)snprintf(why->field, sizeof why->field, "%s", field == NULL ? "" : field);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(why->text, sizeof why->text, format, arguments);
    va_end(arguments);
}

const char *failure_name(enum result code)
{
    static const char *const names[] = {
        [RESULT_OK] = "ok",
        [RESULT_INVALID] = "invalid",
        [RESULT_NOT_FOUND] = "not_found",
        [RESULT_DENIED] = "denied",
        [RESULT_FULL] = "full",
        [RESULT_UNAVAILABLE] = "unavailable",
        [RESULT_CORRUPT] = "corrupt",
        [RESULT_FAILED] = "failed",
    };
    return names[code];
}
