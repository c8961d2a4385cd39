/*
 * Ways of a page to its readers: a file, Chromium that prints it, sendmail that takes it along. Programs are found in $PATH and run
 * without a shell.
 *
 * Sees:     a page; an address, which goes to sendmail and nowhere else.
 * Uses:     libc, libsodium (base64), service/base/durable, service/cli/trees.
 * Threads:  one; waits for the program that it runs.
 * Failure:  RESULT_NOT_FOUND if the program is not there, RESULT_FAILED; no half-written file is left.
 */
#ifndef THRONG_CLI_COURIER_H
#define THRONG_CLI_COURIER_H

#include <stdbool.h>
#include <stddef.h>

#include "schema/failure.h"

#define COURIER_ADDRESS_MAX_BYTES 254 /* RFC 5321 */

/* A mail with a page attached. All are borrowed. */
struct courier_letter {
    const char *to, *app, *period; /* printable ASCII each */
    const char *page;
    size_t length;
};

/* Write bytes to path, in place of what is there, or to standard output ("-"). */
enum result courier_write(const char *path, const char *bytes, size_t length, struct failure *why);

/* Print a page to a PDF at path. */
enum result courier_print(const char *path, const char *page, size_t length, struct failure *why);

/* Hand a mail over to sendmail. */
enum result courier_mail(const struct courier_letter *letter, struct failure *why);

/* Whether text is one address: printable ASCII, one @ with something at both sides, no blanks, quotes, brackets, commas. */
bool courier_is_address(const char *text);

#endif
