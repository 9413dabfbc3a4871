#include "ingest/lines.h"

#include "base/buffer.h"
#include "base/number.h"

#include <stdlib.h>

enum state {
    AT_START,   /* where a message, a length or a keep-alive may begin */
    IN_LENGTH,  /* `head` holds digits, perhaps with a CR behind them */
    IN_MESSAGE, /* up to CR LF */
    IN_COUNTED, /* exactly `left` more bytes */
    SKIPPING    /* as IN_MESSAGE, but nothing is kept */
};

/* More digits than a length that can be meant, and a CR. */
enum { HEAD_SIZE = 20, MOST_DIGITS = 18 };

struct ingest_lines {
    enum state state;
    struct buffer held; /* the part of a message that came with earlier input */
    size_t limit;
    bool after_cr; /* IN_MESSAGE, SKIPPING: the last byte seen was a CR; AT_START: a CR stands there alone */
    char head[HEAD_SIZE];
    size_t head_length;
    size_t left;
    bool plain, counted; /* what the stream's first message showed; neither: nothing came yet */
    uint64_t length;     /* SKIPPING: bytes thrown away so far */
};

struct ingest_lines *ingest_lines_new(size_t limit)
{
    struct ingest_lines *l = calloc(1, sizeof *l);
    if (l) {
        l->limit = limit;
        l->held = BUFFER(limit + 2); /* with its CR LF */
    }
    return l;
}

void ingest_lines_free(struct ingest_lines *l)
{
    if (l) {
        buffer_free(&l->held);
        free(l);
    }
}

static void start_over(struct ingest_lines *l)
{
    l->state = AT_START;
    l->after_cr = false;
    l->head_length = 0;
    l->left = 0;
    l->length = 0;
    buffer_reset(&l->held);
}

static char take_byte(struct view *input)
{
    char c = *input->at;
    *input = view_from(*input, 1);
    return c;
}

/* Throws away what is held and, from now on, what follows up to CR LF. */
static void start_skipping(struct ingest_lines *l)
{
    l->length = l->held.length;
    l->state = SKIPPING;
    buffer_reset(&l->held);
}

/* Keeps a part of a message; one that grows over the limit, or finds no memory, is skipped from here on. */
static void hold(struct ingest_lines *l, struct view part)
{
    buffer_add_view(&l->held, part);
    if (buffer_failed(&l->held)) {
        start_skipping(l);
        l->length += part.length;
    }
}

static enum ingest_lines_kind give_message(struct view message, struct ingest_lines_item *item)
{
    while (message.length &&
           (message.at[message.length - 1] == '\n' || message.at[message.length - 1] == '\r')) {
        message.length--;
    }
    *item = (struct ingest_lines_item){message, message.length};
    return message.length ? LINES_MESSAGE : LINES_KEEP_ALIVE;
}

static void begin_message(struct ingest_lines *l)
{
    l->state = IN_MESSAGE;
    l->plain = !l->counted;
}

/* What stood in `head` was no length: it is the beginning of a message. */
static void head_to_message(struct ingest_lines *l)
{
    begin_message(l);
    l->after_cr = l->head_length && l->head[l->head_length - 1] == '\r';
    hold(l, view_make(l->head, l->head_length));
    l->head_length = 0;
}

static enum ingest_lines_kind read_start(struct ingest_lines *l, struct view *input,
                                         struct ingest_lines_item *item)
{
    char c = *input->at;
    if (c == '\n') {
        take_byte(input);
        start_over(l);
        *item = (struct ingest_lines_item){view_none(), 0};
        return LINES_KEEP_ALIVE;
    }
    if (l->after_cr) {
        begin_message(l);
        hold(l, VIEW("\r"));
    } else if (c == '\r') {
        take_byte(input);
        l->after_cr = true;
    } else if (c >= '0' && c <= '9' && !l->plain) {
        l->state = IN_LENGTH;
    } else {
        begin_message(l);
    }
    return LINES_MORE;
}

static enum ingest_lines_kind read_length(struct ingest_lines *l, struct view *input)
{
    char c = *input->at;
    bool after_cr = l->head_length && l->head[l->head_length - 1] == '\r';
    if (c == '\n') {
        int64_t length = 0;
        take_byte(input);
        l->counted = true;
        number_parse(view_make(l->head, l->head_length - after_cr), 0, INT64_MAX, &length);
        start_over(l);
        if (length > (int64_t)l->limit + 2) {
            start_skipping(l);
        } else if (length > 0) {
            l->state = IN_COUNTED;
            l->left = (size_t)length;
        }
        return LINES_MORE;
    }
    bool fits = !after_cr && (c == '\r' || (c >= '0' && c <= '9' && l->head_length < MOST_DIGITS));
    if (fits) {
        l->head[l->head_length++] = take_byte(input);
    } else {
        head_to_message(l);
    }
    return LINES_MORE;
}

static enum ingest_lines_kind read_counted(struct ingest_lines *l, struct view *input,
                                           struct ingest_lines_item *item)
{
    size_t n = l->left < input->length ? l->left : input->length;
    struct view part = view_make(input->at, n);
    *input = view_from(*input, n);
    l->left -= n;
    if (l->left || l->held.length) {
        hold(l, part);
    }
    if (l->left) {
        return LINES_MORE;
    }
    if (l->state == SKIPPING) {
        l->state = AT_START;
        item->length = l->length;
        return LINES_TOO_LONG;
    }
    struct view whole = l->held.length ? buffer_view(&l->held) : part;
    l->state = AT_START;
    return give_message(whole, item);
}

/* Bytes of *input up to and with the LF of the first CR LF, or 0: there is none. */
static size_t find_end(const struct ingest_lines *l, struct view input)
{
    if (l->after_cr && input.at[0] == '\n') {
        return 1;
    }
    const char *at = input.at, *end = input.at + input.length;
    while ((at = memchr(at, '\n', (size_t)(end - at)))) {
        if (at > input.at && at[-1] == '\r') {
            return (size_t)(at - input.at) + 1;
        }
        at++;
    }
    return 0;
}

static enum ingest_lines_kind read_message(struct ingest_lines *l, struct view *input,
                                           struct ingest_lines_item *item)
{
    size_t n = find_end(l, *input);
    bool ends = n > 0;
    struct view part = view_make(input->at, ends ? n : input->length);
    *input = view_from(*input, part.length);
    l->after_cr = part.at[part.length - 1] == '\r';
    if (l->state == SKIPPING) {
        l->length += part.length;
    } else if (!ends || l->held.length) {
        hold(l, part);
    } else if (part.length > l->limit + 2) {
        l->state = SKIPPING;
        l->length = part.length;
    }
    if (!ends) {
        return LINES_MORE;
    }
    bool skipped = l->state == SKIPPING;
    struct view whole = l->held.length ? buffer_view(&l->held) : part;
    l->state = AT_START;
    l->after_cr = false;
    if (!skipped) {
        return give_message(whole, item);
    }
    *item = (struct ingest_lines_item){view_none(), l->length - 2};
    return LINES_TOO_LONG;
}

enum ingest_lines_kind ingest_lines_next(struct ingest_lines *l, struct view *input,
                                         struct ingest_lines_item *item)
{
    if (l->state == AT_START && !l->after_cr) {
        start_over(l); /* what the last call gave out is done with */
    }
    *item = (struct ingest_lines_item){view_none(), 0};
    enum ingest_lines_kind kind = LINES_MORE;
    while (kind == LINES_MORE && input->length) {
        switch (l->state) {
        case AT_START:
            kind = read_start(l, input, item);
            break;
        case IN_LENGTH:
            kind = read_length(l, input);
            break;
        case IN_COUNTED:
            kind = read_counted(l, input, item);
            break;
        case IN_MESSAGE:
        case SKIPPING:
            kind = read_message(l, input, item);
            break;
        }
    }
    return kind;
}

uint64_t ingest_lines_end(struct ingest_lines *l)
{
    uint64_t lost = l->state == AT_START ? l->after_cr : l->head_length + l->held.length + l->length;
    if (l->state == IN_COUNTED && !lost) {
        lost = 1; /* the length came and nothing of its message */
    }
    start_over(l);
    l->plain = l->counted = false;
    return lost;
}
