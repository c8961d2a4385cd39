#include <inttypes.h>
#include <stdio.h>

#include "compliance/report/html.h"
#include "compliance/report/pages.h"

static uint64_t alive(const struct gathered *all)
{
    uint64_t count = 0;
    for (size_t i = 0; i < all->keys.count; i++)
        count += ((const struct gathered_key *)hashed_at(&all->keys, i))->ended_ms == 0;
    return count;
}

static uint64_t days_between(int64_t from_ms, int64_t to_ms)
{
    return to_ms <= from_ms || from_ms == 0 ? 0 : (uint64_t)((to_ms - from_ms) / CIVIL_DAY_MS);
}

static void key_row(struct html_table *table, const struct gathered *all, const struct gathered_key *key)
{
    html_cell(table, key->app);
    html_cell_number(table, (uint64_t)key->epoch);
    html_cell_code(table, key->commitment, 12);
    html_cell(table, key->origin);
    html_cell_time(table, key->born_ms);
    if (key->ended_ms == 0)
        html_cell_mark(table, HTML_OPEN, "in use or kept to recognise returning people");
    else
        html_cell_time(table, key->ended_ms);
    html_cell_number(table, days_between(key->born_ms, key->ended_ms == 0 ? all->newest_ms : key->ended_ms));
}

void page_keys_html(const struct gathered *all, struct outfile *out)
{
    static const struct html_column columns[] = {{"App", false}, {"Epoch", true}, {"Commitment", false}, {"How it began", false},
        {"Began", false}, {"Destroyed", false}, {"Days", true}};
    char text[40];
    html_begin(out, all, "keys.html", "Pseudonymization keys",
        "The keys that turn identifiers into pseudonyms, from birth to destruction. Once a key is destroyed, its pseudonyms cannot "
        "be made again from any identifier.");
    html_figures_begin(out);
    html_figure(out, HTML_PLAIN, html_number(all->keys.count, text), "keys that the trail knows");
    html_figure(out, HTML_PLAIN, html_number(alive(all), text), "not destroyed as of the newest entry");
    html_figure(out, HTML_GOOD, html_number(all->keys.count - alive(all), text), "destroyed or overwritten");
    html_figures_end(out);
    html_paragraph(out, "A key is never recorded, only a commitment: a hash from which it cannot be found, but by which two records "
                        "can be told to mean the same key. \xe2\x80\x9cRatcheted\xe2\x80\x9d means that it was derived from the key before it, one way; "
                        "\xe2\x80\x9crotated\xe2\x80\x9d that fresh randomness was mixed in; \xe2\x80\x9cjoined\xe2\x80\x9d that another node took it over.");
    html_note(out, "The trail attests that the key file was overwritten. What a flash disk, a snapshot or a copy somebody made may "
                   "still hold, it cannot know.");
    struct html_table table = html_table_begin(out, "Keys by app", columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < all->keys.count; i++)
        key_row(&table, all, hashed_at(&all->keys, i));
    html_table_end(&table, "The trail records no key.");
    html_end(out, all);
}

void page_keys_csv(const struct gathered *all, struct outfile *out)
{
    static const char *const head[] = {"app", "epoch", "commitment", "former", "ring", "origin", "born_at", "destroyed_at",
        "joined_nodes", "born_entry", "destroyed_entry", NULL};
    outfile_csv_line(out, head);
    for (size_t i = 0; i < all->keys.count; i++) {
        const struct gathered_key *key = hashed_at(&all->keys, i);
        outfile_csv(out, key->app);
        outfile_csv_number(out, (uint64_t)key->epoch);
        outfile_csv(out, key->commitment);
        outfile_csv(out, key->former);
        outfile_csv(out, key->ring);
        outfile_csv(out, key->origin);
        outfile_csv_time(out, key->born_ms);
        outfile_csv_time(out, key->ended_ms);
        outfile_csv_number(out, key->joined);
        if (key->born == 0)
            outfile_csv(out, NULL);
        else
            outfile_csv_number(out, key->born - 1);
        if (key->ended == 0)
            outfile_csv(out, NULL);
        else
            outfile_csv_number(out, key->ended - 1);
        outfile_csv_end(out);
    }
}
