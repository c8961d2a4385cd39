#include "compliance/verify/evidence.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WHERE_BYTES 256
#define WHAT_BYTES 512

/* Bytes of a bundle may stand in a finding: nothing but plain text leaves. */
static void make_plain(char *text)
{
    bool plain = text_plain((struct text_view){text, strlen(text)});
    for (char *c = text; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte < 0x20 || byte == 0x7f || (byte > 0x7f && !plain))
            *c = '?';
    }
}

static void tell(struct evidence *evidence, char *where, char *what)
{
    struct verify_judgement *judgement = &evidence->outcome->levels[evidence->level];
    judgement->verdict = VERIFY_FAILED;
    if (judgement->findings++ >= VERIFY_FINDINGS_MAX || evidence->request->found == NULL)
        return;
    make_plain(where);
    make_plain(what);
    struct verify_finding finding = {evidence->level, where[0] == '\0' ? "(archive)" : where, what};
    evidence->request->found(evidence->request->context, &finding);
}

void evidence_find(struct evidence *evidence, const char *where, const char *format, ...)
{
    char place[WHERE_BYTES], what[WHAT_BYTES];
    va_list arguments;
    (void)snprintf(place, sizeof place, "%s", where);
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    tell(evidence, place, what);
}

void evidence_find_in(struct evidence *evidence, struct text_view name, const char *what)
{
    char place[WHERE_BYTES], text[WHAT_BYTES];
    (void)snprintf(place, sizeof place, "%.*s", (int)(name.length < WHERE_BYTES ? name.length : WHERE_BYTES - 1), name.bytes);
    (void)snprintf(text, sizeof text, "%s", what);
    tell(evidence, place, text);
}

bool evidence_file(struct evidence *evidence, const char *name, bool quiet, struct text_view *content)
{
    struct archive_file file;
    if (archive_index_find(evidence->index, name, &file) == RESULT_OK) {
        *content = file.content;
        return true;
    }
    if (!quiet)
        evidence_find(evidence, name, "the bundle has no such file");
    return false;
}

struct bodies evidence_bodies(const struct evidence *evidence)
{
    return (struct bodies){.index = evidence->index,
        .size = evidence->checkpoint.size,
        .pruned_below = evidence->terms.pruned_below};
}
