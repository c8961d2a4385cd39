#include "service/cli/grid.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct grid {
    const char *align;
    size_t columns;
    char **cells;
    size_t count, capacity;
};

struct grid *grid_new(const char *align)
{
    struct grid *grid = calloc(1, sizeof *grid);
    assert(grid != NULL && strlen(align) > 0 && strlen(align) <= GRID_COLUMNS_MAX);
    grid->align = align;
    grid->columns = strlen(align);
    return grid;
}

void grid_free(struct grid *grid)
{
    if (grid == NULL)
        return;
    for (size_t i = 0; i < grid->count; i++)
        free(grid->cells[i]);
    free(grid->cells);
    free(grid);
}

void grid_cell(struct grid *grid, const char *text)
{
    if (grid->count == grid->capacity) {
        size_t capacity = grid->capacity == 0 ? 64 : grid->capacity * 2;
        char **cells = realloc(grid->cells, capacity * sizeof *cells);
        assert(cells != NULL);
        grid->cells = cells;
        grid->capacity = capacity;
    }
    char *copy = strdup(text);
    assert(copy != NULL);
    grid->cells[grid->count++] = copy;
}

void grid_format(struct grid *grid, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    grid_cell(grid, text);
}

size_t grid_width(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void print_cell(FILE *file, const char *text, size_t width, char align, bool last)
{
    size_t own = grid_width(text);
    int fill = own < width ? (int)(width - own) : 0;
    if (align == 'r')
        fprintf(file, "%*s%s", fill, "", text);
    else if (last)
        fputs(text, file);
    else
        fprintf(file, "%s%*s", text, fill, "");
    fputs(last ? "\n" : "  ", file);
}

void grid_print(const struct grid *grid, FILE *file)
{
    size_t widths[GRID_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < grid->count; i++) {
        size_t own = grid_width(grid->cells[i]);
        size_t column = i % grid->columns;
        if (own > widths[column])
            widths[column] = own;
    }
    for (size_t i = 0; i < grid->count; i++) {
        size_t column = i % grid->columns;
        bool last = column + 1 == grid->columns || i + 1 == grid->count;
        print_cell(file, grid->cells[i], widths[column], grid->align[column], last);
    }
}

char *grid_sparkline(const double *values, size_t count, char *out, size_t size)
{
    static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    size_t fitting = size > 0 ? (size - 1) / 3 : 0;
    double largest = 0;
    if (count > fitting) {
        values += count - fitting;
        count = fitting;
    }
    for (size_t i = 0; i < count; i++)
        largest = values[i] > largest ? values[i] : largest;
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t bar = largest > 0 && values[i] > 0 ? (size_t)(values[i] / largest * 7.999) : 0;
        strcat(out, values[i] < 0 ? "·" : bars[bar]);
    }
    return out;
}
