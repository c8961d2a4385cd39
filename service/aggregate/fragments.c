#include "service/aggregate/fragments.h"

#include <assert.h>
#include <stdlib.h>

#include "service/aggregate/rows.h"
#include "service/db/copy.h"

static void copy_class(struct copy *copy, bool has, int64_t after_ms, uint8_t class)
{
    if (!has) {
        copy_null(copy);
        copy_null(copy);
        return;
    }
    copy_int4(copy, (int32_t)after_ms);
    copy_int2(copy, class);
}

static void copy_fragment(struct copy *copy, const struct shard *shard, const struct fold_fragment *fragment)
{
    const struct fold_user *user = &shard->fold.users[fragment->user];
    const struct session_fragment *piece = &fragment->piece;
    copy_row(copy);
    copy_int4(copy, shard->number);
    copy_int4(copy, (int32_t)user->app);
    copy_bytes(copy, user->name.bytes, PSEUDONYM_BYTES);
    copy_bytes(copy, piece->name.bytes, piece->named ? PSEUDONYM_BYTES : 0);
    if (piece->named_before)
        copy_bytes(copy, piece->name_before.bytes, PSEUDONYM_BYTES);
    else
        copy_null(copy);
    copy_int8(copy, piece->start_ms);
    copy_int8(copy, piece->end_ms);
    copy_int4(copy, (int32_t)piece->events);
    copy_int4(copy, (int32_t)piece->views);
    copy_int4(copy, (int32_t)piece->goals);
    copy_int8(copy, piece->engaged_ms);
    copy_int8(copy, (int64_t)piece->goal_bits);
    copy_class(copy, piece->has_entry, piece->entry_ms - piece->start_ms, piece->entry);
    copy_class(copy, piece->has_exit, piece->exit_ms - piece->start_ms, piece->exit);
}

enum result fragments_write(struct db *db, const struct shard *shard, struct failure *why)
{
    const struct fold *fold = &shard->fold;
    if (fold->fragments_count == 0)
        return RESULT_OK;
    struct rows_key *order = calloc(fold->fragments_count, sizeof *order);
    assert(order != NULL);
    for (size_t i = 0; i < fold->fragments_count; i++) {
        const struct fold_user *user = &fold->users[fold->fragments[i].user];
        order[i] = (struct rows_key){.app = user->app, .at = i, .name = &user->name};
    }
    rows_sort(order, fold->fragments_count);
    struct copy *copy = copy_new(16);
    for (size_t i = 0; i < fold->fragments_count; i++)
        copy_fragment(copy, shard, &fold->fragments[order[i].at]);
    free(order);
    return copy_run(copy, db, "store.fragment",
        "COPY state.fragment (shard, app, usr, session, session_before, start_ms, end_ms, events, views, goals, engaged_ms,"
        " goal_bits, entry_ms, entry, exit_ms, exit) FROM STDIN BINARY", why);
}
