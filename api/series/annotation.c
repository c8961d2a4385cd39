#include "api/series/annotation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void annotation_list_free(struct annotation_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].text);
    free(list->items);
    *list = (struct annotation_list){NULL, 0};
}

static enum result take(const PGresult *rows, struct annotation_list *list, struct failure *why)
{
    int count = PQntuples(rows);
    *list = (struct annotation_list){calloc((size_t)count + 1, sizeof *list->items), 0};
    for (int row = 0; list->items != NULL && row < count; row++) {
        struct annotation *item = &list->items[list->count];
        (void)snprintf(item->id, sizeof item->id, "%s", db_get_text(rows, row, 0));
        item->day = db_get_date(rows, row, 1);
        item->text = strdup(db_get_text(rows, row, 2));
        if (item->text == NULL)
            break;
        list->count++;
    }
    if (list->items != NULL && list->count == (size_t)count)
        return RESULT_OK;
    annotation_list_free(list);
    failure_set(why, "", "memory is short");
    return RESULT_FAILED;
}

enum result annotation_list_read(struct db *db, int32_t app, int32_t from, int32_t to, struct annotation_list *out,
    struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_int4(params, app);
    db_date(params, from);
    db_date(params, to);
    db_int8(params, ANNOTATION_LIST_MAX);
    enum result result = db_run(db, "annotation_list",
        "SELECT id::text, day, text FROM (SELECT id, day, text, written_at FROM config.annotation"
        " WHERE app = $1 AND day BETWEEN $2 AND $3 ORDER BY day DESC, written_at DESC, id DESC LIMIT $4::bigint) AS newest"
        " ORDER BY day, written_at, id",
        params, &rows, why);
    db_params_free(params);
    if (result == RESULT_OK)
        result = take(rows, out, why);
    PQclear(rows);
    return result;
}

/* --- texts --------------------------------------------------------------------------------------------------------- */

/* The character at *at, which moves behind it; -1 if it is not well-formed (RFC 3629). */
static int32_t next_character(const unsigned char **at)
{
    static const int32_t least[] = {0, 0x80, 0x800, 0x10000};
    unsigned char first = *(*at)++;
    int more = first < 0x80 ? 0 : first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : -1;
    if (more < 0 || first > 0xf4)
        return -1;
    int32_t character = more == 0 ? first : first & (0x3f >> more);
    for (int i = 0; i < more; i++) {
        if ((**at & 0xc0) != 0x80)
            return -1;
        character = character << 6 | (*(*at)++ & 0x3f);
    }
    bool surrogate = character >= 0xd800 && character <= 0xdfff;
    return character < least[more] || surrogate || character > 0x10ffff ? -1 : character;
}

static bool is_control(int32_t character)
{
    return character < 0x20 || (character >= 0x7f && character <= 0x9f) || (character >= 0x200e && character <= 0x200f)
        || (character >= 0x2028 && character <= 0x202e) || (character >= 0x2066 && character <= 0x2069) || character == 0x61c
        || character == 0xfeff;
}

bool annotation_is_text(const char *text)
{
    size_t count = 0;
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        if (is_control(next_character(&at)) || ++count > ANNOTATION_CHARACTERS_MAX)
            return false;
    }
    return count > 0;
}
