/*
 * Configuration: throng.conf (INI, inih), overridden by the environment THRONG_SECTION_KEY, or THRONG_SECTION_KEY_FILE
 * for a secret in a file. Every key is a row of config.def: section, key, type, default, bounds, and its help text. An
 * unknown key, a bad value or an unreadable file is an error that names it.
 *
 * Sees:     secrets of the installation (passwords, the seal's passphrase), not of persons.
 * Uses:     inih.
 * Threads:  loaded once before threads; read-only then.
 */
#ifndef THRONG_BASE_CONFIG_H
#define THRONG_BASE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "schema/failure.h"

struct config {
#define CONFIG_TEXT(section, key, initial, help) const char *section##_##key;
#define CONFIG_INT(section, key, initial, least, most, help) int64_t section##_##key;
#define CONFIG_BOOL(section, key, initial, help) bool section##_##key;
#define CONFIG_SECRET(section, key, help) const char *section##_##key;
#include "service/base/config.def"
#undef CONFIG_TEXT
#undef CONFIG_INT
#undef CONFIG_BOOL
#undef CONFIG_SECRET
};

/* Fill *config from the defaults, then path (NULL: none), then the environment. Strings are owned by *config for the
 * life of the process. RESULT_INVALID with "section.key" (and the line) in why. */
enum result config_load(const char *path, struct config *config, struct failure *why);

/* As config_load, from INI text in memory and without the environment: for tests and fuzzing. config_free releases. */
enum result config_parse(const char *text, struct config *config, struct failure *why);
/* Free what config_load or config_parse allocated. */
void config_free(struct config *config);

/* Write every key with its default and help as a commented throng.conf to file. */
void config_print_reference(FILE *file);

/* What every daemon's main does first: handle --config FILE, --check-config (prints "ok" and exits 0, or the error and
 * exits 2), --help and --version; then load. Exits with 2 on a usage or configuration error. summary: one line for
 * --help. */
void config_from_arguments(int argc, char **argv, const char *summary, struct config *config);

#endif
