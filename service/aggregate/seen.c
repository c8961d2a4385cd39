#include "service/aggregate/seen.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "service/aggregate/rows.h"
#include "service/db/copy.h"

enum result seen_look_up(struct db *db, struct shard *shard, struct failure *why)
{
    struct fold *fold = &shard->fold;
    struct db_params *params = rows_params(shard);
    db_array_begin(params, DB_ELEMENT_INT4);
    for (size_t i = fold->sources_loaded; i < fold->sources_count; i++) {
        db_array_int(params, fold->sources[i].app);
        if (fold->sources[i].has_before)
            db_array_int(params, fold->sources[i].app);
    }
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = fold->sources_loaded; i < fold->sources_count; i++) {
        rows_add_name(params, &fold->sources[i].name);
        if (fold->sources[i].has_before)
            rows_add_name(params, &fold->sources[i].before);
    }
    db_array_end(params);
    PGresult *rows = NULL;
    enum result result = rows_run(db, "store.seen",
        /* OFFSET 0: by the index, one at a time, whatever the planner believes of a table that has just grown. */
        "SELECT s.app, s.source, s.seqs::text FROM unnest($2::int[], $3::bytea[]) AS w (app, source) CROSS JOIN LATERAL"
        " (SELECT * FROM state.seen s WHERE s.shard = $1 AND s.app = w.app AND s.source = w.source OFFSET 0) s",
        params, &rows, why);
    for (int i = 0; result == RESULT_OK && i < PQntuples(rows); i++) {
        struct pseudonym name = rows_get_name(rows, i, 1);
        uint32_t at = table_find(&fold->table, (uint32_t)db_get_int4(rows, i, 0), TABLE_SOURCE, &name);
        assert(at != TABLE_NONE);
        fold->sources[at].stored = true;
        result = ranges_parse(&fold->sources[at].known, db_get_text(rows, i, 2));
    }
    PQclear(rows);
    if (result == RESULT_OK)
        fold->sources_loaded = fold->sources_count;
    return result;
}

/* Whether a source's rows go by COPY, as those of most do: the database has none of them. Around a change of epoch two
 * sources may turn out to be one: then none does. */
static bool *find_unseen(const struct fold *fold, size_t *count)
{
    bool *unseen = calloc(fold->sources_count + 1, sizeof *unseen);
    assert(unseen != NULL);
    *count = 0;
    for (size_t i = 0; i < fold->sources_count; i++) {
        if (fold->sources[i].has_before)
            return unseen;
    }
    for (size_t i = 0; i < fold->sources_count; i++) {
        unseen[i] = i < fold->sources_loaded && !fold->sources[i].stored && fold->sources[i].added.count > 0;
        *count += unseen[i] ? 1 : 0;
    }
    return unseen;
}

static void copy_source(struct copy *copy, const struct shard *shard, const struct fold_source *source)
{
    size_t count;
    const struct range *added = ranges_list(&source->added, &count);
    copy_row(copy);
    copy_int4(copy, shard->number);
    copy_int4(copy, (int32_t)source->app);
    copy_bytes(copy, source->name.bytes, PSEUDONYM_BYTES);
    copy_date(copy, source->receipt_day);
    copy_ranges(copy, count);
    for (size_t i = 0; i < count; i++)
        copy_range(copy, added[i].low, added[i].high);
}

static enum result put_unseen(struct db *db, const struct shard *shard, const bool *unseen, size_t count,
    struct failure *why)
{
    const struct fold *fold = &shard->fold;
    struct rows_key *order = calloc(count, sizeof *order);
    assert(order != NULL);
    size_t listed = 0;
    for (size_t i = 0; i < fold->sources_count; i++) {
        if (unseen[i])
            order[listed++] = (struct rows_key){.app = fold->sources[i].app, .at = i, .name = &fold->sources[i].name};
    }
    rows_sort(order, count);
    struct copy *copy = copy_new(5);
    for (size_t i = 0; i < count; i++)
        copy_source(copy, shard, &fold->sources[order[i].at]);
    free(order);
    return copy_run(copy, db, "store.unseen", "COPY state.seen (shard, app, source, day, seqs) FROM STDIN BINARY", why);
}

/* How many rows a source that is no news has: one under each of its names. */
static int seen_rows(const struct fold_source *source, bool unseen)
{
    return unseen || source->added.count == 0 ? 0 : source->has_before ? 2 : 1;
}

static void add_seen_names(struct db_params *params, const struct fold *fold, const bool *unseen)
{
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < fold->sources_count; i++) {
        const struct fold_source *source = &fold->sources[i];
        int rows = seen_rows(source, unseen[i]);
        if (rows > 0)
            rows_add_name(params, &source->name);
        if (rows > 1)
            rows_add_name(params, &source->before);
    }
    db_array_end(params);
}

static void add_seen_numbers(struct db_params *params, const struct fold *fold, const bool *unseen, bool day)
{
    db_array_begin(params, day ? DB_ELEMENT_DATE : DB_ELEMENT_INT4);
    for (size_t i = 0; i < fold->sources_count; i++) {
        const struct fold_source *source = &fold->sources[i];
        for (int rows = seen_rows(source, unseen[i]); rows > 0; rows--)
            db_array_int(params, day ? (int64_t)source->receipt_day : (int64_t)source->app);
    }
    db_array_end(params);
}

static void add_seen_ranges(struct db_params *params, const struct fold *fold, const bool *unseen)
{
    db_array_begin(params, DB_ELEMENT_TEXT);
    for (size_t i = 0; i < fold->sources_count; i++) {
        const struct fold_source *source = &fold->sources[i];
        int rows = seen_rows(source, unseen[i]);
        if (rows == 0)
            continue;
        char *text = ranges_format(&source->added);
        for (; rows > 0; rows--)
            db_array_bytes(params, text, strlen(text));
        free(text);
    }
    db_array_end(params);
}

static enum result put_seen(struct db *db, const struct shard *shard, const bool *unseen, struct failure *why)
{
    struct db_params *params = rows_params(shard);
    add_seen_numbers(params, &shard->fold, unseen, false);
    add_seen_names(params, &shard->fold, unseen);
    add_seen_numbers(params, &shard->fold, unseen, true);
    add_seen_ranges(params, &shard->fold, unseen);
    return rows_run(db, "store.put_seen",
        "INSERT INTO state.seen AS s (shard, app, source, day, seqs)"
        " SELECT $1, app, source, day, range_agg(seqs::int8multirange)"
        " FROM unnest($2::int[], $3::bytea[], $4::date[], $5::text[]) AS w (app, source, day, seqs)"
        " GROUP BY app, source, day ORDER BY app, source, day"
        " ON CONFLICT (shard, app, source, day) DO UPDATE SET seqs = s.seqs + excluded.seqs",
        params, NULL, why);
}

enum result seen_write(struct db *db, const struct shard *shard, struct failure *why)
{
    size_t count;
    size_t known = 0;
    bool *unseen = find_unseen(&shard->fold, &count);
    for (size_t i = 0; i < shard->fold.sources_count; i++)
        known += seen_rows(&shard->fold.sources[i], unseen[i]) > 0 ? 1 : 0;
    enum result result = RESULT_OK;
    if (count > 0)
        result = put_unseen(db, shard, unseen, count, why);
    if (result == RESULT_OK && known > 0)
        result = put_seen(db, shard, unseen, why);
    free(unseen);
    return result;
}
