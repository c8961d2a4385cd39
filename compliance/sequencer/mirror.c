#include "compliance/sequencer/mirror.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compliance/sequencer/files.h"

#define WHAT "audit.state"
#define UNSYNCED_MAX 64

struct mirror {
    char root[FILES_PATH_BYTES];
    char fresh[FILES_PATH_BYTES];
    char unsynced[UNSYNCED_MAX][FILES_PATH_BYTES]; /* directories with names that are not durable yet */
    size_t unsynced_count;
    uint64_t pruned; /* bundles below are gone */
    uint8_t bundle[TILE_BUNDLE_MAX_BYTES];
};

enum result mirror_open(const char *directory, struct mirror **out, struct failure *why)
{
    if (strlen(directory) > FILES_DIRECTORY_MAX_BYTES) {
        failure_set(why, WHAT, "is longer than %d bytes", FILES_DIRECTORY_MAX_BYTES);
        return RESULT_INVALID;
    }
    struct mirror *mirror = calloc(1, sizeof *mirror);
    if (mirror == NULL) {
        failure_set(why, WHAT, "out of memory");
        return RESULT_FAILED;
    }
    (void)files_join(mirror->root, directory, "log");
    (void)files_join(mirror->fresh, directory, ".log.new");
    enum result result = files_make_directory(mirror->root, WHAT, why);
    if (result == RESULT_OK)
        *out = mirror;
    else
        free(mirror);
    return result;
}

void mirror_close(struct mirror *mirror)
{
    free(mirror);
}

static char *path_of(const struct mirror *mirror, const struct tile *tile, char out[FILES_PATH_BYTES])
{
    char inside[TILE_PATH_MAX_BYTES] = "";
    (void)tile_print(tile, inside, NULL);
    return files_join(out, mirror->root, inside);
}

static bool exists(const struct mirror *mirror, const struct tile *tile)
{
    char path[FILES_PATH_BYTES];
    return access(path_of(mirror, tile, path), F_OK) == 0;
}

/* The stored tile with at least tile's width: 0 if there is none. */
static unsigned width_stored(const struct mirror *mirror, const struct tile *tile)
{
    if (exists(mirror, tile))
        return tile->width;
    for (unsigned width = TILE_WIDTH; width > tile->width; width--) {
        if (exists(mirror, &(struct tile){tile->level, tile->index, width}))
            return width;
    }
    return 0;
}

/* The widest stored bundle of index, of at least least entries; 0 if there is none. */
static unsigned widest(const struct mirror *mirror, uint64_t index, unsigned least)
{
    for (unsigned width = TILE_WIDTH; width >= least && width > 0; width--) {
        if (exists(mirror, &(struct tile){TILE_ENTRIES, index, width}))
            return width;
    }
    return 0;
}

uint64_t mirror_size(const struct mirror *mirror, uint64_t known)
{
    uint64_t size = known;
    while (true) {
        unsigned width = widest(mirror, size / TILE_WIDTH, (unsigned)(size % TILE_WIDTH) + 1);
        if (width == 0)
            return size;
        size = size / TILE_WIDTH * TILE_WIDTH + width;
        if (width < TILE_WIDTH)
            return size;
    }
}

static enum result load(void *context, const struct tile *tile, uint8_t *hashes, struct failure *why)
{
    const struct mirror *mirror = context;
    uint8_t stored[TILE_BYTES];
    char path[FILES_PATH_BYTES];
    size_t length = 0;
    const struct tile wide = {tile->level, tile->index, width_stored(mirror, tile)};
    if (wide.width == 0) {
        failure_set(why, WHAT, "the copy of the log lacks a tile");
        return RESULT_NOT_FOUND;
    }
    enum result result = files_read(path_of(mirror, &wide, path), stored, sizeof stored, &length, WHAT, why);
    if (result != RESULT_OK)
        return result;
    if (length != wide.width * TREE_HASH_BYTES) {
        failure_set(why, WHAT, "a tile of the copy of the log has another length");
        return RESULT_CORRUPT;
    }
    memcpy(hashes, stored, tile->width * TREE_HASH_BYTES);
    return RESULT_OK;
}

struct tile_source mirror_source(struct mirror *mirror)
{
    return (struct tile_source){.load = load, .context = mirror};
}

static enum result sync_names(struct mirror *mirror, struct failure *why)
{
    enum result result = RESULT_OK;
    for (size_t i = 0; i < mirror->unsynced_count && result == RESULT_OK; i++)
        result = files_sync(mirror->unsynced[i], WHAT, why);
    mirror->unsynced_count = 0;
    return result;
}

static enum result remember(struct mirror *mirror, const char *directory, struct failure *why)
{
    for (size_t i = 0; i < mirror->unsynced_count; i++) {
        if (strcmp(mirror->unsynced[i], directory) == 0)
            return RESULT_OK;
    }
    enum result result = mirror->unsynced_count == UNSYNCED_MAX ? sync_names(mirror, why) : RESULT_OK;
    (void)snprintf(mirror->unsynced[mirror->unsynced_count++], FILES_PATH_BYTES, "%s", directory);
    return result;
}

/* Make the directories between root and the file, and cut path behind the last of them. */
static enum result make_directories(const struct mirror *mirror, char *path, struct failure *why)
{
    char *last = strrchr(path, '/');
    *last = '\0';
    if (access(path, F_OK) == 0)
        return RESULT_OK;
    for (char *slash = strchr(path + strlen(mirror->root) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        enum result result = files_make_directory(path, WHAT, why);
        *slash = '/';
        if (result != RESULT_OK)
            return result;
    }
    return files_make_directory(path, WHAT, why);
}

/* Once a tile is whole, its partial ones are not needed. */
static void remove_partials(const struct mirror *mirror, const struct tile *tile)
{
    char folder[FILES_PATH_BYTES], path[FILES_PATH_BYTES * 2];
    (void)path_of(mirror, tile, path);
    (void)snprintf(folder, sizeof folder, "%.*s.p", FILES_PATH_BYTES - 3, path);
    DIR *open = opendir(folder);
    if (open == NULL)
        return;
    for (const struct dirent *entry = readdir(open); entry != NULL; entry = readdir(open)) {
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        (void)unlink(path);
    }
    (void)closedir(open);
    (void)rmdir(folder);
}

static enum result put(
    struct mirror *mirror, const struct tile *tile, const uint8_t *bytes, size_t length, struct failure *why)
{
    char path[FILES_PATH_BYTES], folder[FILES_PATH_BYTES];
    (void)path_of(mirror, tile, path);
    (void)path_of(mirror, tile, folder);
    enum result result = make_directories(mirror, folder, why);
    if (result == RESULT_OK)
        result = files_put(mirror->fresh, path, bytes, length, WHAT, why);
    return result == RESULT_OK ? remember(mirror, folder, why) : result;
}

/* Where the first width entries of a bundle of length bytes end. */
static enum result cut(const uint8_t *bundle, size_t length, unsigned width, size_t *end, struct failure *why)
{
    size_t at = 0;
    struct text_view entry;
    for (unsigned i = 0; i < width; i++) {
        enum result result = tile_next_entry(bundle, length, &at, &entry, why);
        if (result != RESULT_OK)
            return RESULT_CORRUPT;
    }
    *end = at;
    return RESULT_OK;
}

/* Read the first width entries of a bundle to mirror->bundle. */
static enum result read_bundle(
    struct mirror *mirror, uint64_t index, unsigned width, size_t *length, struct failure *why)
{
    char path[FILES_PATH_BYTES];
    size_t whole = 0;
    struct tile tile = {TILE_ENTRIES, index, width};
    tile.width = width_stored(mirror, &tile);
    if (tile.width == 0) {
        failure_set(why, WHAT, "the copy of the log lacks entries");
        return RESULT_NOT_FOUND;
    }
    enum result result = files_read(path_of(mirror, &tile, path), mirror->bundle, sizeof mirror->bundle, &whole, WHAT, why);
    return result == RESULT_OK ? cut(mirror->bundle, whole, width, length, why) : result;
}

enum result mirror_bundle(struct mirror *mirror, uint64_t index, unsigned width, const uint8_t **bytes, size_t *length,
    struct failure *why)
{
    enum result result = read_bundle(mirror, index, width, length, why);
    *bytes = mirror->bundle;
    return result;
}

/* Write the bundle that begins with, or goes on with, entries[0..count-1] at first. */
static enum result append_bundle(
    struct mirror *mirror, uint64_t first, const struct text_view *entries, size_t count, struct failure *why)
{
    size_t length = 0;
    unsigned before = (unsigned)(first % TILE_WIDTH);
    enum result result = before == 0 ? RESULT_OK : read_bundle(mirror, first / TILE_WIDTH, before, &length, why);
    for (size_t i = 0; i < count && result == RESULT_OK; i++)
        result = tile_put_entry(mirror->bundle, sizeof mirror->bundle, &length, entries[i].bytes, entries[i].length, why);
    const struct tile tile = {TILE_ENTRIES, first / TILE_WIDTH, before + (unsigned)count};
    return result == RESULT_OK ? put(mirror, &tile, mirror->bundle, length, why) : result;
}

/* After the whole ones are durable. */
static void tidy(const struct mirror *mirror, uint64_t first, size_t count, const struct growth *growth)
{
    for (uint64_t index = first / TILE_WIDTH; (index + 1) * TILE_WIDTH <= first + count; index++)
        remove_partials(mirror, &(struct tile){TILE_ENTRIES, index, TILE_WIDTH});
    for (size_t i = 0; i < growth->count; i++) {
        if (growth->tiles[i].tile.width == TILE_WIDTH)
            remove_partials(mirror, &growth->tiles[i].tile);
    }
}

enum result mirror_append(struct mirror *mirror, uint64_t first, const struct text_view *entries, size_t count,
    const struct growth *growth, struct failure *why)
{
    enum result result = RESULT_OK;
    for (size_t at = 0; at < count && result == RESULT_OK;) {
        size_t room = TILE_WIDTH - (size_t)((first + at) % TILE_WIDTH);
        size_t part = count - at < room ? count - at : room;
        result = append_bundle(mirror, first + at, entries + at, part, why);
        at += part;
    }
    for (size_t i = 0; i < growth->count && result == RESULT_OK; i++) {
        const struct growth_tile *changed = &growth->tiles[i];
        result = put(mirror, &changed->tile, changed->hashes, changed->tile.width * TREE_HASH_BYTES, why);
    }
    if (result == RESULT_OK)
        result = sync_names(mirror, why);
    if (result == RESULT_OK)
        tidy(mirror, first, count, growth);
    return result;
}

enum result mirror_checkpoint(struct mirror *mirror, const char *note, size_t length, struct failure *why)
{
    char path[FILES_PATH_BYTES];
    enum result result = files_put(mirror->fresh, files_join(path, mirror->root, "checkpoint"), note, length, WHAT, why);
    return result == RESULT_OK ? files_sync(mirror->root, WHAT, why) : result;
}

void mirror_prune(struct mirror *mirror, uint64_t below)
{
    char path[FILES_PATH_BYTES];
    for (; (mirror->pruned + 1) * TILE_WIDTH <= below; mirror->pruned++) {
        const struct tile tile = {TILE_ENTRIES, mirror->pruned, TILE_WIDTH};
        (void)unlink(path_of(mirror, &tile, path));
    }
}
