#include "service/paper/markup.h"

#include <string.h>

#include "service/paper/style.h"

void markup_text(FILE *out, const char *text)
{
    static const char special[] = "&<>\"'";
    static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    for (const char *at = text; *at != '\0'; at++) {
        const char *found = strchr(special, *at);
        if (found == NULL)
            (void)fputc(*at, out);
        else
            (void)fputs(entities[found - special], out);
    }
}

void markup_element(FILE *out, const char *name, const char *class, const char *text)
{
    if (class == NULL)
        (void)fprintf(out, "<%s>", name);
    else
        (void)fprintf(out, "<%s class=\"%s\">", name, class);
    markup_text(out, text);
    (void)fprintf(out, "</%s>", name);
}

void markup_begin(FILE *out, const char *title, const char *body_class)
{
    (void)fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
                "<meta name=\"referrer\" content=\"no-referrer\">\n",
        out);
    markup_element(out, "title", NULL, title);
    (void)fputs("\n<style>\n", out);
    style_write(out);
    (void)fprintf(out, "</style>\n</head>\n<body class=\"%s\">\n", body_class);
    /* what suppressed values are drawn with */
    (void)fputs("<svg width=\"0\" height=\"0\" style=\"position:absolute;width:0\" aria-hidden=\"true\"><defs><pattern id=\"hatch\" width=\"5\" height=\"5\""
                " patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><line class=\"hatch\" x1=\"0\" x2=\"0\" y1=\"0\" y2=\"5\"/>"
                "</pattern></defs></svg>\n",
        out);
}

void markup_end(FILE *out)
{
    (void)fputs("</body>\n</html>\n", out);
}
