#include "service/base/log.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "service/base/clock.h"

#define LINE_BYTES 4096 /* at most PIPE_BUF: lines of several processes on one pipe do not mix */
#define TAIL ",\"truncated\":true}\n"

struct line {
    size_t used;
    bool full;
    char bytes[LINE_BYTES];
};

static const char *const level_names[] = {
    [LOG_LEVEL_DEBUG] = "debug",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_ERROR] = "error",
};

static const char *daemon_name = "throng";
static _Atomic int least_level = LOG_LEVEL_INFO;

bool log_level_named(const char *name, enum log_level *level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_init(const char *daemon, enum log_level least)
{
    daemon_name = daemon;
    atomic_store(&least_level, (int)least);
}

/* Room for the tail is never given away, so that a full line can still be closed. */
static void put(struct line *line, const char *bytes, size_t length)
{
    if (line->full || length > LINE_BYTES - sizeof TAIL - line->used) {
        line->full = true;
        return;
    }
    memcpy(line->bytes + line->used, bytes, length);
    line->used += length;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static void put_quoted(struct line *line, const char *text)
{
    put_text(line, "\"");
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        char escape[8];
        if (c == '"' || c == '\\') {
            put(line, (const char[]){'\\', *text}, 2);
        } else if (c < 0x20) {
            (void)snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c);
            put_text(line, escape);
        } else if (c >= 0x7f) {
            put_text(line, "?"); /* declared names are ASCII; whatever else comes must not break the JSON */
        } else {
            put(line, text, 1);
        }
    }
    put_text(line, "\"");
}

static void put_value(struct line *line, const struct log_field *field)
{
    char number[40] = "null";
    switch (field->type) {
    case LOG_TYPE_INT:
        (void)snprintf(number, sizeof number, "%lld", (long long)field->value.i);
        break;
    case LOG_TYPE_UINT:
        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)field->value.u);
        break;
    case LOG_TYPE_DOUBLE:
        if (isfinite(field->value.d))
            (void)snprintf(number, sizeof number, "%.15g", field->value.d);
        break;
    case LOG_TYPE_TEXT:
        if (field->value.text != NULL) {
            put_quoted(line, field->value.text);
            return;
        }
        break;
    }
    put_text(line, number);
}

/* A field is written whole or not at all. */
static void put_field(struct line *line, const struct log_field *field)
{
    size_t before = line->used;
    put_text(line, ",");
    put_quoted(line, field->key);
    put_text(line, ":");
    put_value(line, field);
    if (line->full)
        line->used = before;
}

static void write_line(const char *bytes, size_t length)
{
    ssize_t written;
    do
        written = write(STDERR_FILENO, bytes, length);
    while (written < 0 && errno == EINTR);
}

void log_write(enum log_level level, const char *name, const struct log_field *fields)
{
    if ((int)level < atomic_load_explicit(&least_level, memory_order_relaxed))
        return;
    int error = errno;
    struct line line;
    line.used = 0;
    line.full = false;
    char at[32];
    put_text(&line, "{\"at\":");
    put_quoted(&line, clock_format(clock_now_ms(), at, sizeof at));
    const struct log_field head[] = {
        LOG_NAME("level", level_names[level]),
        LOG_NAME("daemon", daemon_name),
        LOG_NAME("event", name),
    };
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++)
        put_field(&line, &head[i]);
    for (; fields->key != NULL && !line.full; fields++)
        put_field(&line, fields);

    const char *tail = line.full ? TAIL : "}\n";
    memcpy(line.bytes + line.used, tail, strlen(tail));
    write_line(line.bytes, line.used + strlen(tail));
    errno = error;
}
