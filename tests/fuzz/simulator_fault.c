/* Any text as a script of faults: refused, or printed as a script that is the same again. */
#include "simulator/fault.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print(const struct fault_script *script, struct buffer *into)
{
    for (size_t i = 0; i < script->count; i++) {
        fault_print(&script->items[i], into);
        buffer_add_byte(into, '\n');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fault_script script, again;
    struct err e;
    if (fault_script_read(view_make((const char *)data, size), "input", &script, &e) == 0) {
        struct buffer one = BUFFER(64 << 20), two = BUFFER(64 << 20);
        print(&script, &one);
        if (fault_script_read(buffer_view(&one), "printed", &again, &e) < 0) {
            abort();
        }
        print(&again, &two);
        if (!view_equal(buffer_view(&one), buffer_view(&two))) {
            abort();
        }
        fault_script_free(&again);
        buffer_free(&one);
        buffer_free(&two);
    }
    fault_script_free(&script);
    return 0;
}
