/* config/language.h - codes of languages, as people and networks write them.
 *
 * A code is BCP 47: a language of ISO 639-1 or 639-2 (in ICU's list), then perhaps a script and a region: en,
 * zh-CN, hi-Latn. Also known: `und` (unknown), `zxx` (no language) and X's own qam, qct, qht, qme, qst (only
 * mentions, cashtags, hashtags, media links, a very short text), and art (made up). Old codes that networks
 * still send mean the new ones: in = id, iw = he, ji = yi, jw = jv.
 */
#ifndef ROOST_CONFIG_LANGUAGE_H
#define ROOST_CONFIG_LANGUAGE_H

#include "base/view.h"

enum {
    LANGUAGE_SIZE = 24 /* the longest code and NUL */,
    LANGUAGE_SPELLINGS = 2 /* at most, for one language */
};

/* It is the code of a language; upper and lower case are the same. */
bool language_known(struct view code);

/* How roost writes it, into out: new codes for old, two letters where there are two, language in lower case,
 * script in title case, region in upper case. Returns out; NULL: no code of a language. */
char *language_canonical(struct view code, char out[LANGUAGE_SIZE]);

/* All ways in which a network may spell a canonical code, itself first: id, in. Returns how many (1 or 2). */
size_t language_spellings(const char *canonical, char out[LANGUAGE_SPELLINGS][LANGUAGE_SIZE]);

/* A post in language `delivered` (as its network wrote it) is wanted by the canonical code: the same, or more
 * exact (zh wants zh-CN, zh-CN does not want zh). False for the absent view. */
bool language_wants(const char *canonical, struct view delivered);

#endif
