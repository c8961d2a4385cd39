/*
 * Log lines to import. The first byte chooses the format; a csv input's first line is its header.
 */
#include <stdlib.h>
#include <string.h>

#include "service/cli/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_line(const struct line *line)
{
    char name[NAME_MAX_BYTES + 1];
    require(line->user != NULL && line->user[0] != '\0' && strlen(line->user) <= RAW_ID_MAX_BYTES);
    require(line->session == NULL || strlen(line->session) <= RAW_ID_MAX_BYTES);
    require(line->name != NULL && lines_event_name(line->name, name));
    require(line->ts_ms >= TS_MIN_MS && line->ts_ms < TS_MAX_MS);
    require(line->prop_count <= EVENT_PROPS_MAX);
}

static void parse_line(const struct lines_format *format, char *text)
{
    struct line line = {0};
    struct failure why = {0};
    if (lines_parse(format, text, &line, &why) == RESULT_OK)
        check_line(&line);
    else
        require(line.fault != LINES_GOOD && lines_fault_text(line.fault) != NULL);
    lines_clear(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct failure why = {0};
    if (size == 0)
        return 0;
    struct lines_format format = {.kind = (enum lines_kind)(data[0] % 3), .user_from_address = (data[0] & 4) != 0,
        .event = (data[0] & 8) != 0 ? "page_view" : NULL};
    char *text = malloc(size);
    if (text == NULL)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    char *next = text, *line = strsep(&next, "\n");
    bool good = format.kind != LINES_CSV || lines_read_header(&format, line, &why) == RESULT_OK;
    if (format.kind != LINES_CSV)
        parse_line(&format, line);
    for (int i = 0; good && next != NULL && i < 20; i++)
        parse_line(&format, strsep(&next, "\n"));
    free(text);
    return 0;
}
