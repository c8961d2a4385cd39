/* Tables, sparklines and the progress bar's text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/cli/grid.h"
#include "service/cli/progress.h"

static void test_columns_line_up_in_characters(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    struct grid *grid = grid_new("lr");
    grid_cell(grid, "a");
    grid_cell(grid, "value");
    grid_cell(grid, "längst");
    grid_format(grid, "%d", 7);
    grid_cell(grid, "b");
    grid_cell(grid, "—");
    grid_print(grid, file);
    grid_free(grid);
    fclose(file);
    assert_string_equal(text, "a       value\nlängst      7\nb           —\n");
    free(text);
}

static void test_sparkline(void **state)
{
    (void)state;
    char line[64];
    static const double values[] = {0, 4, -1, 8};
    assert_string_equal(grid_sparkline(values, 4, line, sizeof line), "▁▄·█");
    assert_string_equal(grid_sparkline(values, 4, line, 7), "·█");
    assert_string_equal(grid_sparkline(values, 0, line, sizeof line), "");
    assert_string_equal(grid_sparkline(values, 1, line, sizeof line), "▁");
}

static void test_progress_text(void **state)
{
    (void)state;
    char text[128];
    progress_format("import", 0.5, "7 events", text, sizeof text);
    assert_string_equal(text, "import [===============               ]  50 %  7 events");
    progress_format("import", 1.5, "", text, sizeof text);
    assert_non_null(strstr(text, "100 %"));
    progress_format("seal", -1, "waiting", text, sizeof text);
    assert_string_equal(text, "seal  waiting");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_line_up_in_characters),
        cmocka_unit_test(test_sparkline),
        cmocka_unit_test(test_progress_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
