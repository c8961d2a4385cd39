#include "service/cli/progress.h"

#include <stdio.h>
#include <string.h>

#include "service/base/clock.h"

#define BAR_CELLS 30
#define REDRAW_MS 100

void progress_format(const char *label, double fraction, const char *note, char *out, size_t size)
{
    char bar[BAR_CELLS + 1];
    if (fraction < 0) {
        snprintf(out, size, "%s  %s", label, note);
        return;
    }
    if (fraction > 1)
        fraction = 1;
    size_t full = (size_t)(fraction * BAR_CELLS);
    memset(bar, ' ', BAR_CELLS);
    memset(bar, '=', full);
    bar[BAR_CELLS] = '\0';
    snprintf(out, size, "%s [%s] %3.0f %%  %s", label, bar, fraction * 100, note);
}

void progress_begin(struct progress *progress, bool terminal, const char *label)
{
    *progress = (struct progress){.label = label, .shown = terminal};
}

void progress_update(struct progress *progress, double fraction, const char *note)
{
    char text[256];
    if (!progress->shown)
        return;
    int64_t now_ms = clock_steady_ms();
    if (progress->drawn_at_ms != 0 && now_ms - progress->drawn_at_ms < REDRAW_MS)
        return;
    progress->drawn_at_ms = now_ms;
    progress_format(progress->label, fraction, note, text, sizeof text);
    fprintf(stderr, "\r\033[K%s", text);
    fflush(stderr);
}

void progress_end(struct progress *progress)
{
    if (progress->shown && progress->drawn_at_ms != 0)
        fputs("\r\033[K", stderr);
    progress->drawn_at_ms = 0;
}
