/*
 * Coarse device class and bot recognition from a User-Agent, so that nothing finer is ever kept.
 *
 * Sees:     a User-Agent, while a request lasts.
 * Uses:     libc.
 * Threads:  pure functions.
 */
#ifndef THRONG_EDGE_DEVICE_H
#define THRONG_EDGE_DEVICE_H

#include <stdbool.h>

enum device_class { DEVICE_DESKTOP, DEVICE_MOBILE, DEVICE_TABLET, DEVICE_OTHER };

/* The class of user_agent (NULL or empty: DEVICE_OTHER). */
enum device_class device_classify(const char *user_agent);

/* "desktop", "mobile", "tablet" or "other". A static string. */
const char *device_name(enum device_class device);

/* Whether user_agent calls itself an automaton (crawler, monitor, headless browser, link preview). NULL, or a
 * library's name such as a backend sends, is none. */
bool device_is_bot(const char *user_agent);

#endif
