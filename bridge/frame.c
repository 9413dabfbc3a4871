#include "bridge/frame.h"

#include "base/checksum.h"
#include "base/number.h"

/* A character as it is after lowercasing: an ASCII character, or 0 for all others; *width gets its bytes. */
static char lowered(struct view text, size_t at, size_t *width)
{
    char c = text.at[at];
    *width = 1;
    if (c >= 'A' && c <= 'Z') {
        return (char)(c + ('a' - 'A'));
    }
    if ((unsigned char)c < 0x80) {
        return c;
    }
    if (view_starts(view_from(text, at), VIEW("\xE2\x84\xAA"))) { /* U+212A KELVIN SIGN */
        *width = 3;
        return 'k';
    }
    if (view_starts(view_from(text, at), VIEW("\xC4\xB0"))) { /* U+0130 CAPITAL I WITH DOT ABOVE */
        *width = 2;
        return 'i';
    }
    return 0;
}

/* Whether lower(text) has `marker` at byte `at`. *pivot_at gets the byte where its character number `pivot`
 * begins. */
static bool matches(struct view text, size_t at, struct view marker, size_t pivot, size_t *pivot_at)
{
    for (size_t i = 0; i < marker.length; i++) {
        size_t width;
        if (at >= text.length || lowered(text, at, &width) != marker.at[i]) {
            return false;
        }
        if (i == pivot) {
            *pivot_at = at;
        }
        at += width;
    }
    return true;
}

void frame_write_end(struct buffer *b, struct view marker)
{
    buffer_add_byte(b, ' ');
    buffer_add_view(b, marker);
    buffer_add_byte(b, '\n');
}

void frame_write_text(struct buffer *b, struct view text, struct view marker)
{
    size_t run = 0;
    text = text.at ? text : VIEW("");
    for (size_t i = 0; i < text.length;) {
        size_t width;
        char c = lowered(text, i, &width);
        if (c == '\r' || c == '\n') {
            buffer_append(b, text.at + run, i - run);
            buffer_add_byte(b, ' ');
            run = i + 1;
        } else if (c == marker.at[0] && matches(text, i, marker, 0, &(size_t){0})) {
            /* One insertion behind the first letter; a match that begins at a later letter is found in its
             * turn. */
            buffer_append(b, text.at + run, i + width - run);
            buffer_add_text(b, "\xE2\x81\xA0"); /* U+2060 WORD JOINER */
            run = i + width;
        }
        i += width;
    }
    buffer_append(b, text.at + run, text.length - run);
    frame_write_end(b, marker);
}

/* The first character of the marker that valid JSON has only inside strings and never in an escape; its
 * index, or the marker's length when there is none. */
static size_t find_pivot(struct view marker)
{
    size_t found = marker.length;
    for (size_t i = 0; i < marker.length; i++) {
        char c = marker.at[i];
        if (c == '"' || c == '\\') {
            return marker.length;
        }
        bool used = c <= ' ' || c >= 0x7F || strchr("{}[]:,/+-.0123456789abcdeflnrstu", c) != NULL;
        if (!used && found == marker.length) {
            found = i;
        }
    }
    return found;
}

bool frame_marker_escapable(struct view marker)
{
    return find_pivot(marker) < marker.length;
}

enum { ESCAPE_TAIL = 5 /* what follows the backslash in \u005f */ };

/* Writes the character at `at` as an escape; tail[] gets the escape without its backslash. Returns its width.
 */
static size_t add_escape(struct buffer *b, struct view json, size_t at, char tail[ESCAPE_TAIL])
{
    static const char digits[] = "0123456789abcdef";
    size_t width;
    lowered(json, at, &width);
    unsigned point = width == 3 ? 0x212A : width == 2 ? 0x0130 : (unsigned char)json.at[at];
    tail[0] = 'u';
    for (unsigned i = 0; i < 4; i++) {
        tail[1 + i] = digits[point >> (12 - 4 * i) & 15];
    }
    buffer_add_byte(b, '\\');
    buffer_append(b, tail, ESCAPE_TAIL);
    return width;
}

/* Whether a marker begins in the last escape and goes on at byte `at` (the marker "8x" after \u0078). */
static bool matches_across(const char tail[ESCAPE_TAIL], struct view json, size_t at, struct view marker,
                           size_t pivot, size_t *pivot_at)
{
    for (size_t head = ESCAPE_TAIL; head; head--) {
        if (head <= pivot && memcmp(tail + ESCAPE_TAIL - head, marker.at, head) == 0 &&
            matches(json, at, view_from(marker, head), pivot - head, pivot_at)) {
            return true;
        }
    }
    return false;
}

void frame_escape_json(struct buffer *b, struct view json, struct view marker)
{
    size_t pivot = find_pivot(marker);
    char tail[ESCAPE_TAIL];
    bool after_escape = false;
    size_t run = 0;
    for (size_t i = 0; pivot < marker.length && i < json.length;) {
        size_t width, pivot_at = 0;
        bool found = after_escape && matches_across(tail, json, i, marker, pivot, &pivot_at);
        after_escape = false;
        if (!found && lowered(json, i, &width) == marker.at[0]) {
            found = matches(json, i, marker, pivot, &pivot_at);
        }
        if (!found) {
            i++;
            continue;
        }
        buffer_append(b, json.at + run, pivot_at - run);
        i = run = pivot_at + add_escape(b, json, pivot_at, tail);
        after_escape = true;
    }
    buffer_append(b, json.at + run, json.length - run);
}

uint32_t frame_checksum(uint64_t sequence, struct view payload)
{
    unsigned char bytes[8];
    for (unsigned i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)(sequence >> 8 * i);
    }
    return checksum_crc32c(checksum_crc32c(0, bytes, sizeof bytes), payload.at, payload.length);
}

void frame_write_head(struct buffer *b, const struct frame_head *head)
{
    buffer_print(b, "%llu %zu %08x\n", (unsigned long long)head->sequence, head->length, head->checksum);
}

/* Cuts *rest at its first space; the part before it. */
static struct view cut_word(struct view *rest)
{
    const char *space = rest->length ? memchr(rest->at, ' ', rest->length) : NULL;
    struct view word = view_make(rest->at, space ? (size_t)(space - rest->at) : rest->length);
    *rest = view_from(*rest, word.length + (space ? 1 : 0));
    return word;
}

int frame_parse_head(struct view line, struct frame_head *head, struct err *e)
{
    uint64_t length;
    struct view rest = line;
    if (number_parse_unsigned(cut_word(&rest), &head->sequence) || !head->sequence ||
        number_parse_unsigned(cut_word(&rest), &length) || !length ||
        number_parse_hex32(rest, &head->checksum)) {
        return err_set(e, ERR_RETRY, "a frame's first line is not SEQUENCE LENGTH CHECKSUM");
    }
    if (length > FRAME_PAYLOAD_MAXIMUM) {
        return err_set(e, ERR_RETRY, "frame %llu claims %llu bytes, the limit is %d",
                       (unsigned long long)head->sequence, (unsigned long long)length, FRAME_PAYLOAD_MAXIMUM);
    }
    head->length = (size_t)length;
    return 0;
}

int frame_parse(struct view bytes, struct view marker, struct frame_head *head, struct view *payload,
                size_t *taken, struct err *e)
{
    size_t most = bytes.length < FRAME_HEAD_MAXIMUM ? bytes.length : FRAME_HEAD_MAXIMUM;
    const char *end = most ? memchr(bytes.at, '\n', most) : NULL;
    if (!end) {
        return most < FRAME_HEAD_MAXIMUM ? 0 : err_set(e, ERR_RETRY, "a frame's first line does not end");
    }
    struct view line = view_make(bytes.at, (size_t)(end - bytes.at));
    if (frame_parse_head(line, head, e)) {
        return -1;
    }
    size_t whole = line.length + 1 + head->length + 1 + marker.length + 1;
    if (bytes.length < whole) {
        return 0;
    }
    *payload = view_make(end + 1, head->length);
    const char *tail = payload->at + payload->length;
    if (frame_checksum(head->sequence, *payload) != head->checksum) {
        return err_set(e, ERR_RETRY, "the checksum of frame %llu is wrong",
                       (unsigned long long)head->sequence);
    }
    if (tail[0] != ' ' || memcmp(tail + 1, marker.at, marker.length) != 0 ||
        tail[1 + marker.length] != '\n') {
        return err_set(e, ERR_RETRY, "frame %llu does not end with the marker",
                       (unsigned long long)head->sequence);
    }
    *taken = whole;
    return 1;
}

bool frame_consumer_name(struct view name)
{
    for (size_t i = 0; i < name.length; i++) {
        char c = name.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
              c == '-' || c == '.')) {
            return false;
        }
    }
    return name.length >= 1 && name.length <= 63;
}
