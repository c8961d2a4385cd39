/*
 * Plain: names of the trail in plain words, for people who do not know the program.
 *
 * Sees:     names.
 * Uses:     libc.
 * Threads:  every function may run anywhere. Everything returned is static.
 */
#ifndef THRONG_REPORT_PLAIN_H
#define THRONG_REPORT_PLAIN_H

#include <stddef.h>

/* What an act is; NULL if it is not a known one. */
const char *plain_act(const char *act);
/* What a preset of protection does; the preset itself if it is not a known one. */
const char *plain_preset(const char *preset);
/* A legal basis with its article; NULL if it is not a known one or NULL. */
const char *plain_basis(const char *basis);
/* Act number n of those that have words, NULL beyond the last: for tests. */
const char *plain_listed(size_t n);

#endif
