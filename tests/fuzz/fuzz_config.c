/*
 * Configuration: any text either is refused with the key at fault, or gives a configuration that can be freed.
 */
#include <stdlib.h>
#include <string.h>

#include "service/base/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config config = {0};
    struct failure why = {0};
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    enum result result = config_parse(text, &config, &why);
    free(text);
    if (result == RESULT_OK)
        config_free(&config);
    else if (why.text[0] == '\0')
        abort();
    return 0;
}
