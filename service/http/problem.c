#include "service/http/problem.h"

#include <stdio.h>
#include <string.h>

/* A failure's text may have been cut within a character: what is not ASCII becomes a question mark. */
static void print_escaped(FILE *file, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fputc('\\', file);
        fputc(c < 0x20 || c > 0x7e ? '?' : c, file);
    }
}

static const char *status_title(unsigned status)
{
    static const struct {
        unsigned status;
        const char *title;
    } titles[] = {{400, "Bad request"}, {401, "Unknown key"}, {403, "Not allowed"}, {404, "Not found"},
        {405, "Method not allowed"}, {406, "Not acceptable"}, {408, "Too slow"}, {409, "Conflict"},
        {413, "Too large"}, {415, "Unsupported media type"}, {429, "Too many requests"}, {500, "Internal error"}, {503, "Unavailable"}};
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++) {
        if (titles[i].status == status)
            return titles[i].title;
    }
    return "Problem";
}

char *problem_document(unsigned status, const char *type, const struct failure *why)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (file == NULL)
        return NULL;
    fprintf(file, "{\"type\":\"urn:throng:problem:");
    print_escaped(file, type);
    fprintf(file, "\",\"title\":\"%s\",\"status\":%u", status_title(status), status);
    if (why != NULL && why->text[0] != '\0') {
        fprintf(file, ",\"detail\":\"");
        print_escaped(file, why->text);
        fputc('"', file);
    }
    if (why != NULL && why->field[0] != '\0') {
        fprintf(file, ",\"field\":\"");
        print_escaped(file, why->field);
        fputc('"', file);
    }
    fputc('}', file);
    fclose(file);
    return text;
}
