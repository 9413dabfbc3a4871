#include "base/wipe.h"

#include <stdlib.h>
#include <string.h>

void wipe_string(char *string)
{
    if (string) {
        explicit_bzero(string, strlen(string));
        free(string);
    }
}

void wipe_buffer(struct buffer *b)
{
    if (b->data) {
        explicit_bzero(b->data, b->capacity);
    }
    buffer_free(b);
}
