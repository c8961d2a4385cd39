#include "compliance/meaning/findings.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static void tell(struct findings *findings, const char *where, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

static void tell(struct findings *findings, const char *where, const char *format, va_list arguments)
{
    char what[512];
    if (findings->count++ >= FINDINGS_TOLD_MAX || findings->found == NULL)
        return;
    (void)vsnprintf(what, sizeof what, format, arguments);
    const struct meaning_finding finding = {where, what};
    findings->found(findings->context, &finding);
}

void findings_entry(struct findings *findings, uint64_t index, const char *format, ...)
{
    char where[64];
    va_list arguments;
    (void)snprintf(where, sizeof where, "log entry %" PRIu64, index);
    va_start(arguments, format);
    tell(findings, where, format, arguments);
    va_end(arguments);
}

void findings_line(struct findings *findings, const char *file, uint64_t line, const char *format, ...)
{
    char where[128];
    va_list arguments;
    (void)snprintf(where, sizeof where, "%s line %" PRIu64, file, line);
    va_start(arguments, format);
    tell(findings, where, format, arguments);
    va_end(arguments);
}

void findings_log(struct findings *findings, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tell(findings, "log", format, arguments);
    va_end(arguments);
}
