#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

char *buffer_reserve(struct buffer *b, size_t n)
{
    if (b->failed || n > b->maximum - b->length) {
        b->failed = true;
        return NULL;
    }
    size_t need = b->length + n;
    if (need > b->capacity) {
        size_t capacity = b->capacity < 128 ? 128 : b->capacity * 2;
        if (capacity < need) {
            capacity = need;
        }
        char *grown = realloc(b->data, capacity);
        if (!grown) {
            b->failed = true;
            return NULL;
        }
        b->data = grown;
        b->capacity = capacity;
    }
    return b->data + b->length;
}

void buffer_append(struct buffer *b, const void *bytes, size_t n)
{
    char *at = n ? buffer_reserve(b, n) : NULL;
    if (at) {
        memcpy(at, bytes, n);
        b->length += n;
    }
}

void buffer_add_view(struct buffer *b, struct view v)
{
    buffer_append(b, v.at, v.length);
}

void buffer_add_text(struct buffer *b, const char *string)
{
    buffer_append(b, string, strlen(string));
}

void buffer_add_byte(struct buffer *b, char c)
{
    buffer_append(b, &c, 1);
}

void buffer_add_number(struct buffer *b, int64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (number < 0) {
        buffer_add_byte(b, '-');
    }
    buffer_append(b, digits + at, sizeof digits - at);
}

void buffer_print(struct buffer *b, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *at = n < 0 ? NULL : buffer_reserve(b, (size_t)n + 1);
    if (!at) {
        b->failed = true;
        return;
    }
    va_start(arguments, format);
    vsnprintf(at, (size_t)n + 1, format, arguments);
    va_end(arguments);
    b->length += (size_t)n;
}

void buffer_drop(struct buffer *b, size_t n)
{
    if (n >= b->length) {
        b->length = 0;
        return;
    }
    memmove(b->data, b->data + n, b->length - n);
    b->length -= n;
}

void buffer_reset(struct buffer *b)
{
    b->length = 0;
    b->failed = false;
}

bool buffer_failed(const struct buffer *b)
{
    return b->failed;
}

struct view buffer_view(const struct buffer *b)
{
    return view_make(b->data ? b->data : "", b->length);
}

const char *buffer_string(struct buffer *b)
{
    char *at = buffer_reserve(b, 1);
    if (!at) {
        return NULL;
    }
    *at = '\0';
    return b->data;
}

void buffer_free(struct buffer *b)
{
    free(b->data);
    *b = BUFFER(b->maximum);
}
