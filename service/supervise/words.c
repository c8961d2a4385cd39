#include "service/supervise/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void words_add(struct words *words, const char *format, ...)
{
    char **items = realloc(words->items, (words->count + 2) * sizeof *items);
    char *word = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&word, format, arguments);
    va_end(arguments);
    if (items == NULL || length < 0)
        abort();
    items[words->count++] = word;
    items[words->count] = NULL;
    words->items = items;
}

void words_free(struct words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->items[i]);
    free(words->items);
    *words = (struct words){0};
}
