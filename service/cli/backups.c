#include "service/cli/backups.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/supervise/secrets.h"

#define LABEL "backup.json"
#define MANIFEST "manifest.json"

static char *join(char out[TREES_PATH_BYTES], const char *folder, const char *name)
{
    (void)snprintf(out, TREES_PATH_BYTES, "%.900s/%s", folder, name);
    return out;
}

static enum result write_label(const char *folder, const struct backups_label *label, struct failure *why)
{
    char id[UUID_TEXT_BYTES];
    json_t *root = json_pack("{s:s, s:I, s:I, s:s, s:s}", "backup", uuid_format(label->id, id), "expires_at",
        (json_int_t)label->expires_ms, "made_at", (json_int_t)label->made_ms, "manifest", label->manifest, "version", THRONG_VERSION);
    char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(root);
    enum result result = text == NULL ? RESULT_FAILED : secrets_write(folder, LABEL, text, why);
    free(text);
    return result;
}

enum result backups_seal(const char *folder, struct backups_label *label, struct failure *why)
{
    char path[TREES_PATH_BYTES];
    json_t *list = NULL;
    enum result result = trees_list(join(path, folder, "postgres"), &list, why);
    if (result != RESULT_OK)
        return result;
    char *text = json_dumps(list, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(list);
    if (text == NULL) {
        failure_set(why, MANIFEST, "out of memory");
        return RESULT_FAILED;
    }
    (void)trees_hash_text(text, label->manifest);
    result = secrets_write(folder, MANIFEST, text, why);
    free(text);
    return result == RESULT_OK ? write_label(folder, label, why) : result;
}

static enum result read_label(const char *folder, struct backups_label *label, struct failure *why)
{
    char path[TREES_PATH_BYTES];
    json_t *root = json_load_file(join(path, folder, LABEL), 0, NULL);
    const char *id = json_string_value(json_object_get(root, "backup"));
    const char *manifest = json_string_value(json_object_get(root, "manifest"));
    *label = (struct backups_label){.made_ms = json_integer_value(json_object_get(root, "made_at")),
        .expires_ms = json_integer_value(json_object_get(root, "expires_at"))};
    bool valid = id != NULL && uuid_parse(id, label->id) && manifest != NULL && strlen(manifest) == TREES_HASH_TEXT_BYTES - 1;
    if (valid)
        memcpy(label->manifest, manifest, TREES_HASH_TEXT_BYTES);
    json_decref(root);
    if (valid)
        return RESULT_OK;
    failure_set(why, "from", "is no folder that `throng backup` made: its backup.json is missing or damaged");
    return RESULT_NOT_FOUND;
}

/* The manifest must be the one that the label names, byte for byte. */
static enum result read_manifest(const char *folder, const struct backups_label *label, json_t **out, struct failure *why)
{
    char path[TREES_PATH_BYTES], hash[TREES_HASH_TEXT_BYTES] = "";
    json_t *list = json_load_file(join(path, folder, MANIFEST), 0, NULL);
    char *text = list == NULL ? NULL : json_dumps(list, JSON_COMPACT | JSON_SORT_KEYS);
    if (text != NULL)
        (void)trees_hash_text(text, hash);
    free(text);
    if (strcmp(hash, label->manifest) == 0) {
        *out = list;
        return RESULT_OK;
    }
    json_decref(list);
    failure_set(why, MANIFEST, "is missing, or is not what backup.json says");
    return RESULT_CORRUPT;
}

enum result backups_open(const char *folder, bool whole, struct backups_label *label, struct failure *why)
{
    char path[TREES_PATH_BYTES];
    json_t *list = NULL;
    enum result result = read_label(folder, label, why);
    if (result != RESULT_OK || !whole)
        return result;
    result = read_manifest(folder, label, &list, why);
    if (result == RESULT_OK)
        result = trees_check(join(path, folder, "postgres"), list, why);
    json_decref(list);
    return result;
}

enum result backups_note(const char *data, const uint8_t id[UUID_BYTES], const char *folder, struct failure *why)
{
    char place[TREES_PATH_BYTES], path[TREES_PATH_BYTES], name[UUID_TEXT_BYTES];
    struct stat status;
    if (mkdir(join(place, data, "backups"), 0700) != 0 && errno != EEXIST) {
        failure_set(why, "data", "cannot keep there where the backup lies: %s", strerror(errno));
        return RESULT_FAILED;
    }
    enum result result = secrets_write(place, uuid_format(id, name), folder, why);
    if (result == RESULT_OK && geteuid() == 0 && stat(data, &status) == 0) {
        (void)!lchown(place, status.st_uid, status.st_gid);
        (void)!lchown(join(path, place, name), status.st_uid, status.st_gid);
    }
    return result;
}

enum result backups_find(const char *data, const uint8_t id[UUID_BYTES], char out[TREES_PATH_BYTES], struct failure *why)
{
    char place[TREES_PATH_BYTES], name[UUID_TEXT_BYTES], text[SECRETS_MAX_BYTES];
    enum result result = secrets_read(join(place, data, "backups"), uuid_format(id, name), text, why);
    if (result == RESULT_OK)
        (void)snprintf(out, TREES_PATH_BYTES, "%s", text);
    return result;
}

enum result backups_remove(const char *data, const uint8_t id[UUID_BYTES], struct failure *why)
{
    char folder[TREES_PATH_BYTES], path[TREES_PATH_BYTES];
    struct backups_label label;
    struct failure unsaid = {0};
    enum result result = backups_find(data, id, folder, why);
    if (result != RESULT_OK)
        return result;
    if (access(folder, F_OK) != 0)
        return errno == ENOENT ? RESULT_OK : RESULT_FAILED;
    if (read_label(folder, &label, &unsaid) == RESULT_OK && memcmp(label.id, id, sizeof label.id) != 0) {
        failure_set(why, "backup", "another one lies in its place");
        return RESULT_DENIED;
    }
    /* The cluster goes first: what is left of a removal that was cut short is still known as this backup. */
    result = trees_remove(join(path, folder, "postgres"), why);
    if (result == RESULT_OK)
        (void)trees_remove(folder, &unsaid); /* the folder above may be another user's: an empty folder may stay */
    return result;
}
