#include "tests/sinks/support/loads.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

struct made_load *load_begin(uint64_t first)
{
    struct made_load *m = calloc(1, sizeof *m);
    cr_assert_not_null(m);
    m->part = (struct load_part){.spool = VIEW("spool-a"),
                                 .first_sequence = first,
                                 .last_sequence = first - 1,
                                 .posts = m->post_rows,
                                 .events = m->event_rows,
                                 .rejects = m->rejects};
    m->load = (struct load){.consumer = "etl",
                            .batch_time = 1539202764000,
                            .started_at = 1539202764211,
                            .parts = &m->part,
                            .part_count = 1};
    return m;
}

static struct post *add(struct made_load *m)
{
    cr_assert_lt(m->used, (size_t)LOAD_MOST);
    m->part.last_sequence++;
    m->part.received++;
    struct post *p = &m->posts[m->used++];
    post_init(p);
    return p;
}

struct post *load_add_post(struct made_load *m, int64_t id)
{
    struct post *p = add(m);
    char *text = m->ids[m->used - 1];
    snprintf(text, sizeof m->ids[0], "%lld", (long long)id);
    p->network = VIEW("x");
    p->id = view_of(text);
    p->created_at = 1539202764000 + id;
    p->source = VIEW("covid");
    p->received_at = 1539202765000;
    p->text = VIEW("Hello");
    p->clean_text = VIEW("hello");
    m->post_rows[m->part.post_count++] =
        (struct load_row){.sequence = m->part.last_sequence, .post = p, .frame = VIEW("{\"the\":\"frame\"}")};
    return p;
}

struct post *load_add_event(struct made_load *m, enum post_kind kind, const char *body)
{
    struct post *p = add(m);
    p->kind = kind;
    p->network = VIEW("x");
    p->source = VIEW("covid");
    p->received_at = 1539202765000;
    p->body = view_of(body);
    m->event_rows[m->part.event_count++] =
        (struct load_row){.sequence = m->part.last_sequence, .post = p, .frame = VIEW("{\"an\":\"event\"}")};
    return p;
}

void load_add_reject(struct made_load *m, const char *frame, const char *why)
{
    add(m);
    m->rejects[m->part.reject_count++] =
        (struct load_reject){.sequence = m->part.last_sequence, .frame = view_of(frame), .why = why};
}

const struct load *load_end(struct made_load *m)
{
    m->part.received = m->part.post_count + m->part.event_count + m->part.reject_count + m->part.filtered;
    return &m->load;
}

struct made_load *load_of(uint64_t first_sequence, int64_t first_id, size_t count)
{
    struct made_load *m = load_begin(first_sequence);
    for (size_t i = 0; i < count; i++) {
        load_add_post(m, first_id + (int64_t)i);
    }
    load_end(m);
    return m;
}

struct sink *sink_on(const char *conninfo)
{
    static struct postgres_settings settings;
    static char copy[300];
    struct err e;
    snprintf(copy, sizeof copy, "%s", conninfo);
    settings.conninfo = copy;
    struct sink *s = sink_postgres.open(&settings, "main", &e);
    cr_assert_not_null(s, "%s", e.text);
    return s;
}
