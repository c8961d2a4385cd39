/*
 * The calendar of key epochs, and when a clock may be believed enough to destroy a key.
 *
 * Sees:     times only.
 * Uses:     libc.
 * Threads:  pure functions.
 */
#ifndef THRONG_EDGE_KEYEPOCH_H
#define THRONG_EDGE_KEYEPOCH_H

#include <stdbool.h>
#include <stdint.h>

#define KEYEPOCH_QUARTERS 92 /* epoch_days of this value means calendar quarters (UTC) */
#define KEYEPOCH_DAYS_MIN 7
#define KEYEPOCH_DAYS_MAX 366
#define KEYEPOCH_DAY_MS (24LL * 3600 * 1000)
#define KEYEPOCH_CLOCKS_MS (3600LL * 1000) /* clocks that differ by more disagree */

/* The calendar's epoch of now_ms (>= 0): year * 4 + quarter (0 to 3) for KEYEPOCH_QUARTERS, else days since
 * 1970-01-01 divided by epoch_days (at least 1). */
int64_t keyepoch_of(int64_t now_ms, uint32_t epoch_days);

/* When calendar epoch `number` begins, ms since 1970. */
int64_t keyepoch_start_ms(int64_t number, uint32_t epoch_days);

/* Whether the three times lie within KEYEPOCH_CLOCKS_MS of each other. redis_ms may be -1: then the other two. */
bool keyepoch_clocks_agree(int64_t wall_ms, int64_t expected_ms, int64_t redis_ms);

#endif
