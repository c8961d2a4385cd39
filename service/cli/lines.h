/*
 * Log lines of three forms, each read into an event: CSV with a header (RFC 4180), JSON lines, and the Combined (or
 * Common) Log Format of web servers.
 *
 *   csv    columns user or user_id, ts (timestamp, time), name (event), session; others by --map
 *   jsonl  members of the same names; a mapped name may be a path: props.page
 *   clf    host ident authuser [day/Mon/year:h:m:s zone] "request" status bytes "referer" "user agent": answered GETs of
 *          pages become page_view; assets, automata and failures are skipped
 *
 * Sees:     raw identifiers, in the line, for the call.
 * Uses:     jansson, libsodium (the hash of address and agent), service/cli/moment.
 * Threads:  one, because of the time zone.
 * Failure:  RESULT_INVALID (a bad line) or RESULT_NOT_FOUND (a good line that is none of ours) with line.fault set;
 *           failures never hold anything of the line.
 */
#ifndef THRONG_CLI_LINES_H
#define THRONG_CLI_LINES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"
#include "schema/limits.h"

#define LINES_COLUMNS_MAX 256
#define LINES_KEY_BYTES 32

enum lines_kind { LINES_CSV, LINES_JSONL, LINES_CLF };

/* Why a line is not an event. From LINES_EMPTY on: skipped, not bad. */
enum lines_fault {
    LINES_GOOD,
    LINES_BAD_FORM,     /* not of the format */
    LINES_BAD_TEXT,     /* not UTF-8, or control characters in an id */
    LINES_BAD_LONG,     /* longer than a record may be */
    LINES_BAD_USER,     /* none, or longer than RAW_ID_MAX_BYTES */
    LINES_BAD_TS,       /* none, or not a moment */
    LINES_BAD_NAME,     /* none, or not a name */
    LINES_BAD_SESSION,  /* longer than RAW_ID_MAX_BYTES */
    LINES_EMPTY,
    LINES_NOT_A_PAGE,   /* clf: not a GET, or a style sheet, script, picture … */
    LINES_NOT_ANSWERED, /* clf: status not 2xx or 3xx */
    LINES_AUTOMATON,    /* clf: the agent calls itself a robot */
    LINES_NO_USER,      /* clf: authuser is "-" */
    LINES_FAULTS
};

/* Where a value is found. */
struct lines_column {
    char name[128]; /* as mapped; empty: by the usual names */
    int index;      /* csv, after lines_read_header: its column, or -1 */
};

/* What a line of a file means. Zero-initialise but for kind. */
struct lines_format {
    enum lines_kind kind;
    struct lines_column user, ts, name, session;
    struct lines_prop {
        char name[NAME_MAX_BYTES + 1]; /* the app's property */
        struct lines_column column;
    } props[EVENT_PROPS_MAX];
    size_t prop_count;
    const char *event; /* borrowed: the name of every event; NULL: the line says it */
    bool user_from_address; /* clf: user = keyed hash of day, address and agent instead of authuser */
    uint8_t key[LINES_KEY_BYTES];
};

/* One event. Its strings lie in the line, in the buffers here, or in document; valid until lines_clear. */
struct line {
    enum lines_fault fault;
    const char *user;
    const char *session; /* or NULL */
    const char *name;
    const char *path; /* clf: of the page, without its query; else NULL */
    int64_t ts_ms;
    size_t prop_count;
    struct line_prop {
        const char *name;
        const char *text;
    } props[EVENT_PROPS_MAX];
    json_t *document;
    char name_text[NAME_MAX_BYTES + 1];
    char user_text[64];
    char scratch[EVENT_PROPS_MAX + 3][32]; /* JSON numbers as text */
    size_t scratch_used;
};

/* Read "user=COL,ts=COL,name=COL,session=COL,props.X=COL" into format. For clf: "user=authuser" or "user=addr-agent".
 * RESULT_INVALID with the key at fault. */
enum result lines_read_map(struct lines_format *format, const char *map, struct failure *why);

/* csv: find the mapped columns in the header line (changed in place). RESULT_NOT_FOUND with the column missing. */
enum result lines_read_header(struct lines_format *format, char *line, struct failure *why);

/* Read one record (NUL-terminated, without its line end; changed in place) into *out. Free with lines_clear whatever is
 * returned. */
enum result lines_parse(const struct lines_format *format, char *line, struct line *out, struct failure *why);

/* Free what out owns. */
void lines_clear(struct line *out);

/* Whether a csv record is still open at the end of line[0..length-1]: a quoted field goes on in the next line. */
bool lines_open_quote(const char *line, size_t length);

/* What fault means, for people and for machines ("bad_ts"). Static strings. */
const char *lines_fault_text(enum lines_fault fault);
/* See lines_fault_text. */
const char *lines_fault_name(enum lines_fault fault);

/* Write the declared form of an event name to out: lower case, all but letters and digits as '_'. False if it is empty or
 * too long. */
bool lines_event_name(const char *text, char out[NAME_MAX_BYTES + 1]);

#endif
