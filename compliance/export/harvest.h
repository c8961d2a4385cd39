/*
 * What a bundle takes from the database, as throng_read sees it inside one open transaction (REPEATABLE READ): the checkpoint, the
 * log's keys, definitions, earlier checkpoints, the ledger, releases, tiles and entries.
 *
 * Sees:     audit leaves, app definitions, rows of the ledger and of releases.
 * Uses:     service/db, compliance/bundle, jansson (to give a definition its form).
 * Threads:  one.
 * Failure:  as export.h.
 */
#ifndef THRONG_EXPORT_HARVEST_H
#define THRONG_EXPORT_HARVEST_H

#include "compliance/audit/checkpoint.h"
#include "compliance/audit/proof.h"
#include "compliance/bundle/archive.h"
#include "compliance/bundle/terms.h"
#include "schema/failure.h"
#include "service/db/db.h"

/* One checkpoint, and where it is read from. */
struct harvest {
    struct db *db;      /* borrowed */
    const char *beside; /* of a path, in whose folder working files may lie; borrowed */
    struct terms terms;
    struct checkpoint checkpoint;
    size_t note_length;
    char note[NOTE_MAX_BYTES];
    struct terms_link link;          /* working space */
    char text[TERMS_LINK_MAX_BYTES]; /* working space */
    void (*progress)(void *context, double fraction, const char *what); /* may be NULL */
    void *context;
};

/* Read the checkpoint of size leaves (0: the newest), the log's keys and the witnesses' (a file as audit.witnesses tells; "":
 * none), verify the log's signature, and that the database's tiles have that root. */
enum result harvest_begin(struct harvest *harvest, uint64_t size, const char *witnesses, struct failure *why);

/* Write apps/, consistency/ and database/. */
enum result harvest_tables(struct harvest *harvest, struct archive_writer *archive, struct failure *why);

/* Write keys/. */
enum result harvest_keys(struct harvest *harvest, struct archive_writer *archive, struct failure *why);

/* Write log/: the checkpoint, tiles and entries. */
enum result harvest_log(struct harvest *harvest, struct archive_writer *archive, struct failure *why);

/* Write proofs/ of the newest hundred entries and of all that people's requests left, from the tiles that tiles reads. */
enum result harvest_proofs(struct harvest *harvest, const struct tree_reader *tiles, struct archive_writer *archive,
    struct failure *why);

#endif
