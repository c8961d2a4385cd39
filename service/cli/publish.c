/*
 * throng publish: a folder that any web server can show, of released rows: a page, a small page to embed, data, and a signed
 * checkpoint of the audit log.
 *
 * Sees:     released numbers, an operator's notes.
 * Uses:     service/paper, service/cli/apps, courier, trees.
 * Threads:  one.
 * Failure:  exit status; the folder is as it was then.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "anonymizer/release/policy.h"
#include "service/cli/apps.h"
#include "service/cli/command.h"
#include "service/cli/courier.h"
#include "service/cli/flags.h"
#include "service/cli/moment.h"
#include "service/cli/trees.h"
#include "service/paper/dataset.h"
#include "service/paper/paper.h"

#define NAME "publish"
#define PATH_BYTES 4096
#define FILES_MAX 256
#define INDEX "index.json"
#define FORMAT "throng-public-1" /* by which a folder of ours is known */
#define FIRST_DAY (-25000)
#define LAST_DAY 100000

struct publication {
    const char *app, *asked; /* --out as it was given */
    char out[PATH_BYTES];    /* without slashes at its end */
    bool allow_unprotected;
    char folder[PATH_BYTES]; /* being made; becomes out */
    struct apps_row row;
    struct span span;
    struct dataset_cover cover;
    struct annotation_list notes;
    struct anchor anchor;
    char names[FILES_MAX][DATASET_NAME_BYTES]; /* in data/ */
    const char *files[FILES_MAX + 1];
    size_t count;
};

/* --- files --------------------------------------------------------------------------------------------------------- */

static enum result write_file(const struct publication *publication, const char *name, const char *bytes, size_t length,
    struct failure *why)
{
    char path[PATH_BYTES + DATASET_NAME_BYTES + 16];
    (void)snprintf(path, sizeof path, "%s/%s", publication->folder, name);
    return courier_write(path, bytes, length, why);
}

static enum result write_json(struct publication *publication, const char *name, const json_t *root, struct failure *why)
{
    char path[DATASET_NAME_BYTES + 8];
    size_t length = json_dumpb(root, NULL, 0, JSON_COMPACT | JSON_REAL_PRECISION(6));
    char *text = malloc(length + 1);
    if (text == NULL || length == 0) {
        free(text);
        failure_set(why, "", "memory is short");
        return RESULT_FAILED;
    }
    (void)json_dumpb(root, text, length, JSON_COMPACT | JSON_REAL_PRECISION(6));
    text[length] = '\n';
    (void)snprintf(path, sizeof path, "data/%s", name);
    enum result result = write_file(publication, path, text, length + 1, why);
    free(text);
    return result;
}

static enum result write_subject(struct publication *publication, struct db *db, const struct dataset_subject *subject,
    struct failure *why)
{
    json_t *root = NULL;
    enum result result = dataset_read(db, &publication->row.app, subject, &publication->cover, &root, why);
    if (result != RESULT_OK || root == NULL)
        return result;
    result = write_json(publication, subject->name, root, why);
    json_decref(root);
    if (publication->count < FILES_MAX) {
        memcpy(publication->names[publication->count], subject->name, sizeof subject->name);
        publication->files[publication->count] = publication->names[publication->count];
        publication->count++;
    }
    return result;
}

static enum result write_data(struct publication *publication, struct db *db, struct failure *why)
{
    struct dataset_subject subject;
    enum result result = RESULT_OK;
    json_t *files = json_array();
    for (size_t i = 0; result == RESULT_OK && dataset_subject_at(&publication->row.app, i, &subject); i++)
        result = write_subject(publication, db, &subject, why);
    for (size_t i = 0; i < publication->count; i++)
        json_array_append_new(files, json_string(publication->files[i]));
    json_t *root = json_pack("{s:s,s:s,s:s*,s:s,s:s,s:o}", "format", FORMAT, "app", publication->row.app.name, "title",
        publication->row.app.title, "time_zone", publication->row.app.time_zone, "preset",
        apps_preset_name(publication->row.app.preset), "files", files);
    if (result == RESULT_OK)
        result = write_json(publication, INDEX, root, why);
    json_decref(root);
    return result;
}

static enum result write_notes(struct publication *publication, struct db *db, struct failure *why)
{
    char date[MOMENT_DATE_BYTES];
    struct annotation_list all = {NULL, 0};
    enum result result = annotation_list_read(db, publication->row.id, FIRST_DAY, LAST_DAY, &all, why);
    if (result != RESULT_OK)
        return result;
    json_t *list = json_array();
    for (size_t i = 0; i < all.count; i++)
        json_array_append_new(list, json_pack("{s:s,s:s}", "day", moment_format_date(all.items[i].day, date), "text", all.items[i].text));
    json_t *root = json_pack("{s:s,s:o}", "app", publication->row.app.name, "notes", list);
    result = write_json(publication, "notes.json", root, why);
    json_decref(root);
    annotation_list_free(&all);
    return result;
}

/* --- pages --------------------------------------------------------------------------------------------------------- */

/* The newest week of which active users are released; where they are not by week, month or day. */
static enum result choose_span(struct publication *publication, struct db *db, struct failure *why)
{
    static const enum span_interval intervals[] = {SPAN_WEEK, SPAN_MONTH, SPAN_DAY};
    for (size_t i = 0; i < SPAN_INTERVALS; i++) {
        struct answer answer;
        const struct answer_question question = {.app = publication->row.id, .declared = &publication->row.app,
            .metric = metric_named("active_users"), .interval = span_name(intervals[i]), .from = FIRST_DAY, .to = LAST_DAY};
        enum result result = answer_read(db, &question, &answer, why);
        if (result != RESULT_OK)
            return result;
        bool any = answer.count > 0;
        if (any)
            publication->span = span_of(intervals[i], answer.points[answer.count - 1].period);
        answer_free(&answer);
        if (any)
            return RESULT_OK;
    }
    failure_set(why, "--app", "nothing of it is released yet: a period is released when it is closed, see `throng status`");
    return RESULT_NOT_FOUND;
}

static enum result write_page(struct publication *publication, struct db *db, const char *name,
    enum result (*page)(const struct paper_order *, FILE *, struct failure *), struct failure *why)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    const struct paper_order order = {.db = db, .app = &publication->row.app, .span = publication->span, .notes = &publication->notes,
        .anchor = &publication->anchor, .files = publication->files};
    if (out == NULL) {
        failure_set(why, "", "memory is short");
        return RESULT_FAILED;
    }
    enum result result = page(&order, out, why);
    (void)fclose(out);
    if (result == RESULT_OK)
        result = write_file(publication, name, text, length, why);
    free(text);
    return result;
}

/* The same releases have the same checkpoint, once all of them are in the log. */
static enum result write_pages(struct publication *publication, struct db *db, struct failure *why)
{
    const struct dataset_cover *cover = &publication->cover;
    enum result result = annotation_list_read(db, publication->row.id, paper_first_day(&publication->span), publication->span.last,
        &publication->notes, why);
    if (result == RESULT_OK)
        result = anchor_read(db, cover->unlogged ? -1 : cover->newest, &publication->anchor, why);
    if (result == RESULT_OK && publication->anchor.any)
        result = write_file(publication, "checkpoint.txt", publication->anchor.note, strlen(publication->anchor.note), why);
    if (result == RESULT_OK)
        result = write_page(publication, db, "index.html", paper_public, why);
    return result == RESULT_OK ? write_page(publication, db, "embed.html", paper_embed, why) : result;
}

/* --- the folder ---------------------------------------------------------------------------------------------------- */

static enum result unmakable(struct failure *why)
{
    failure_set(why, "--out", "cannot be made: %s", strerror(errno));
    return RESULT_FAILED;
}

static bool is_empty(const char *folder)
{
    DIR *entries = opendir(folder);
    if (entries == NULL)
        return errno == ENOENT;
    size_t count = 0;
    for (const struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    (void)closedir(entries);
    return count == 0;
}

/* Whether out is not there, empty, or one that this command made. */
static bool may_replace(const char *out)
{
    char path[PATH_BYTES];
    if (is_empty(out))
        return true;
    (void)snprintf(path, sizeof path, "%.4000s/data/" INDEX, out);
    json_t *root = json_load_file(path, 0, NULL);
    const char *format = json_string_value(json_object_get(root, "format"));
    bool ours = format != NULL && strcmp(format, FORMAT) == 0;
    json_decref(root);
    return ours;
}

static enum result open_folder(struct publication *publication, struct failure *why)
{
    char data[PATH_BYTES];
    if (!may_replace(publication->out)) {
        failure_set(why, "--out", "is there, not empty, and was not made by throng publish");
        return RESULT_DENIED;
    }
    (void)snprintf(publication->folder, sizeof publication->folder, "%.4000s.XXXXXX", publication->out);
    if (mkdtemp(publication->folder) == NULL) {
        publication->folder[0] = '\0';
        return unmakable(why);
    }
    (void)snprintf(data, sizeof data, "%.4080s/data", publication->folder);
    return chmod(publication->folder, 0755) == 0 && mkdir(data, 0755) == 0 && chmod(data, 0755) == 0 ? RESULT_OK : unmakable(why);
}

/* In one step where there is an old one; the old one then is what is left to be removed. */
static enum result put_in_place(struct publication *publication, struct failure *why)
{
    if (rename(publication->folder, publication->out) == 0) {
        publication->folder[0] = '\0';
        return RESULT_OK;
    }
    bool exchanged = renameat2(AT_FDCWD, publication->folder, AT_FDCWD, publication->out, RENAME_EXCHANGE) == 0;
    return exchanged ? RESULT_OK : unmakable(why);
}

/* False if text is no path of a folder beside which another can be made. */
static bool clean_path(const char *text, char out[PATH_BYTES])
{
    size_t length = strlen(text);
    while (length > 1 && text[length - 1] == '/')
        length--;
    if (length == 0 || length > PATH_BYTES / 2 || strcmp(text, "/") == 0 || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
        return false;
    memcpy(out, text, length);
    out[length] = '\0';
    return true;
}

/* --- the command --------------------------------------------------------------------------------------------------- */

static enum result check_protection(const struct publication *publication, struct failure *why)
{
    if (policy_is_private(publication->row.app.preset) || publication->allow_unprotected)
        return RESULT_OK;
    failure_set(why, "--app", "its preset is not differentially private: what is published may tell about single people. Only"
                              " --allow-unprotected publishes it all the same");
    return RESULT_DENIED;
}

static enum result publish_in_transaction(struct db *db, void *context, struct failure *why)
{
    struct publication *publication = context;
    enum result result = db_script(db, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY", why);
    if (result == RESULT_OK)
        result = apps_find(db, publication->app, &publication->row, why);
    if (result == RESULT_OK)
        result = check_protection(publication, why);
    if (result == RESULT_OK)
        result = choose_span(publication, db, why);
    if (result == RESULT_OK)
        result = open_folder(publication, why);
    if (result == RESULT_OK)
        result = write_data(publication, db, why);
    if (result == RESULT_OK)
        result = write_notes(publication, db, why);
    return result == RESULT_OK ? write_pages(publication, db, why) : result;
}

static void end(struct publication *publication)
{
    struct failure ignored = {0};
    if (publication->folder[0] != '\0')
        (void)trees_remove(publication->folder, &ignored);
    annotation_list_free(&publication->notes);
    anchor_free(&publication->anchor);
    apps_row_free(&publication->row);
}

int publish_command(struct command_context *context, int argc, char **argv)
{
    static struct publication publication;
    struct failure why = {0};
    publication = (struct publication){.cover = {.newest = -1}};
    const struct flag flags[] = {
        {.name = "app", .text = &publication.app},
        {.name = "out", .text = &publication.asked},
        {.name = "allow-unprotected", .on = &publication.allow_unprotected},
    };
    int operands = flags_parse(context, argc, argv, flags, sizeof flags / sizeof flags[0], NULL, 0);
    if (operands < 0)
        return 2;
    if (publication.app == NULL || publication.asked == NULL || !clean_path(publication.asked, publication.out))
        return command_usage(NAME, "--app APP and --out DIR are needed");
    struct db *db = command_db(context, NAME, false);
    if (db == NULL)
        return 1;
    enum result result = db_transaction(db, publish_in_transaction, &publication, &why);
    db_free(db);
    if (result == RESULT_OK)
        result = put_in_place(&publication, &why);
    end(&publication);
    if (result != RESULT_OK)
        return command_fail(NAME, &why);
    if (context->json)
        printf("{\"files\":%zu}\n", publication.count);
    else
        printf("published: %s/index.html, and %zu files of data\n", publication.out, publication.count);
    return 0;
}
