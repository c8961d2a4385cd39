#include "api/accept.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* How specifically the range text[0..length-1] means type: 0 not at all, 1 by *, 2 by its first part, 3 by name. */
static int specificity(const char *text, size_t length, const char *type)
{
    size_t first = strcspn(type, "/") + 1;
    if (length == strlen(type) && strncasecmp(text, type, length) == 0)
        return 3;
    if (length == first + 1 && text[first] == '*' && strncasecmp(text, type, first) == 0)
        return 2;
    return length == 3 && memcmp(text, "*/*", 3) == 0;
}

/* "0.5" as 500; what is no quality counts as 1000. */
static int read_quality(const char *text)
{
    if (*text != '0')
        return 1000;
    int value = 0, scale = 100;
    if (text[1] != '.')
        return 0;
    for (text += 2; *text >= '0' && *text <= '9' && scale > 0; text++, scale /= 10)
        value += (*text - '0') * scale;
    return value;
}

/* The q parameter of an element, parameters[0..length-1]. */
static int quality_of(const char *parameters, size_t length)
{
    for (size_t i = 0; i + 2 < length; i++) {
        if (parameters[i] != ';')
            continue;
        size_t at = i + 1 + strspn(parameters + i + 1, " \t");
        if (at + 2 < length && (parameters[at] == 'q' || parameters[at] == 'Q') && parameters[at + 1] == '=')
            return read_quality(parameters + at + 2);
    }
    return 1000;
}

static int find(const char *header, const char *type, int *quality)
{
    int best = 0;
    *quality = 0;
    while (*(header += strspn(header, ", \t")) != '\0') {
        size_t element = strcspn(header, ","), range = strcspn(header, ",; \t");
        int found = specificity(header, range, type);
        if (found > best) {
            best = found;
            *quality = quality_of(header + range, element - range);
        }
        header += element;
    }
    return best;
}

int accept_quality(const char *header, const char *type)
{
    int quality = 1000;
    if (header != NULL)
        (void)find(header, type, &quality);
    return quality;
}

bool accept_prefers_csv(const char *header)
{
    return accept_quality(header, "text/csv") > accept_quality(header, "application/json");
}

bool accept_names(const char *header, const char *type)
{
    int quality;
    return header != NULL && find(header, type, &quality) == 3;
}
