#include "service/aggregate/facts.h"

#include "service/aggregate/rows.h"
#include "service/db/copy.h"

/* Append the app and the name of the user of each of a list's items. */
#define ADD_USERS(params, fold, list) \
    do { \
        db_array_begin(params, DB_ELEMENT_INT4); \
        for (size_t i = 0; i < (fold)->list##_count; i++) \
            db_array_int(params, (fold)->users[(fold)->list[i].user].app); \
        db_array_end(params); \
        db_array_begin(params, DB_ELEMENT_BYTEA); \
        for (size_t i = 0; i < (fold)->list##_count; i++) \
            rows_add_name(params, &(fold)->users[(fold)->list[i].user].name); \
        db_array_end(params); \
    } while (0)

/* Append a member of each of a list's items. */
#define ADD_NUMBERS(params, fold, list, element, member) \
    do { \
        db_array_begin(params, element); \
        for (size_t i = 0; i < (fold)->list##_count; i++) \
            db_array_int(params, (fold)->list[i].member); \
        db_array_end(params); \
    } while (0)

static enum result write_steps(struct db *db, const struct shard *shard, struct failure *why)
{
    const struct fold *fold = &shard->fold;
    if (fold->steps_count == 0)
        return RESULT_OK;
    struct copy *copy = copy_new(6);
    for (size_t i = 0; i < fold->steps_count; i++) {
        const struct fold_step *step = &fold->steps[i];
        const struct fold_user *user = &fold->users[step->user];
        copy_row(copy);
        copy_int4(copy, shard->number);
        copy_int4(copy, (int32_t)user->app);
        copy_bytes(copy, user->name.bytes, PSEUDONYM_BYTES);
        copy_int2(copy, step->track);
        copy_int8(copy, step->ts_ms);
        copy_int4(copy, step->value);
    }
    return copy_run(copy, db, "facts.step", "COPY state.step (shard, app, usr, track, at_ms, value) FROM STDIN BINARY", why);
}

static enum result write_measures(struct db *db, const struct shard *shard, struct failure *why)
{
    const struct fold *fold = &shard->fold;
    if (fold->measures_count == 0)
        return RESULT_OK;
    struct db_params *params = rows_params(shard);
    ADD_USERS(params, fold, measures);
    ADD_NUMBERS(params, fold, measures, DB_ELEMENT_DATE, day);
    ADD_NUMBERS(params, fold, measures, DB_ELEMENT_INT2, measure);
    ADD_NUMBERS(params, fold, measures, DB_ELEMENT_INT2, bin);
    ADD_NUMBERS(params, fold, measures, DB_ELEMENT_INT8, count);
    ADD_NUMBERS(params, fold, measures, DB_ELEMENT_INT8, sum);
    ADD_NUMBERS(params, fold, measures, DB_ELEMENT_INT8, most);
    ADD_NUMBERS(params, fold, measures, DB_ELEMENT_INT8, last_ms);
    ADD_NUMBERS(params, fold, measures, DB_ELEMENT_INT8, last);
    return rows_run(db, "facts.measure",
        "INSERT INTO state.person_measure AS p (shard, app, usr, day, measure, bin, count, sum, most, last_ms, last)"
        " SELECT $1, * FROM unnest($2::int[], $3::bytea[], $4::date[], $5::smallint[], $6::smallint[], $7::bigint[],"
        "   $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])"
        "   AS w (app, usr, day, measure, bin, count, sum, most, last_ms, last)"
        " ORDER BY app, day, usr, measure, bin"
        " ON CONFLICT (shard, app, day, usr, measure, bin) DO UPDATE SET " FACTS_ADD_SAMPLES,
        params, NULL, why);
}

static enum result write_entities(struct db *db, const struct shard *shard, struct failure *why)
{
    const struct fold *fold = &shard->fold;
    if (fold->entities_count == 0)
        return RESULT_OK;
    struct db_params *params = rows_params(shard);
    ADD_USERS(params, fold, entities);
    ADD_NUMBERS(params, fold, entities, DB_ELEMENT_DATE, day);
    ADD_NUMBERS(params, fold, entities, DB_ELEMENT_INT2, class);
    ADD_NUMBERS(params, fold, entities, DB_ELEMENT_INT8, entity);
    return rows_run(db, "facts.entity",
        "INSERT INTO state.person_entity (shard, app, usr, day, class, entity) SELECT $1, * FROM"
        " unnest($2::int[], $3::bytea[], $4::date[], $5::smallint[], $6::bigint[]) AS w (app, usr, day, class, entity)"
        " ORDER BY app, day, usr, class, entity ON CONFLICT DO NOTHING",
        params, NULL, why);
}

enum result facts_write(struct db *db, const struct shard *shard, struct failure *why)
{
    enum result result = write_steps(db, shard, why);
    if (result == RESULT_OK)
        result = write_measures(db, shard, why);
    return result == RESULT_OK ? write_entities(db, shard, why) : result;
}
