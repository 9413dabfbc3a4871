/* text/link.h - where a link ends, by twitter-text's rules; for the files of this room only. */
#ifndef ROOST_TEXT_LINK_H
#define ROOST_TEXT_LINK_H

#include "base/view.h"

/* The bytes of "http://" or "https://" (any case) at `at`, or 0. */
size_t link_protocol(struct view text, size_t at);

/* The byte behind the link whose protocol ends at `host`, or 0 when no valid host stands there. */
size_t link_end(struct view text, size_t start, size_t host);

/* The byte behind a domain with a path ("example.com/path") that begins at `start`, or 0. What looks like one
 * is not taken for a link, but a hashtag inside it is not a hashtag. */
size_t link_bare_end(struct view text, size_t start);

#endif
