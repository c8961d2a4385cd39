#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "compliance/report/cost.h"
#include "compliance/report/html.h"
#include "compliance/report/pages.h"

static unsigned percent(decimal_units part, decimal_units whole)
{
    return whole == 0 ? 0 : part >= whole ? 100 : (unsigned)(part / (whole / 100 + 1));
}

static void month_row(struct html_table *table, const struct gathered_month *month)
{
    char rho[DECIMAL_TEXT_BYTES], total[DECIMAL_TEXT_BYTES], text[120], epsilon[COST_TEXT_BYTES];
    html_cell_month(table, month->month);
    html_cell(table, month->app);
    html_cell(table, month->preset);
    html_cell_number(table, (uint64_t)month->k);
    if (!month->noise) {
        html_cell(table, "no noise: nothing is charged");
        html_cell_mark(table, HTML_BAD, "unbounded");
        html_cell(table, NULL);
        return;
    }
    (void)snprintf(text, sizeof text, "%s of %s%s", decimal_format(month->reserved, rho), decimal_format(month->total, total),
        month->reserved > month->total ? ": more than was planned" : "");
    html_cell_bar(table, percent(month->reserved, month->total), text);
    html_cell(table, cost_epsilon(month->reserved, epsilon));
    html_cell_number(table, month->unreserved);
}

/* The months of a population together: what a person costs who is in all of its apps. */
static void population_rows(struct html_table *table, const struct gathered *all)
{
    for (size_t i = 0; i < all->months.count;) {
        const struct gathered_month *first = hashed_at(&all->months, i);
        decimal_units sum = 0;
        bool noise = true, fits = true;
        uint64_t apps = 0;
        for (; i < all->months.count; i++, apps++) {
            const struct gathered_month *month = hashed_at(&all->months, i);
            if (strcmp(month->population, first->population) != 0 || strcmp(month->month, first->month) != 0)
                break;
            noise = noise && month->noise;
            fits = decimal_add(&sum, month->reserved) && fits;
        }
        char rho[DECIMAL_TEXT_BYTES], epsilon[COST_TEXT_BYTES];
        html_cell_month(table, first->month);
        html_cell(table, first->population);
        html_cell_number(table, apps);
        html_cell(table, noise && fits ? decimal_format(sum, rho) : NULL);
        if (noise && fits)
            html_cell(table, cost_epsilon(sum, epsilon));
        else
            html_cell_mark(table, HTML_BAD, "unbounded");
    }
}

static void family_rows(struct html_table *table, const struct gathered *all)
{
    for (size_t i = 0; i < all->families.count; i++) {
        const struct gathered_family *family = hashed_at(&all->families, i);
        char rho[DECIMAL_TEXT_BYTES];
        html_cell_month(table, family->month);
        html_cell(table, family->app);
        html_cell(table, family->family);
        html_cell_number(table, (uint64_t)family->l2);
        html_cell(table, family->sigma2);
        html_cell(table, decimal_format(family->rho, rho));
        html_cell_mark(table, family->reserved ? HTML_GOOD : HTML_OPEN, family->reserved ? "paid" : "refused: over budget");
    }
}

void page_budget_html(const struct gathered *all, struct outfile *out)
{
    static const struct html_column months[] = {{"Month", false}, {"App", false}, {"Preset", false}, {"k", true},
        {"\xcf\x81 charged of what may be charged", false}, {"\xce\xb5 charged", true}, {"Families refused", true}};
    static const struct html_column populations[] = {{"Month", false}, {"Population", false}, {"Apps", true}, {"\xcf\x81", true},
        {"\xce\xb5", true}};
    static const struct html_column families[] = {{"Month", false}, {"App", false}, {"Family", false}, {"L2\xc2\xb2", true},
        {"\xcf\x83\xc2\xb2", true}, {"\xcf\x81", true}, {"Outcome", false}};
    html_begin(out, all, "budget.html", "Privacy budget",
        "Every released number gives away a little about the people behind it. This is how much was allowed, how much was charged, "
        "and what was refused because it would have been too much.");
    html_paragraph(out, "\xce\xb5 (epsilon) bounds how much more likely any released result can become because one person\xe2\x80\x99s month is in the "
                        "data: by a factor of e to the power \xce\xb5, but for a chance of \xce\xb4 = 10\xe2\x81\xbb\xe2\x81\xb9. Smaller is better. \xcf\x81 (rho) is the unit in which the "
                        "charges of a month can simply be added up; \xce\xb5 is computed from it and rounded up. The unit protected is everything of "
                        "one pseudonym in one calendar month.");
    struct html_table table = html_table_begin(out, "By population and month: a person who is in all of its apps", populations,
        sizeof populations / sizeof *populations);
    population_rows(&table, all);
    html_table_end(&table, "The trail records no planned month.");
    table = html_table_begin(out, "By month and app", months, sizeof months / sizeof *months);
    for (size_t i = 0; i < all->months.count; i++)
        month_row(&table, hashed_at(&all->months, i));
    html_table_end(&table, "The trail records no planned month.");
    html_paragraph(out, "A family is a group of numbers that is paid for together. L2\xc2\xb2 is the most that one person\xe2\x80\x99s month can change in it, "
                        "\xcf\x83\xc2\xb2 the variance of the noise that was added, and \xcf\x81 = L2\xc2\xb2 / (2\xcf\x83\xc2\xb2), rounded up.");
    table = html_table_begin(out, "Every charge", families, sizeof families / sizeof *families);
    family_rows(&table, all);
    html_table_end(&table, "The trail records no charge.");
    html_end(out, all);
}

void page_budget_csv(const struct gathered *all, struct outfile *out)
{
    static const char *const head[] = {"population", "month", "app", "preset", "family", "l2_squared", "sigma_squared", "rho",
        "reserved", "entry", NULL};
    char rho[DECIMAL_TEXT_BYTES];
    outfile_csv_line(out, head);
    for (size_t i = 0; i < all->families.count; i++) {
        const struct gathered_family *family = hashed_at(&all->families, i);
        outfile_csv(out, family->population);
        outfile_csv(out, family->month);
        outfile_csv(out, family->app);
        outfile_csv(out, family->preset);
        outfile_csv(out, family->family);
        outfile_csv_number(out, (uint64_t)family->l2);
        outfile_csv(out, family->sigma2);
        outfile_csv(out, decimal_format(family->rho, rho));
        outfile_csv(out, family->reserved ? "yes" : "no");
        outfile_csv_number(out, family->entry - 1);
        outfile_csv_end(out);
    }
}
