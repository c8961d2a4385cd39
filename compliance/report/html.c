#include "compliance/report/html.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char style[]
    = ":root{color-scheme:light dark;--paper:#fdfdfb;--ink:#1d2328;--soft:#5b646c;--line:#d9dcda;--band:#f3f4f1;--accent:#20566b;"
      "--good:#1c6b43;--bad:#a3271f;--open:#8a5a00;--bar:#bcd3da}\n"
      "@media(prefers-color-scheme:dark){:root{--paper:#14181b;--ink:#e6e8e6;--soft:#a0a9af;--line:#353c41;--band:#1c2226;"
      "--accent:#8cc5d8;--good:#76c99b;--bad:#f0948b;--open:#e2b45c;--bar:#2d5360}}\n"
      "*{box-sizing:border-box}html{font:16px/1.55 Charter,\"Bitstream Charter\",\"Sitka Text\",Cambria,Georgia,serif;"
      "background:var(--paper);color:var(--ink);-webkit-text-size-adjust:100%}\n"
      "body{max-width:66rem;margin:0 auto;padding:2rem 1.5rem 4rem}\n"
      "h1,h2,nav,table,.figures,footer,.badge{font-family:system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",Arial,"
      "\"Liberation Sans\",sans-serif}\n"
      "nav{display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;padding-bottom:.8rem;border-bottom:1px solid var(--line);font-size:.84rem}\n"
      "nav a{color:var(--soft);text-decoration:none}nav a:hover{color:var(--accent);text-decoration:underline}"
      "nav a[aria-current]{color:var(--ink);font-weight:600}\n"
      "h1{font-size:1.9rem;line-height:1.2;font-weight:650;letter-spacing:-.015em;margin:2.2rem 0 .5rem;text-wrap:balance}\n"
      "h2{font-size:1.15rem;line-height:1.3;font-weight:650;margin:2.6rem 0 .4rem}\n"
      "p,ul{max-width:44rem;margin:.5rem 0}li{margin:.25rem 0}.lead{font-size:1.12rem;color:var(--soft);max-width:42rem}a{color:var(--accent)}\n"
      ".note{border-left:3px solid var(--open);padding:.45rem 0 .45rem .9rem;margin:1rem 0}\n"
      ".figures{display:flex;flex-wrap:wrap;border:1px solid var(--line);border-radius:6px;overflow:hidden;margin:1.4rem 0}\n"
      ".figures div{flex:1 1 10.5rem;padding:.8rem 1rem;box-shadow:0 0 0 .5px var(--line)}.figures b{display:block;"
      "font-size:1.55rem;font-weight:600;"
      "font-variant-numeric:tabular-nums;line-height:1.25}.figures span{font-size:.82rem;color:var(--soft);line-height:1.35;display:block}\n"
      ".wide{overflow-x:auto;margin:1rem 0 1.6rem}table{border-collapse:collapse;width:100%;font-size:.86rem;line-height:1.4;"
      "font-variant-numeric:tabular-nums}\n"
      "caption{text-align:left;font-weight:600;padding:0 0 .45rem;color:var(--ink)}\n"
      "th,td{text-align:left;vertical-align:top;padding:.38rem .9rem .38rem 0;border-bottom:1px solid var(--line)}\n"
      "thead th{font-weight:600;color:var(--soft);font-size:.78rem;vertical-align:bottom;border-bottom:1.5px solid var(--soft)}\n"
      ".n{text-align:right}td.n{white-space:nowrap}th:last-child,td:last-child{padding-right:0}tbody tr:hover{background:var(--band)}\n"
      "td.none{color:var(--soft);font-style:italic}.t{white-space:nowrap}code{font:.92em/1.3 ui-monospace,\"SF Mono\",Menlo,Consolas,"
      "\"Liberation Mono\",monospace;overflow-wrap:anywhere}td code{white-space:nowrap}\n"
      ".badge{white-space:nowrap;font-weight:600}.good{color:var(--good)}.bad{color:var(--bad)}.open{color:var(--open)}\n"
      ".bar{display:block;height:.3rem;border-radius:2px;background:var(--band);margin-top:.25rem;min-width:5rem;"
      "border:1px solid var(--line)}.bar i{display:block;height:100%;background:var(--accent)}\n"
      "dl{display:grid;grid-template-columns:minmax(9rem,14rem) 1fr;gap:.35rem 1.2rem;margin:.8rem 0 1.4rem;max-width:56rem}"
      "dt{font:600 .84rem/1.55 system-ui,sans-serif;color:var(--soft)}dd{margin:0}\n"
      "footer{margin-top:3.5rem;padding-top:.9rem;border-top:1px solid var(--line);font-size:.78rem;color:var(--soft)}"
      "footer p{max-width:none;margin:.2rem 0}\n"
      "@page{size:A4;margin:17mm 16mm 18mm}\n"
      "@media print{:root{--paper:#fff;--ink:#000;--soft:#444;--line:#bbb;--band:#fff;--accent:#000;--good:#000;--bad:#000;"
      "--open:#000;color-scheme:light}html{font-size:10.5pt}body{max-width:none;padding:0}nav{display:none}h1{margin-top:0}"
      "h2{break-after:avoid}thead{display:table-header-group}tr,.figures,dl,.note{break-inside:avoid}caption{break-after:avoid}"
      ".wide{overflow:visible}table{font-size:8.6pt}td.n,.t,.badge{white-space:normal}a{color:inherit;text-decoration:none}"
      ".bar{print-color-adjust:exact;-webkit-print-color-adjust:exact}}\n";

static const char *const pages[][2] = {{"index.html", "Overview"}, {"processing.html", "Processing"},
    {"assessment.html", "Assessment"}, {"requests.html", "Requests"}, {"keys.html", "Keys"}, {"budget.html", "Budget"},
    {"access.html", "Access"}, {"retention.html", "Retention"}, {"incidents.html", "Incidents"}};

void html_text(struct outfile *out, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '&')
            outfile_text(out, "&amp;");
        else if (*at == '<')
            outfile_text(out, "&lt;");
        else if (*at == '>')
            outfile_text(out, "&gt;");
        else if (*at == '"')
            outfile_text(out, "&quot;");
        else if (*at == '\'')
            outfile_text(out, "&#39;");
        else
            outfile_put(out, at, 1);
    }
}

void html_begin(struct outfile *out, const struct gathered *all, const char *file, const char *title, const char *lead)
{
    outfile_text(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
                      "<meta name=\"referrer\" content=\"no-referrer\">\n<title>");
    html_text(out, title);
    outfile_text(out, " \xc2\xb7 ");
    html_text(out, all->source->checkpoint.origin);
    outfile_text(out, "</title>\n<style>\n");
    outfile_text(out, style);
    outfile_text(out, "</style>\n</head>\n<body>\n<nav aria-label=\"Pages\">");
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        outfile_format(out, "<a href=\"%s\"%s>%s</a>", pages[i][0], strcmp(pages[i][0], file) == 0 ? " aria-current=\"page\"" : "",
            pages[i][1]);
    outfile_text(out, "</nav>\n<main>\n<h1>");
    html_text(out, title);
    outfile_text(out, "</h1>\n<p class=\"lead\">");
    html_text(out, lead);
    outfile_text(out, "</p>\n");
}

void html_end(struct outfile *out, const struct gathered *all)
{
    char time[CIVIL_TIME_BYTES], root[64], size[40];
    sodium_bin2base64(root, sizeof root, all->source->checkpoint.root.bytes, sizeof all->source->checkpoint.root.bytes,
        sodium_base64_VARIANT_ORIGINAL);
    outfile_text(out, "</main>\n<footer>\n<p>Made from the audit trail of <code>");
    html_text(out, all->source->checkpoint.origin);
    outfile_format(out, "</code>: %s entries, as of %s UTC (the newest entry). All times are UTC.</p>\n",
        html_number(all->source->checkpoint.size, size), civil_minute(all->newest_ms, time));
    outfile_text(out, "<p>Root hash of the log at this size: <code>");
    html_text(out, root);
    outfile_text(out, "</code></p>\n<p>This page says what the trail says, and no more. It is no certificate and no legal opinion."
                      "</p>\n</footer>\n</body>\n</html>\n");
}

void html_heading(struct outfile *out, const char *text)
{
    outfile_text(out, "<h2>");
    html_text(out, text);
    outfile_text(out, "</h2>\n");
}

static void block(struct outfile *out, const char *open, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

static void block(struct outfile *out, const char *open, const char *format, va_list arguments)
{
    char text[2048];
    (void)vsnprintf(text, sizeof text, format, arguments);
    outfile_text(out, open);
    html_text(out, text);
    outfile_text(out, "</p>\n");
}

void html_paragraph(struct outfile *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    block(out, "<p>", format, arguments);
    va_end(arguments);
}

void html_note(struct outfile *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    block(out, "<p class=\"note\">", format, arguments);
    va_end(arguments);
}

static const char *mark_class(enum html_mark mark)
{
    static const char *const classes[] = {[HTML_GOOD] = "good", [HTML_BAD] = "bad", [HTML_OPEN] = "open", [HTML_PLAIN] = "plain"};
    return classes[mark];
}

void html_figures_begin(struct outfile *out)
{
    outfile_text(out, "<div class=\"figures\">");
}

void html_figure(struct outfile *out, enum html_mark mark, const char *value, const char *what)
{
    outfile_format(out, "<div><b class=\"%s\">", mark_class(mark));
    html_text(out, value);
    outfile_text(out, "</b><span>");
    html_text(out, what);
    outfile_text(out, "</span></div>");
}

void html_figures_end(struct outfile *out)
{
    outfile_text(out, "</div>\n");
}

struct html_table html_table_begin(struct outfile *out, const char *caption, const struct html_column *columns, size_t count)
{
    outfile_text(out, "<div class=\"wide\"><table>\n<caption>");
    html_text(out, caption);
    outfile_text(out, "</caption>\n<thead><tr>");
    for (size_t i = 0; i < count; i++) {
        outfile_text(out, columns[i].number ? "<th scope=\"col\" class=\"n\">" : "<th scope=\"col\">");
        html_text(out, columns[i].title);
        outfile_text(out, "</th>");
    }
    outfile_text(out, "</tr></thead>\n<tbody>\n");
    return (struct html_table){.out = out, .columns = columns, .count = count};
}

static void cell_open(struct html_table *table, const char *class)
{
    if (table->cell == 0)
        outfile_text(table->out, "<tr>");
    if (table->columns[table->cell].number)
        outfile_text(table->out, "<td class=\"n\">");
    else if (class == NULL)
        outfile_text(table->out, "<td>");
    else
        outfile_format(table->out, "<td class=\"%s\">", class);
}

static void cell_close(struct html_table *table)
{
    outfile_text(table->out, "</td>");
    if (++table->cell < table->count)
        return;
    outfile_text(table->out, "</tr>\n");
    table->cell = 0;
    table->rows++;
}

void html_cell(struct html_table *table, const char *text)
{
    cell_open(table, NULL);
    html_text(table->out, text == NULL || text[0] == '\0' ? "\xe2\x80\x93" : text);
    cell_close(table);
}

void html_cell_code(struct html_table *table, const char *text, size_t shown)
{
    size_t length = text == NULL ? 0 : strlen(text);
    cell_open(table, NULL);
    if (length == 0)
        outfile_text(table->out, "\xe2\x80\x93");
    else if (shown == 0 || length <= shown) {
        outfile_text(table->out, "<code>");
        html_text(table->out, text);
        outfile_text(table->out, "</code>");
    } else {
        outfile_text(table->out, "<code title=\"");
        html_text(table->out, text);
        outfile_format(table->out, "\">%.*s\xe2\x80\xa6</code>", (int)shown, text);
    }
    cell_close(table);
}

const char *html_number(uint64_t number, char out[40])
{
    char digits[24];
    size_t length = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, number), at = 0;
    for (size_t i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            memcpy(out + at, "\xe2\x80\xaf", 3); /* narrow no-break space */
            at += 3;
        }
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

void html_cell_number(struct html_table *table, uint64_t number)
{
    char text[40];
    html_cell(table, html_number(number, text));
}

void html_cell_time(struct html_table *table, int64_t at_ms)
{
    char text[CIVIL_TIME_BYTES];
    cell_open(table, "t");
    html_text(table->out, at_ms == 0 ? "\xe2\x80\x93" : civil_minute(at_ms, text));
    cell_close(table);
}

void html_cell_day(struct html_table *table, int64_t at_ms)
{
    char text[CIVIL_DATE_BYTES];
    cell_open(table, "t");
    html_text(table->out, at_ms == 0 ? "\xe2\x80\x93" : civil_format((int32_t)(at_ms / CIVIL_DAY_MS), text));
    cell_close(table);
}

void html_cell_month(struct html_table *table, const char *first_day)
{
    cell_open(table, "t");
    outfile_put(table->out, first_day, strlen(first_day) < 7 ? strlen(first_day) : 7);
    cell_close(table);
}

void html_cell_mark(struct html_table *table, enum html_mark mark, const char *word)
{
    static const char *const signs[] = {[HTML_GOOD] = "\xe2\x9c\x93 ", [HTML_BAD] = "\xe2\x9c\x97 ", [HTML_OPEN] = "\xe2\x97\x8b ",
        [HTML_PLAIN] = ""};
    cell_open(table, NULL);
    outfile_format(table->out, "<span class=\"badge %s\">%s", mark_class(mark), signs[mark]);
    html_text(table->out, word);
    outfile_text(table->out, "</span>");
    cell_close(table);
}

void html_cell_bar(struct html_table *table, unsigned percent, const char *text)
{
    cell_open(table, NULL);
    html_text(table->out, text);
    outfile_format(table->out, "<span class=\"bar\" aria-hidden=\"true\"><i style=\"width:%u%%\"></i></span>",
        percent > 100 ? 100 : percent);
    cell_close(table);
}

void html_table_end(struct html_table *table, const char *none)
{
    if (table->rows == 0) {
        outfile_format(table->out, "<tr><td class=\"none\" colspan=\"%zu\">", table->count);
        html_text(table->out, none);
        outfile_text(table->out, "</td></tr>\n");
    }
    outfile_text(table->out, "</tbody></table></div>\n");
}
