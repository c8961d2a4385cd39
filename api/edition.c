#include "api/edition.h"

#include <string.h>

enum result edition_read(struct db *db, struct edition *out, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = db_run(db, "edition",
        "SELECT h.count, h.hash, i.catalogue_version, coalesce((SELECT max(e.index) FROM audit.entry AS e), -1)"
        " FROM release.head AS h CROSS JOIN config.installation AS i",
        NULL, &rows, why);
    if (result != RESULT_OK)
        return result;
    size_t length = 0;
    const uint8_t *hash = PQntuples(rows) == 1 ? db_get_bytes(rows, 0, 1, &length) : NULL;
    if (length == EDITION_HASH_BYTES) {
        out->releases = db_get_int8(rows, 0, 0);
        memcpy(out->hash, hash, sizeof out->hash);
        out->catalogue = db_get_int8(rows, 0, 2);
        out->last_index = db_get_int8(rows, 0, 3);
    } else {
        failure_set(why, "release.head", "the database has no head of releases, or no apps were ever set up");
        result = RESULT_CORRUPT;
    }
    PQclear(rows);
    return result;
}

bool edition_equal(const struct edition *one, const struct edition *other)
{
    return one->releases == other->releases && memcmp(one->hash, other->hash, sizeof one->hash) == 0 &&
        one->catalogue == other->catalogue && one->last_index == other->last_index;
}
