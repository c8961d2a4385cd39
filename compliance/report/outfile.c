#include "compliance/report/outfile.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "compliance/meaning/civil.h"

void outfile_open(struct outfile *out, const struct report_sink *sink, const char *path)
{
    out->sink = sink;
    out->file = NULL;
    out->line = false;
    out->length = 0;
    out->why = (struct failure){0};
    out->result = sink->open(sink->context, path, &out->file, &out->why);
}

static void flush(struct outfile *out)
{
    if (out->result == RESULT_OK && out->length > 0)
        out->result = out->sink->write(out->sink->context, out->file, out->buffer, out->length, &out->why);
    out->length = 0;
}

enum result outfile_close(struct outfile *out, struct failure *why)
{
    flush(out);
    if (out->file != NULL) {
        struct failure closing = {0};
        enum result closed = out->sink->close(out->sink->context, out->file, &closing);
        if (out->result == RESULT_OK && closed != RESULT_OK) {
            out->result = closed;
            out->why = closing;
        }
    }
    out->file = NULL;
    if (out->result != RESULT_OK)
        failure_set(why, out->why.field, "%s", out->why.text);
    return out->result;
}

void outfile_put(struct outfile *out, const char *bytes, size_t length)
{
    while (length > 0) {
        size_t room = sizeof out->buffer - out->length;
        size_t now = length < room ? length : room;
        memcpy(out->buffer + out->length, bytes, now);
        out->length += now;
        bytes += now;
        length -= now;
        if (out->length == sizeof out->buffer)
            flush(out);
    }
}

void outfile_text(struct outfile *out, const char *text)
{
    outfile_put(out, text, strlen(text));
}

void outfile_format(struct outfile *out, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    outfile_text(out, text);
}

/* A quotation mark is doubled. */
static void put_csv_quoted(struct outfile *out, const char *field, size_t length)
{
    outfile_put(out, "\"", 1);
    for (const char *mark; (mark = memchr(field, '"', length)) != NULL;) {
        size_t run = (size_t)(mark - field) + 1;
        outfile_put(out, field, run);
        outfile_put(out, "\"", 1);
        field += run;
        length -= run;
    }
    outfile_put(out, field, length);
    outfile_put(out, "\"", 1);
}

void outfile_csv(struct outfile *out, const char *field)
{
    if (out->line)
        outfile_put(out, ",", 1);
    out->line = true;
    if (field == NULL || field[0] == '\0')
        return;
    if (strpbrk(field, ",\"\r\n") == NULL && field[0] != ' ')
        outfile_text(out, field);
    else
        put_csv_quoted(out, field, strlen(field));
}

void outfile_csv_quoted(struct outfile *out, const char *field, size_t length)
{
    if (out->line)
        outfile_put(out, ",", 1);
    out->line = true;
    put_csv_quoted(out, field, length);
}

void outfile_csv_number(struct outfile *out, uint64_t number)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, number);
    outfile_csv(out, text);
}

void outfile_csv_time(struct outfile *out, int64_t at_ms)
{
    char text[CIVIL_TIME_BYTES];
    outfile_csv(out, at_ms == 0 ? NULL : civil_time(at_ms, text));
}

void outfile_csv_end(struct outfile *out)
{
    outfile_put(out, "\r\n", 2);
    out->line = false;
}

void outfile_csv_line(struct outfile *out, const char *const *fields)
{
    for (; *fields != NULL; fields++)
        outfile_csv(out, *fields);
    outfile_csv_end(out);
}

void outfile_json(struct outfile *out, const char *text)
{
    outfile_put(out, "\"", 1);
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            outfile_put(out, "\\", 1);
        if ((unsigned char)*at < 0x20)
            outfile_format(out, "\\u%04x", (unsigned)(unsigned char)*at);
        else
            outfile_put(out, at, 1);
    }
    outfile_put(out, "\"", 1);
}
