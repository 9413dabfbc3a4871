#include "sinks/postgres_copy.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <endian.h>
#include <math.h>
#include <string.h>

enum { CHUNK = 256 * 1024, TEXT_OID = 25, JSONB_VERSION = 1 };

const char postgres_copy_events_sql[] =
    "COPY roost.events (network, source, kind, id, author_id, received_at, batch_id, body)"
    " FROM STDIN (FORMAT binary)";
const char postgres_copy_rejects_sql[] =
    "COPY roost.rejects (batch_id, sequence, why, frame) FROM STDIN (FORMAT binary)";

static void put_short(struct buffer *b, size_t value)
{
    uint16_t wire = htobe16((uint16_t)value);
    buffer_append(b, &wire, sizeof wire);
}

static void put_int(struct buffer *b, uint32_t value)
{
    uint32_t wire = htobe32(value);
    buffer_append(b, &wire, sizeof wire);
}

static void put_null(struct buffer *b)
{
    put_int(b, UINT32_MAX);
}

static void put_eight(struct buffer *b, uint64_t value)
{
    uint64_t wire = htobe64(value);
    put_int(b, sizeof wire);
    buffer_append(b, &wire, sizeof wire);
}

/* A length that is known once what follows is written: hole_open takes its place, hole_close fills it in. */
static size_t hole_open(struct buffer *b)
{
    put_int(b, 0);
    return b->length;
}

static void hole_close(struct buffer *b, size_t hole)
{
    if (!buffer_failed(b)) {
        uint32_t wire = htobe32((uint32_t)(b->length - hole));
        memcpy(b->data + hole - sizeof wire, &wire, sizeof wire);
    }
}

static void put_text(struct buffer *b, struct view v)
{
    if (view_absent(v)) {
        put_null(b);
        return;
    }
    if (!memchr(v.at, '\0', v.length)) {
        put_int(b, (uint32_t)v.length);
        buffer_add_view(b, v);
        return;
    }
    size_t hole = hole_open(b);
    for (size_t i = 0; i < v.length; i++) {
        if (v.at[i]) {
            buffer_add_byte(b, v.at[i]);
        }
    }
    hole_close(b, hole);
}

static void put_json(struct buffer *b, struct view v)
{
    if (view_absent(v)) {
        put_null(b);
        return;
    }
    put_int(b, (uint32_t)v.length + 1);
    buffer_add_byte(b, JSONB_VERSION);
    buffer_add_view(b, v);
}

/* text[]: dimensions, whether there are nulls, the items' type, then of the one dimension its length and
 * first index. */
static void put_list(struct buffer *b, struct view_list list)
{
    size_t hole = hole_open(b);
    bool nulls = false;
    for (size_t i = 0; i < list.count; i++) {
        nulls = nulls || view_absent(list.items[i]);
    }
    put_int(b, list.count > 0);
    put_int(b, nulls);
    put_int(b, TEXT_OID);
    if (list.count > 0) {
        put_int(b, (uint32_t)list.count);
        put_int(b, 1);
    }
    for (size_t i = 0; i < list.count; i++) {
        put_text(b, list.items[i]);
    }
    hole_close(b, hole);
}

/* timestamptz: microseconds since 2000. What overflows becomes a time that the server refuses as out of
 * range; the two ends of int64 would mean infinity. */
static void put_time(struct buffer *b, int64_t wall_ms)
{
    static const int64_t year_2000_ms = INT64_C(946684800000);
    int64_t micro;
    if (wall_ms == CLOCK_NONE) {
        put_null(b);
        return;
    }
    if (__builtin_sub_overflow(wall_ms, year_2000_ms, &micro) ||
        __builtin_mul_overflow(micro, 1000, &micro)) {
        micro = INT64_MAX - 1;
    }
    put_eight(b, (uint64_t)micro);
}

static void put_number(struct buffer *b, int64_t number)
{
    if (number == POST_NO_NUMBER) {
        put_null(b);
    } else {
        put_eight(b, (uint64_t)number);
    }
}

static void put_flag(struct buffer *b, int flag)
{
    if (flag == POST_NO_FLAG) {
        put_null(b);
    } else {
        put_int(b, 1);
        buffer_add_byte(b, flag ? 1 : 0);
    }
}

static void put_real(struct buffer *b, double real)
{
    uint64_t bits;
    if (isnan(real)) {
        put_null(b);
        return;
    }
    memcpy(&bits, &real, sizeof bits);
    put_eight(b, bits);
}

static void put_field(struct buffer *b, const struct post *p, const struct post_field *field)
{
    const char *at = (const char *)p + field->offset;
    switch (field->type) {
    case POST_TEXT:
        put_text(b, *(const struct view *)(const void *)at);
        break;
    case POST_LIST:
        put_list(b, *(const struct view_list *)(const void *)at);
        break;
    case POST_NUMBER:
        put_number(b, *(const int64_t *)(const void *)at);
        break;
    case POST_FLAG:
        put_flag(b, *(const int *)(const void *)at);
        break;
    case POST_REAL:
        put_real(b, *(const double *)(const void *)at);
        break;
    case POST_TIME:
        put_time(b, *(const int64_t *)(const void *)at);
        break;
    case POST_JSON:
        put_json(b, *(const struct view *)(const void *)at);
        break;
    }
}

static bool in_table(const struct post_field *field)
{
    return (field->use & POST_IN_TABLE) != 0;
}

void postgres_copy_posts_columns(struct buffer *sql)
{
    for (size_t i = 0; i < post_field_count; i++) {
        if (in_table(&post_fields[i])) {
            buffer_print(sql, "\"%s\", ", post_fields[i].name);
        }
    }
    buffer_add_text(sql, "batch_id");
}

void postgres_copy_posts_sql(struct buffer *sql, const char *table)
{
    buffer_print(sql, "COPY %s (", table);
    postgres_copy_posts_columns(sql);
    buffer_add_text(sql, ") FROM STDIN (FORMAT binary)");
}

int postgres_copy_start(struct postgres_copy *c, const char *sql, struct err *e)
{
    static const char head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0"; /* signature, no flags, no extension */
    if (postgres_link_copy_start(c->link, sql, e)) {
        return -1;
    }
    buffer_reset(&c->rows);
    buffer_append(&c->rows, head, 19);
    return 0;
}

static int send_when_full(struct postgres_copy *c, size_t most, struct err *e)
{
    if (buffer_failed(&c->rows)) {
        postgres_link_drop(c->link); /* a half row cannot be taken back */
        return err_set(e, ERR_RETRY, "memory is out, or a row needs more than %d bytes", POSTGRES_COPY_MOST);
    }
    if (c->rows.length < most) {
        return 0;
    }
    if (postgres_link_copy_bytes(c->link, c->rows.data, c->rows.length, e)) {
        return -1;
    }
    buffer_reset(&c->rows);
    return 0;
}

int postgres_copy_post(struct postgres_copy *c, const struct post *p, int64_t batch_id, struct err *e)
{
    struct buffer *b = &c->rows;
    size_t columns = 1;
    for (size_t i = 0; i < post_field_count; i++) {
        columns += in_table(&post_fields[i]);
    }
    put_short(b, columns);
    for (size_t i = 0; i < post_field_count; i++) {
        const struct post_field *field = &post_fields[i];
        bool never_null = field->offset == offsetof(struct post, text) ||
                          field->offset == offsetof(struct post, clean_text);
        const struct view *text = (const void *)((const char *)p + field->offset);
        if (in_table(field) && never_null && view_absent(*text)) {
            put_text(b, VIEW(""));
        } else if (in_table(field)) {
            put_field(b, p, field);
        }
    }
    put_number(b, batch_id);
    return send_when_full(c, CHUNK, e);
}

int postgres_copy_event(struct postgres_copy *c, const struct post *p, int64_t batch_id, struct err *e)
{
    struct buffer *b = &c->rows;
    put_short(b, 8);
    put_text(b, p->network);
    put_text(b, p->source);
    put_text(b, view_of(post_kind_names[p->kind]));
    put_text(b, p->id);
    put_text(b, p->author_id);
    put_time(b, p->received_at);
    put_number(b, batch_id);
    put_json(b, p->body);
    return send_when_full(c, CHUNK, e);
}

static void put_repaired(struct buffer *b, struct view text)
{
    size_t hole = hole_open(b);
    for (size_t at = 0; at < text.length;) {
        uint32_t point = utf8_next(text, &at);
        char bytes[4];
        if (point != 0) {
            buffer_append(b, bytes, utf8_put(point == UTF8_BAD ? 0xFFFD : point, bytes));
        }
    }
    hole_close(b, hole);
}

int postgres_copy_reject(struct postgres_copy *c, int64_t batch_id, uint64_t sequence, struct view why,
                         struct view frame, struct err *e)
{
    struct buffer *b = &c->rows;
    put_short(b, 4);
    put_number(b, batch_id);
    put_eight(b, sequence);
    put_repaired(b, why);
    put_int(b, (uint32_t)frame.length);
    buffer_add_view(b, frame);
    return send_when_full(c, CHUNK, e);
}

int postgres_copy_end(struct postgres_copy *c, uint64_t *rows, struct err *e)
{
    put_short(&c->rows, UINT16_MAX); /* -1: no more rows */
    if (send_when_full(c, 0, e)) {
        return -1;
    }
    return postgres_link_copy_end(c->link, rows, e);
}
