#include "service/cli/inventory.h"

#include "service/cli/grid.h"

static const struct row {
    const char *place, *name, *class, *retention;
} rows[] = {
#define COLUMN(schema, table, column, class, retention) {#schema "." #table, #column, #class, #retention},
#define FIELD(packet, member, class, retention) {"stream: " #packet, #member, #class, #retention},
#include "schema/inventory.def"
#undef COLUMN
#undef FIELD
};
#define ROWS (sizeof rows / sizeof *rows)

void inventory_print(FILE *out)
{
    struct grid *grid = grid_new("llll");
    grid_cell(grid, "where");
    grid_cell(grid, "what");
    grid_cell(grid, "class");
    grid_cell(grid, "kept");
    for (size_t i = 0; i < ROWS; i++) {
        grid_cell(grid, rows[i].place);
        grid_cell(grid, rows[i].name);
        grid_cell(grid, rows[i].class);
        grid_cell(grid, rows[i].retention);
    }
    grid_print(grid, out);
    grid_free(grid);
}

json_t *inventory_json(void)
{
    json_t *list = json_array();
    for (size_t i = 0; i < ROWS; i++)
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "place", rows[i].place, "name", rows[i].name, "class",
            rows[i].class, "retention", rows[i].retention));
    return list;
}
