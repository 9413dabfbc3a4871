/* bench/etl_without_sink.c - the ETL job with a sink that keeps nothing: what split, lowercase, clean and
 * enrich cost.
 *
 * Usage: etl_without_sink ADDRESS TOKEN-FILE N [WORKERS]. Reads the bridge's spool from its beginning and
 * ends with 0 when frame N has been through a batch. */
#include "base/number.h"
#include "etl/job.h"

#include <stdio.h>
#include <stdlib.h>

struct sink {
    uint64_t wanted, sequence;
    struct job *job;
};

static struct sink *null_open(const void *settings, const char *name, struct err *e)
{
    (void)settings;
    (void)name;
    (void)e;
    return calloc(1, sizeof(struct sink));
}

static int null_position(struct sink *s, const char *consumer, struct view spool, uint64_t *sequence,
                         struct err *e)
{
    (void)consumer;
    (void)spool;
    (void)e;
    *sequence = s->sequence;
    return 0;
}

static int null_write(struct sink *s, const struct load *load, struct err *e)
{
    (void)e;
    for (size_t i = 0; i < load->part_count; i++) {
        s->sequence = load->parts[i].last_sequence;
    }
    if (s->sequence >= s->wanted) {
        job_stop(s->job);
    }
    return 0;
}

static void null_stop(struct sink *s)
{
    (void)s;
}

static void null_close(struct sink *s)
{
    free(s);
}

int main(int argc, char **argv)
{
    int64_t wanted, workers = 0;
    if ((argc != 4 && argc != 5) || number_parse(view_of(argv[3]), 1, INT64_MAX, &wanted) ||
        (argc == 5 && number_parse(view_of(argv[4]), 0, 256, &workers))) {
        fprintf(stderr, "usage: etl_without_sink ADDRESS TOKEN-FILE N [WORKERS]\n");
        return 2;
    }
    const struct sink_type type = {.open = null_open,
                                   .position = null_position,
                                   .write = null_write,
                                   .stop = null_stop,
                                   .close = null_close};
    struct err e;
    struct sink *sink = type.open(NULL, "null", &e);
    const char *bridges[] = {argv[1]};
    struct job_settings settings = {.bridges = bridges,
                                    .bridge_count = 1,
                                    .consumer = "bench-null",
                                    .token_file = argv[2],
                                    .batch_interval_ms = 1000,
                                    .workers = (int)workers};
    struct loader_sink sinks[] = {{&type, sink, "null"}};
    struct job *job = sink ? job_open(&settings, sinks, 1, &e) : NULL;
    int status = 1;
    if (job) {
        sink->wanted = (uint64_t)wanted;
        sink->job = job;
        status = job_run(job);
        job_free(job);
    } else {
        fprintf(stderr, "etl_without_sink: %s\n", e.text);
    }
    null_close(sink);
    return status;
}
