#include "service/aggregate/ranges.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct range *list_of(struct ranges *set)
{
    return set->more != NULL ? set->more : &set->one;
}

const struct range *ranges_list(const struct ranges *set, size_t *count)
{
    *count = set->count;
    return set->more != NULL ? set->more : &set->one;
}

void ranges_clear(struct ranges *set)
{
    free(set->more);
    *set = (struct ranges){0};
}

/* Make room for one more range. */
static struct range *reserve(struct ranges *set)
{
    if (set->more == NULL && set->count == 0)
        return &set->one;
    if (set->more == NULL || set->count == set->capacity) {
        size_t capacity = set->capacity == 0 ? 4 : set->capacity * 2;
        struct range *more = realloc(set->more, capacity * sizeof *more);
        assert(more != NULL);
        if (set->more == NULL)
            more[0] = set->one;
        set->more = more;
        set->capacity = capacity;
    }
    return set->more;
}

/* Index of the first range whose high is >= value: where value may touch. */
static size_t first_reaching(const struct ranges *set, int64_t value)
{
    const struct range *list = set->more != NULL ? set->more : &set->one;
    size_t low = 0;
    size_t high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list[middle].high < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t ranges_add(struct ranges *set, int64_t low, int64_t high)
{
    assert(low < high);
    size_t at = first_reaching(set, low);
    struct range *list = list_of(set);
    if (at == set->count || list[at].low > high) {
        list = reserve(set);
        memmove(list + at + 1, list + at, (set->count - at) * sizeof *list);
        list[at] = (struct range){low, high};
        set->count++;
        return high - low;
    }
    /* Swallow every range that touches [low, high). */
    struct range merged = {low, high};
    int64_t held = 0;
    size_t end = at;
    for (; end < set->count && list[end].low <= high; end++) {
        held += list[end].high - list[end].low;
        merged.low = list[end].low < merged.low ? list[end].low : merged.low;
        merged.high = list[end].high > merged.high ? list[end].high : merged.high;
    }
    list[at] = merged;
    memmove(list + at + 1, list + end, (set->count - end) * sizeof *list);
    set->count -= end - at - 1;
    return merged.high - merged.low - held;
}

void ranges_add_all(struct ranges *set, const struct ranges *other)
{
    size_t count;
    const struct range *list = ranges_list(other, &count);
    for (size_t i = 0; i < count; i++)
        (void)ranges_add(set, list[i].low, list[i].high);
}

bool ranges_has(const struct ranges *set, int64_t value)
{
    size_t count;
    const struct range *list = ranges_list(set, &count);
    size_t at = first_reaching(set, value + 1);
    return at < count && list[at].low <= value;
}

int64_t ranges_count_below(const struct ranges *set, int64_t limit)
{
    size_t count;
    const struct range *list = ranges_list(set, &count);
    int64_t sum = 0;
    for (size_t i = 0; i < count && list[i].low < limit; i++)
        sum += (list[i].high < limit ? list[i].high : limit) - list[i].low;
    return sum;
}

char *ranges_format(const struct ranges *set)
{
    size_t count;
    const struct range *list = ranges_list(set, &count);
    size_t size = 3 + count * 44;
    char *text = malloc(size);
    assert(text != NULL);
    size_t length = 0;
    text[length++] = '{';
    for (size_t i = 0; i < count; i++)
        length += (size_t)snprintf(text + length, size - length, "%s[%" PRId64 ",%" PRId64 ")", i > 0 ? "," : "",
            list[i].low, list[i].high);
    text[length++] = '}';
    text[length] = '\0';
    return text;
}

/* Read a number and the character after it. Not by sscanf, which measures the whole rest of the text each time. */
static bool take_number(const char **text, char after, int64_t *value)
{
    if (**text != '-' && (**text < '0' || **text > '9'))
        return false;
    char *end;
    errno = 0;
    *value = strtoll(*text, &end, 10);
    if (errno != 0 || *end != after)
        return false;
    *text = end + 1;
    return true;
}

enum result ranges_parse(struct ranges *set, const char *text)
{
    if (*text++ != '{')
        return RESULT_CORRUPT;
    if (*text == '}')
        return text[1] == '\0' ? RESULT_OK : RESULT_CORRUPT;
    for (;; text++) {
        int64_t low;
        int64_t high;
        if (*text++ != '[' || !take_number(&text, ',', &low) || !take_number(&text, ')', &high) || low >= high)
            return RESULT_CORRUPT;
        (void)ranges_add(set, low, high);
        if (*text != ',')
            break;
    }
    return strcmp(text, "}") == 0 ? RESULT_OK : RESULT_CORRUPT;
}
