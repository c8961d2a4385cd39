#include "service/paper/style.h"

/* One rule or a few a string: what a compiler must take is not long. */
static const char *const rules[] = {
    ":root{color-scheme:light;--paper:#f6f6f3;--surface:#fff;--ink:#182230;--soft:#3c4858;--muted:#5d6876;"
    "--line:#e2e4e0;--grid:#ecede9;--edge:#c9cdd2;--accent:#1f4fbf;--band:#1f4fbf;--good:#17693f;--bad:#a8321f;"
    "--warn:#a05a00;--hatch:#c3c8cd}\n",
    "*{box-sizing:border-box}\n",
    "html{-webkit-text-size-adjust:100%;background:var(--paper)}\n",
    "body{margin:0 auto;max-width:210mm;padding:12mm 14mm 14mm;background:var(--surface);color:var(--ink);"
    "font:400 13.5px/1.5 Inter,system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",Arial,"
    "\"Liberation Sans\",sans-serif;font-variant-numeric:tabular-nums;-webkit-print-color-adjust:exact;"
    "print-color-adjust:exact}\n",
    "h1,h2,h3,p,ul,figure,dl,dd{margin:0;padding:0}\n",
    "ul{list-style:none}\n",
    "a{color:var(--accent);text-underline-offset:3px;text-decoration-thickness:1px}\n",
    "header{padding-bottom:14px;border-bottom:2px solid var(--ink);margin-bottom:18px}\n",
    ".kicker{font-size:11px;letter-spacing:.06em;text-transform:uppercase;color:var(--muted);font-weight:600}\n",
    "h1{font-size:30px;line-height:1.15;font-weight:680;letter-spacing:-.022em;margin:5px 0 4px;"
    "text-wrap:balance}\n",
    "h1 small{display:block;font-size:19px;line-height:1.4;font-weight:400;letter-spacing:-.02em;color:var(--muted)}\n",
    ".sub{color:var(--soft);font-size:13.5px}\n",
    "h2{font-size:17px;line-height:1.3;font-weight:650;letter-spacing:-.012em;margin:30px 0 3px;"
    "break-after:avoid}\n",
    "h3{font-size:13.5px;line-height:1.35;font-weight:620;margin:0 0 2px;break-after:avoid}\n",
    ".lead{color:var(--muted);font-size:12.5px;margin-bottom:10px;max-width:68ch}\n",
    ".when{color:var(--muted);font-weight:400;font-size:11.5px}\n",
    ".cards{display:grid;grid-template-columns:repeat(4,1fr);gap:8px}\n",
    ".card{border:1px solid var(--line);border-radius:10px;padding:11px 13px 12px;break-inside:avoid;"
    "min-height:106px}\n",
    ".card .name{font-size:12px;color:var(--soft);font-weight:550}\n",
    ".card b{display:block;font-size:25px;line-height:1.2;font-weight:650;letter-spacing:-.022em;"
    "margin:3px 0 1px}\n",
    ".card .range{font-size:11.5px;color:var(--muted)}\n",
    ".change{display:block;font-size:11.5px;color:var(--muted);margin-top:5px}\n",
    ".change.up{color:var(--good)}.change.down{color:var(--bad)}\n",
    ".change.up,.change.down{font-weight:550}\n",
    ".none{color:var(--muted)}\n",
    "b.none{font-size:17px;line-height:1.76;font-weight:500}\n",
    ".pair{display:grid;grid-template-columns:1fr 1fr;gap:20px 26px;margin-top:12px}\n",
    "figure{break-inside:avoid;margin-top:12px}.pair figure{margin-top:0}\n",
    "svg{display:block;width:100%;height:auto;overflow:visible}\n",
    "svg text{font-family:inherit;font-size:10.5px;fill:var(--muted)}\n",
    ".axis{stroke:var(--edge)}.gridline{stroke:var(--grid)}\n",
    ".band{fill:var(--band);fill-opacity:.15}\n",
    ".line{fill:none;stroke:var(--accent);stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}\n",
    ".dot{fill:var(--accent)}.dot.now{stroke:var(--surface);stroke-width:2}\n",
    "svg .value{fill:var(--ink);font-weight:620;font-size:11.5px}\n",
    ".gap{fill:url(#hatch)}.hatch{stroke:var(--hatch);stroke-width:1}\n",
    ".marker{stroke:var(--warn);stroke-dasharray:3 3}svg .marked{fill:var(--warn);font-weight:650}\n",
    ".bar{fill:var(--accent);fill-opacity:.82}.whisker{stroke:var(--ink);stroke-width:1.2;fill:none}\n",
    ".track{fill:var(--grid)}\n",
    ".legend{font-size:11.5px;color:var(--muted);margin-top:4px}\n",
    "table{border-collapse:collapse;width:100%;font-size:12.5px;line-height:1.4}\n",
    "th{font-weight:550;color:var(--muted);font-size:11px;text-align:left;vertical-align:bottom;"
    "padding:3px 8px 4px 0;border-bottom:1px solid var(--edge)}\n",
    "td{padding:4px 8px 4px 0;border-bottom:1px solid var(--grid);vertical-align:middle}\n",
    "th:last-child,td:last-child{padding-right:0}\n",
    "tr{break-inside:avoid}thead{display:table-header-group}\n",
    ".n{text-align:right;white-space:nowrap}\n",
    ".name-cell{overflow-wrap:anywhere}@media screen{.name-cell{min-width:8.5em}.pair .name-cell{min-width:0}}\n",
    "td.draw{width:30%;min-width:90px}\n",
    ".block{break-inside:avoid;margin-top:14px}.pair .block{margin-top:0}\n",
    ".words{display:grid;gap:6px;margin-top:6px}\n",
    ".words li{padding-left:16px;position:relative;max-width:86ch}\n",
    ".words li::before{content:\"\";position:absolute;left:2px;top:.62em;width:5px;height:5px;border-radius:50%;"
    "background:var(--edge)}\n",
    ".words li.alarm::before{background:var(--warn)}\n",
    ".words li.alarm b{color:var(--warn)}\n",
    ".words b{font-weight:620}\n",
    ".heat text{font-size:10.5px;fill:var(--ink)}.heat text.head{fill:var(--muted)}.heat text.deep{fill:#fff}\n",
    ".heat .h0{fill:#f3f6fd}.heat .h1{fill:#e6edfb}.heat .h2{fill:#d6e1f8}.heat .h3{fill:#c2d2f4}.heat .h4{"
    "fill:#a9c0ee}.heat .h5{fill:#8cabe7}.heat .h6{fill:#3f6fd0}.heat .h7{fill:#2f5fc4}.heat .h8{fill:#2450ae}"
    ".heat .h9{fill:#1a3f8f}\n",
    ".letter{display:inline-block;min-width:17px;height:17px;line-height:17px;border-radius:9px;"
    "text-align:center;background:#fdf1dd;color:var(--warn);font-weight:650;font-size:11px;margin-right:6px;"
    "padding:0 4px}\n",
    ".plain{max-width:86ch;margin-top:6px}\n",
    ".promise{border:1px solid var(--line);border-radius:10px;padding:13px 16px;margin-top:10px;"
    "break-inside:avoid}\n",
    ".promise.open{border-color:#e9c9bf;background:#fdf5f2}\n",
    "footer{margin-top:32px;padding-top:12px;border-top:1px solid var(--edge);font-size:11.5px;"
    "color:var(--muted);break-inside:avoid}\n",
    "footer dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 14px;margin:8px 0}\n",
    "footer dt{color:var(--muted)}footer dd{color:var(--ink)}\n",
    "code{font-family:ui-monospace,\"SF Mono\",\"Cascadia Code\",Menlo,Consolas,\"Liberation Mono\",monospace;"
    "font-size:.94em;overflow-wrap:anywhere}\n",
    "body.embed{max-width:460px;padding:14px 16px;font-size:13px}body.embed .card{border:0;padding:0;min-height:0}\n",
    "body.embed footer{margin-top:10px;padding-top:7px}\n",
    "body.public h1{font-size:32px}\n",
    ".files{columns:3;column-gap:24px;margin-top:8px;font-size:12.5px}.files li{break-inside:avoid;padding:1px 0}\n",
    "@media(max-width:640px){body{padding:18px 16px 28px}.cards{grid-template-columns:1fr 1fr}.pair{"
    "grid-template-columns:1fr}.files{columns:1}.wide,.block{overflow-x:auto}}\n",
    "@page{size:A4;margin:13mm 14mm 14mm}\n",
    "@media print{html{background:#fff}body{max-width:none;padding:0;font-size:9.6pt}h1{font-size:21pt}h1 small{font-size:13.5pt}"
    "h2{font-size:12.5pt;margin-top:20pt}.card b{font-size:16pt}b.none{font-size:11.5pt}table,.words,.plain{"
    "font-size:8.9pt}a{color:inherit;text-decoration:none}",
    ".pair{display:block}.pair>*,.pair figure,.pair .block{float:left;width:48.2%;margin:0 0 12px}",
    ".pair>:nth-child(odd){margin-right:3.6%;clear:left}.pair::after{content:'';display:block;clear:both}}\n"};

void style_write(FILE *out)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        (void)fputs(rules[i], out);
}
