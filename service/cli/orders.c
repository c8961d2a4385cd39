#include "service/cli/orders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/supervise/secrets.h"

#define PATH_BYTES 512
#define NAME_BYTES (UUID_TEXT_BYTES + 8)

static char *name_of(const uint8_t id[UUID_BYTES], char out[NAME_BYTES])
{
    char text[UUID_TEXT_BYTES];
    (void)snprintf(out, NAME_BYTES, "%s.json", uuid_format(id, text));
    return out;
}

/* Root acts as whom state belongs to, so that `throng up` can finish what it leaves, however suddenly it ends. */
static void become_owner(const char *state)
{
    struct stat status;
    if (geteuid() == 0 && stat(state, &status) == 0 && status.st_uid != 0 && setegid(status.st_gid) == 0)
        (void)!seteuid(status.st_uid);
}

static void become_oneself(void)
{
    (void)!seteuid(getuid());
    (void)!setegid(getgid());
}

/* Replace the file; of several processes one does it at a time. */
static enum result write_locked(const char *state, const char *name, const char *text, struct failure *why)
{
    char folder[PATH_BYTES];
    (void)snprintf(folder, sizeof folder, "%s/purge", state);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        failure_set(why, "ingest.state", "cannot keep the order there: %s", strerror(errno));
        return RESULT_FAILED;
    }
    int lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock < 0 || flock(lock, LOCK_EX) != 0) {
        failure_set(why, "ingest.state", "its folder purge cannot be locked: %s", strerror(errno));
        if (lock >= 0)
            (void)close(lock);
        return RESULT_FAILED;
    }
    enum result result = secrets_write(folder, name, text, why);
    (void)close(lock);
    return result;
}

enum result orders_write(const char *state, const struct orders_purge *order, struct failure *why)
{
    char name[NAME_BYTES], id[UUID_TEXT_BYTES];
    json_t *root = json_pack("{s:s, s:s, s:s, s:I, s:b, s:b}", "order", uuid_format(order->id, id), "app", order->app, "reason",
        order->reason, "ordered_at", (json_int_t)order->ordered_ms, "recorded", order->recorded, "told", order->told);
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    if (text == NULL) {
        failure_set(why, "reason", "is not UTF-8");
        return RESULT_INVALID;
    }
    become_owner(state);
    enum result result = write_locked(state, name_of(order->id, name), text, why);
    become_oneself();
    free(text);
    return result;
}

static enum result read_order(const char *path, struct orders_purge *out, struct failure *why)
{
    json_t *root = json_load_file(path, 0, NULL);
    const char *id = json_string_value(json_object_get(root, "order")), *app = json_string_value(json_object_get(root, "app"));
    const char *reason = json_string_value(json_object_get(root, "reason"));
    *out = (struct orders_purge){.ordered_ms = json_integer_value(json_object_get(root, "ordered_at")),
        .recorded = json_is_true(json_object_get(root, "recorded")),
        .told = json_is_true(json_object_get(root, "told"))};
    bool valid = id != NULL && uuid_parse(id, out->id) && app != NULL && strlen(app) <= NAME_MAX_BYTES && reason != NULL &&
                 strlen(reason) < ORDERS_REASON_BYTES;
    if (valid) {
        (void)snprintf(out->app, sizeof out->app, "%s", app);
        (void)snprintf(out->reason, sizeof out->reason, "%s", reason);
    }
    json_decref(root);
    if (valid)
        return RESULT_OK;
    failure_set(why, "ingest.state", "a file in its folder purge is no order: remove it, or order the purge anew");
    return RESULT_CORRUPT;
}

enum result orders_read(const char *state, struct orders_purge out[ORDERS_MAX], size_t *count, struct failure *why)
{
    char folder[PATH_BYTES], path[PATH_BYTES + 260];
    enum result result = RESULT_OK;
    *count = 0;
    (void)snprintf(folder, sizeof folder, "%s/purge", state);
    DIR *listing = opendir(folder);
    if (listing == NULL)
        return RESULT_OK;
    for (struct dirent *entry = readdir(listing); entry != NULL && *count < ORDERS_MAX; entry = readdir(listing)) {
        size_t length = strlen(entry->d_name);
        if (entry->d_name[0] == '.' || length < 5 || strcmp(entry->d_name + length - 5, ".json") != 0)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        enum result read = read_order(path, &out[*count], why);
        if (read == RESULT_OK)
            (*count)++;
        else
            result = read;
    }
    (void)closedir(listing);
    return result;
}

void orders_remove(const char *state, const uint8_t id[UUID_BYTES])
{
    char path[PATH_BYTES + NAME_BYTES], name[NAME_BYTES];
    (void)snprintf(path, sizeof path, "%s/purge/%s", state, name_of(id, name));
    (void)unlink(path);
}
