/* etl/stream_print.c - print and pprint (DStream semantics, section 5). */
#include "etl/stream_graph.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RULE "-------------------------------------------\n" /* 43 dashes */

enum { PRINT_MAXIMUM = 64 * 1024 * 1024 }; /* of the text of one batch */

static void print_header(struct buffer *text, int64_t time, bool milliseconds)
{
    buffer_add_text(text, RULE);
    if (milliseconds) {
        buffer_print(text, "Time: %" PRId64 " ms\n", time);
    } else {
        char shown[64];
        time_t seconds = (time_t)(time / 1000);
        struct tm local;
        localtime_r(&seconds, &local);
        strftime(shown, sizeof shown, "%Y-%m-%d %H:%M:%S", &local);
        buffer_print(text, "Time: %s\n", shown);
    }
    buffer_add_text(text, RULE);
}

static void print_record(struct buffer *text, struct record record, const struct stream_print *print)
{
    if (print->show) {
        print->show(text, record, print->user);
    } else {
        buffer_append(text, record.data, record.size);
    }
    buffer_add_byte(text, '\n');
}

static void print_records(struct buffer *text, const struct batch *batch, const struct stream_print *print)
{
    size_t shown = 0;
    for (size_t p = 0; p < batch_partition_count(batch); p++) {
        size_t count;
        const struct record *records = batch_partition(batch, p, &count);
        for (size_t i = 0; i < count && shown < print->records; i++, shown++) {
            print_record(text, records[i], print);
        }
    }
    if (batch_count(batch) > shown) {
        buffer_add_text(text, "...\n");
    }
    buffer_add_byte(text, '\n');
}

static int write_to_stdout(struct view text, struct err *e)
{
    if (fwrite(text.at, 1, text.length, stdout) != text.length || fflush(stdout) != 0) {
        return err_set(e, ERR_RETRY, "cannot write to standard output: %s", strerror(errno));
    }
    return 0;
}

static int print_batch(const struct batch *batch, void *user, struct err *e)
{
    const struct stream_print *print = user;
    struct buffer text = BUFFER(PRINT_MAXIMUM);
    print_header(&text, batch_time(batch), print->milliseconds);
    print_records(&text, batch, print);
    int result;
    if (buffer_failed(&text)) {
        result = err_set(e, ERR_RETRY,
                         "the batch's first records are longer than 64 MiB or memory is out: not printed");
    } else if (print->write) {
        result = print->write(print->user, buffer_view(&text), e);
    } else {
        result = write_to_stdout(buffer_view(&text), e);
    }
    buffer_free(&text);
    return result;
}

int stream_pprint(struct dstream *parent, const struct stream_print *print, struct err *e)
{
    if (!parent) {
        return -1;
    }
    struct stream_print *kept = malloc(sizeof *kept);
    if (!kept) {
        return stream_fail(parent->context, STREAM_ENGINE_ERROR, e, "out of memory for an output operation");
    }
    *kept = *print;
    size_t most = print->records < STREAM_ALL_RECORDS - 1 ? print->records + 1 : STREAM_ALL_RECORDS;
    return stream_output_add(parent, print_batch, kept, free, most, e);
}
