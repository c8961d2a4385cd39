/*
 * What a supervised process finds in its environment: PATH and TZ, the options of sanitizers, THRONG_TEST_*, and of the
 * configuration only the sections that its program reads. Secrets go as paths of files (THRONG_SECTION_KEY_FILE).
 *
 * Sees:     nothing of a person; no secret's value.
 * Uses:     service/base.
 * Threads:  any.
 * Failure:  none.
 */
#ifndef THRONG_SUPERVISE_ENVIRONMENT_H
#define THRONG_SUPERVISE_ENVIRONMENT_H

#include "service/base/config.h"
#include "service/supervise/words.h"

/* Append what every process gets to words. */
void environment_base(struct words *words);

/* Append all plain keys of config's section, as THRONG_SECTION_KEY=value. Secrets are left out. */
void environment_section(struct words *words, const struct config *config, const char *section);

#endif
