/*
 * A list of strings for exec: arguments or an environment.
 *
 * Sees:     nothing of a person; in an environment no secrets but paths to them.
 * Uses:     libc.
 * Threads:  a list belongs to one thread.
 * Failure:  out of memory ends the process.
 */
#ifndef THRONG_SUPERVISE_WORDS_H
#define THRONG_SUPERVISE_WORDS_H

#include <stddef.h>

/* Zero-initialise: {0}. items ends with NULL once a word was added. */
struct words {
    char **items;
    size_t count;
};

/* Append the word that format (printf) makes. */
void words_add(struct words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Free the words; the list is empty then. */
void words_free(struct words *words);

#endif
