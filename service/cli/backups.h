/*
 * Backups of the private cluster: where their files are, what lies in one, and how it is read back.
 *
 *   FOLDER/throng-20260401T100000Z-1a2b3c4d/   postgres/ (the cluster), manifest.json (see trees.h), backup.json (below)
 *   DATA/backups/ID                            the path of that folder, for as long as anybody may ask
 *
 * No key file, nothing of the audit log's own state and nothing of Redis is ever in one.
 *
 * Sees:     the cluster's files, as bytes.
 * Uses:     service/cli/trees, jansson.
 * Threads:  one.
 * Failure:  RESULT_NOT_FOUND (we do not know of it), RESULT_CORRUPT, RESULT_FAILED.
 */
#ifndef THRONG_CLI_BACKUPS_H
#define THRONG_CLI_BACKUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/failure.h"
#include "service/cli/trees.h"
#include "service/cli/uuid.h"

/* What backup.json says. */
struct backups_label {
    uint8_t id[UUID_BYTES];
    int64_t made_ms, expires_ms;
    char manifest[TREES_HASH_TEXT_BYTES]; /* SHA-256 of manifest.json */
};

/* List folder/postgres into folder/manifest.json and write folder/backup.json; label->manifest is set. */
enum result backups_seal(const char *folder, struct backups_label *label, struct failure *why);

/* Read folder/backup.json; with whole, check every byte of the cluster's files too. */
enum result backups_open(const char *folder, bool whole, struct backups_label *label, struct failure *why);

/* Keep in data where backup id lies. */
enum result backups_note(const char *data, const uint8_t id[UUID_BYTES], const char *folder, struct failure *why);

/* Write the path that was noted to out. RESULT_NOT_FOUND. */
enum result backups_find(const char *data, const uint8_t id[UUID_BYTES], char out[TREES_PATH_BYTES], struct failure *why);

/* Delete the files of backup id; they are gone is success too. RESULT_NOT_FOUND: nobody noted where they lie; RESULT_DENIED: what
 * lies there is another backup. */
enum result backups_remove(const char *data, const uint8_t id[UUID_BYTES], struct failure *why);

#endif
