#include "service/cli/trees.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES (256 * 1024)
#define OPEN_MOST 32

static enum result refuse(struct failure *why, const char *path, const char *what)
{
    failure_set(why, path, "%s: %s", what, strerror(errno));
    return RESULT_FAILED;
}

char *trees_hash_text(const char *text, char out[TREES_HASH_TEXT_BYTES])
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    (void)crypto_hash_sha256(digest, (const unsigned char *)text, strlen(text));
    return sodium_bin2hex(out, TREES_HASH_TEXT_BYTES, digest, sizeof digest);
}

static enum result hash_file(const char *path, char out[TREES_HASH_TEXT_BYTES], int64_t *bytes, struct failure *why)
{
    static unsigned char buffer[BUFFER_BYTES];
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state state;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return refuse(why, path, "cannot be read");
    (void)crypto_hash_sha256_init(&state);
    ssize_t got = read(fd, buffer, sizeof buffer);
    for (*bytes = 0; got > 0; got = read(fd, buffer, sizeof buffer)) {
        (void)crypto_hash_sha256_update(&state, buffer, (size_t)got);
        *bytes += got;
    }
    (void)close(fd);
    if (got < 0)
        return refuse(why, path, "cannot be read");
    (void)crypto_hash_sha256_final(&state, digest);
    (void)sodium_bin2hex(out, TREES_HASH_TEXT_BYTES, digest, sizeof digest);
    return RESULT_OK;
}

/* What a walk does with each file (relative: its path below the folder) and, before its contents, each folder. */
struct visitor {
    enum result (*file)(void *context, const char *path, const char *relative, struct failure *why);
    enum result (*folder)(void *context, const char *path, const char *relative, struct failure *why); /* NULL: nothing */
    void *context;
};

static int no_dots(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static enum result walk(const char *root, const char *relative, const struct visitor *visitor, struct failure *why);

static enum result visit(const char *root, const char *relative, const struct visitor *visitor, struct failure *why)
{
    char path[TREES_PATH_BYTES];
    struct stat status;
    if (snprintf(path, sizeof path, "%s/%s", root, relative) >= (int)sizeof path) {
        failure_set(why, relative, "its path is too long");
        return RESULT_FAILED;
    }
    if (lstat(path, &status) != 0)
        return refuse(why, path, "cannot be read");
    if (S_ISREG(status.st_mode))
        return visitor->file(visitor->context, path, relative, why);
    if (!S_ISDIR(status.st_mode)) {
        failure_set(why, path, "is neither a file nor a folder");
        return RESULT_FAILED;
    }
    enum result result = visitor->folder == NULL ? RESULT_OK : visitor->folder(visitor->context, path, relative, why);
    return result == RESULT_OK ? walk(root, relative, visitor, why) : result;
}

/* Visit what lies in root/relative (empty: root), in ascending order of names. */
static enum result walk(const char *root, const char *relative, const struct visitor *visitor, struct failure *why)
{
    char path[TREES_PATH_BYTES], below[TREES_PATH_BYTES];
    struct dirent **entries = NULL;
    (void)snprintf(path, sizeof path, "%s/%s", root, relative);
    int count = scandir(path, &entries, no_dots, by_bytes);
    if (count < 0)
        return refuse(why, path, "cannot be listed");
    enum result result = RESULT_OK;
    for (int i = 0; i < count; i++) {
        int length = snprintf(below, sizeof below, "%s%s%s", relative, relative[0] == '\0' ? "" : "/", entries[i]->d_name);
        if (result == RESULT_OK && length < (int)sizeof below)
            result = visit(root, below, visitor, why);
        free(entries[i]);
    }
    free(entries);
    return result;
}

static enum result add_file(void *context, const char *path, const char *relative, struct failure *why)
{
    json_t *files = context;
    char hash[TREES_HASH_TEXT_BYTES];
    int64_t bytes = 0;
    enum result result = hash_file(path, hash, &bytes, why);
    if (result == RESULT_OK && json_array_append_new(files, json_pack("{s:I, s:s, s:s}", "bytes", (json_int_t)bytes, "path", relative,
                                   "sha256", hash)) != 0) {
        failure_set(why, path, "its name is not UTF-8");
        result = RESULT_FAILED;
    }
    return result;
}

enum result trees_list(const char *folder, json_t **out, struct failure *why)
{
    json_t *files = json_array();
    const struct visitor visitor = {.file = add_file, .context = files};
    enum result result = walk(folder, "", &visitor, why);
    if (result == RESULT_OK)
        *out = json_pack("{s:o}", "files", files);
    else
        json_decref(files);
    return result;
}

enum result trees_check(const char *folder, const json_t *list, struct failure *why)
{
    size_t index;
    json_t *found = NULL, *file;
    enum result result = trees_list(folder, &found, why);
    if (result != RESULT_OK)
        return result;
    const json_t *wanted = json_object_get(list, "files"), *present = json_object_get(found, "files");
    json_array_foreach(wanted, index, file)
    {
        const char *path = json_string_value(json_object_get(file, "path"));
        if (result == RESULT_OK && (path == NULL || !json_equal(file, json_array_get(present, index)))) {
            failure_set(why, path == NULL ? "manifest" : path, "is missing, or is not what it was when the backup was made");
            result = RESULT_CORRUPT;
        }
    }
    if (result == RESULT_OK && (!json_is_array(wanted) || json_array_size(wanted) != json_array_size(present))) {
        failure_set(why, "manifest", "the folder holds files that it does not name");
        result = RESULT_CORRUPT;
    }
    json_decref(found);
    return result;
}

static enum result sync_folder(const char *path, struct failure *why)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    enum result result = synced ? RESULT_OK : refuse(why, path, "cannot be made durable");
    if (fd >= 0)
        (void)close(fd);
    return result;
}

static bool copy_bytes(int from, int to)
{
    static char buffer[BUFFER_BYTES];
    for (;;) {
        ssize_t got = read(from, buffer, sizeof buffer);
        if (got <= 0)
            return got == 0;
        for (ssize_t done = 0; done < got;) {
            ssize_t put = write(to, buffer + done, (size_t)(got - done));
            if (put <= 0)
                return false;
            done += put;
        }
    }
}

static enum result copy_file(void *context, const char *path, const char *relative, struct failure *why)
{
    char target[TREES_PATH_BYTES];
    const char *to = context;
    (void)snprintf(target, sizeof target, "%s/%s", to, relative);
    int source = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int fd = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool copied = source >= 0 && fd >= 0 && copy_bytes(source, fd) && fsync(fd) == 0;
    enum result result = copied ? RESULT_OK : refuse(why, relative, "cannot be copied");
    if (source >= 0)
        (void)close(source);
    if (fd >= 0)
        (void)close(fd);
    return result;
}

static enum result copy_folder(void *context, const char *path, const char *relative, struct failure *why)
{
    char target[TREES_PATH_BYTES];
    const char *to = context;
    (void)path;
    (void)snprintf(target, sizeof target, "%s/%s", to, relative);
    return mkdir(target, 0700) == 0 ? RESULT_OK : refuse(why, target, "cannot be made");
}

static enum result sync_visited(void *context, const char *path, const char *relative, struct failure *why)
{
    (void)context;
    (void)relative;
    return sync_folder(path, why);
}

static enum result skip_file(void *context, const char *path, const char *relative, struct failure *why)
{
    (void)context;
    (void)path;
    (void)relative;
    (void)why;
    return RESULT_OK;
}

enum result trees_copy(const char *from, const char *to, struct failure *why)
{
    char place[TREES_PATH_BYTES];
    (void)snprintf(place, sizeof place, "%s", to);
    const struct visitor copy = {.file = copy_file, .folder = copy_folder, .context = place};
    const struct visitor sync = {.file = skip_file, .folder = sync_visited};
    if (mkdir(to, 0700) != 0)
        return refuse(why, to, "cannot be made");
    enum result result = walk(from, "", &copy, why);
    if (result == RESULT_OK)
        result = walk(to, "", &sync, why);
    return result == RESULT_OK ? sync_folder(to, why) : result;
}

static enum result give_one(void *context, const char *path, const char *relative, struct failure *why)
{
    const struct stat *to = context;
    (void)relative;
    return lchown(path, to->st_uid, to->st_gid) == 0 ? RESULT_OK : refuse(why, path, "cannot be handed over");
}

enum result trees_give(const char *path, uid_t user, gid_t group, struct failure *why)
{
    struct stat to = {.st_uid = user, .st_gid = group};
    const struct visitor visitor = {.file = give_one, .folder = give_one, .context = &to};
    enum result result = walk(path, "", &visitor, why);
    return result == RESULT_OK ? give_one(&to, path, "", why) : result;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)type;
    (void)at;
    return remove(path);
}

enum result trees_remove(const char *path, struct failure *why)
{
    struct stat status;
    if (lstat(path, &status) != 0 && errno == ENOENT)
        return RESULT_OK;
    if (nftw(path, remove_one, OPEN_MOST, FTW_DEPTH | FTW_PHYS) == 0)
        return RESULT_OK;
    return refuse(why, path, "cannot be removed");
}
