/*
 * Strict text: what the text formats of the log share. Nothing is repaired: a text is in its one canonical form or it is
 * refused, so that parsing and printing again gives the same bytes.
 *
 *   decimal   ASCII digits, no sign, no leading zero but in "0", at most 2^63 - 1 (C2SP tlog-checkpoint, "Note text")
 *   base64    RFC 4648 section 4, with padding, the unused bits zero (section 3.5), nothing else in between
 *   plain     well-formed UTF-8 (RFC 3629) without characters below U+0020 but newline (C2SP signed-note, "Format")
 *   name      plain, not empty, without newline, Unicode space and '+' (C2SP signed-note, "Format")
 *
 * Sees:     public texts; text_base64_read also the text of a signing key.
 * Uses:     libsodium (base64).
 * Threads:  every function may run anywhere.
 * Failure:  false; outputs are untouched then, unless the contract says otherwise.
 */
#ifndef THRONG_AUDIT_TEXT_H
#define THRONG_AUDIT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the base64 of n bytes, without a NUL. */
#define TEXT_BASE64_BYTES(n) (((n) + 2) / 3 * 4)

/* length bytes that somebody else owns; no NUL follows them. */
struct text_view {
    const char *bytes;
    size_t length;
};

/* A text being written to room bytes of the caller's. full: something had no room; it was left out whole. */
struct text_writer {
    char *bytes;
    size_t room, length;
    bool full;
};

/* Take the first line off *rest: *line borrows it, without its newline. False if *rest has no newline. */
bool text_line(struct text_view *rest, struct text_view *line);

/* Whether view is exactly the string. */
bool text_is(struct text_view view, const char *string);

/* Take prefix off the front of *view. False if it does not begin so. */
bool text_skip(struct text_view *view, const char *prefix);

/* *value: the decimal number in view, 0 to 2^63 - 1. */
bool text_decimal(struct text_view view, uint64_t *value);

/* Whether view is plain; an empty one is. */
bool text_plain(struct text_view view);

/* Whether view is a name. */
bool text_name(struct text_view view);

/* *length: how many bytes the base64 in view stands for. False if it is not canonical; an empty view stands for 0. */
bool text_base64_length(struct text_view view, size_t *length);

/* Decode view to exactly length bytes at out. False if it is not canonical or of another length; out is undefined then. */
bool text_base64_read(struct text_view view, uint8_t *out, size_t length);

/* Append length bytes. */
void text_put(struct text_writer *writer, const char *bytes, size_t length);
/* Append a string. */
void text_puts(struct text_writer *writer, const char *string);
/* Append a decimal number. */
void text_put_decimal(struct text_writer *writer, uint64_t value);
/* Append the base64 of at most 64 KiB. */
void text_put_base64(struct text_writer *writer, const uint8_t *bytes, size_t length);

#endif
