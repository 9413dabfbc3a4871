/* bridge/frame.h - one post between two end markers: the bytes that plain and numbered clients see.
 *
 * The problem: clients lowercase what they get and cut it at the marker, so a text that holds the marker, or
 * becomes it by lowercasing, must not end its frame early. The design: every character is compared as it
 * would be after lowercasing. Only two characters outside ASCII become ASCII then: U+212A KELVIN SIGN (k) and
 * U+0130 (i, then U+0307, or i alone in a Turkish locale); both count as the letter they become. In a text
 * U+2060 WORD JOINER is inserted; in JSON one character is written as \u and four digits, so that the parsed
 * value stays the same. The marker has no white space and each frame ends with it after a space, so nothing
 * can form it across a frame's end.
 *
 * Guaranteed: lower(frame) holds the marker once, at its end (for JSON: with a marker that
 * frame_marker_escapable takes).
 */
#ifndef ROOST_BRIDGE_FRAME_H
#define ROOST_BRIDGE_FRAME_H

#include "base/buffer.h"
#include "base/err.h"
#include "bridge/post.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    FRAME_MARKER_MAXIMUM = 32,                   /* bytes */
    FRAME_PAYLOAD_MAXIMUM = POST_MAXIMUM_BYTES,  /* bytes of a post's JSON with markers escaped */
    FRAME_HEAD_MAXIMUM = 20 + 1 + 7 + 1 + 8 + 1, /* "SEQUENCE LENGTH CHECKSUM\n" */
    FRAME_PLAIN_MAXIMUM =
        4 * FRAME_PAYLOAD_MAXIMUM /* a text of nothing but markers grows by less than this */
};

/* True when a marker can be told apart from everything JSON writes outside strings and in escapes. */
bool frame_marker_escapable(struct view marker);

/* Appends the plain frame: text with CR and LF as spaces and markers broken up, a space, the marker, LF. All
 * other line breaks (VT, FF, U+0085, U+2028, U+2029) stay: socketTextStream and nc end lines at CR and LF
 * alone. */
void frame_write_text(struct buffer *b, struct view text, struct view marker);

/* Appends JSON with the markers in it escaped; unchanged when the marker is not escapable. */
void frame_escape_json(struct buffer *b, struct view json, struct view marker);

/* Appends a space, the marker, LF. */
void frame_write_end(struct buffer *b, struct view marker);

/* CRC-32C of the sequence (8 bytes, the lowest first) and the payload: the same on disk and on the wire. */
uint32_t frame_checksum(uint64_t sequence, struct view payload);

struct frame_head {
    uint64_t sequence;
    size_t length; /* of the payload, 1 to FRAME_PAYLOAD_MAXIMUM */
    uint32_t checksum;
};

/* Appends "SEQUENCE LENGTH CHECKSUM\n": decimal, decimal, eight hexadecimal digits. */
void frame_write_head(struct buffer *b, const struct frame_head *head);

/* Reads such a line, without its LF. ERR_RETRY: it is none. */
int frame_parse_head(struct view line, struct frame_head *head, struct err *e);

/* A numbered frame at the start of `bytes`. 1: *head and *payload are filled, *taken is the frame's whole
 * length; 0: more bytes are needed; -1: ERR_RETRY, these bytes are no frame (bad head, checksum or end). */
int frame_parse(struct view bytes, struct view marker, struct frame_head *head, struct view *payload,
                size_t *taken, struct err *e);

/* A consumer's name: 1 to 63 of a-z A-Z 0-9 _ - . */
bool frame_consumer_name(struct view name);

#endif
