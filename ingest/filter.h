/* ingest/filter.h - which keyword lines a post matches, and whether it is wanted at all.
 *
 * A delivered tweet does not say which phrase matched (API document, section 1.4), so every post is matched
 * here again, and the lines travel in the post. What is left out is a second question, and `local_filter`
 * answers it:
 *
 *   no     everything is kept as delivered.
 *   yes    kept is what matches at least one line that wants something, no exclusion, the switches retweets,
 * replies and quotes, and the languages. auto   only what the server cannot filter: left out is what an
 * exclusion matches, what the switches forbid, and what matches no line while all words of a line that was
 * asked for in a wider form are there (a phrase, whose words a v1.1 server finds in any order and place; a
 * line longer than 60 bytes). Everything else the server had a reason to deliver, and it is stored, perhaps
 * with no keyword. A server that takes rules (X v2) is asked for all of it, exclusions and switches included:
 * there auto leaves nothing out, but for exclusions that found no room in the rules.
 *
 * `sample` is a wish of its own: whatever local_filter says, a post that is not in the sample
 * (ingest/sample.h) is left out, before anything else is looked at. A retweet goes by its own id, not by that
 * of what it retweets.
 *
 * What is known to match a `= rule` line is kept in any case (but for the sample): nothing of the list is
 * added to such a rule.
 *
 * Read-only once made, so any number of threads may match with it.
 */
#ifndef ROOST_INGEST_FILTER_H
#define ROOST_INGEST_FILTER_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/err.h"
#include "bridge/post.h"
#include "ingest/settings.h"

#include <stdbool.h>

struct filter;

/* What the server was asked with. */
enum filter_server {
    FILTER_SERVER_TRACK,
    FILTER_SERVER_RULES,
    FILTER_SERVER_RULES_PART /* rules in which not all exclusions found room */
};

/* The settings must outlive the filter. NULL: memory is out, or the keywords are too long for the matcher. */
struct filter *filter_new(const struct filter_settings *settings, struct err *e); /* FILTER_SERVER_TRACK */
struct filter *filter_new_for(enum filter_server server, const struct filter_settings *settings,
                              struct err *e);

/* False: the post is in no sample that the settings want, so the functions below leave it out, with no
 * keyword. */
bool filter_in_sample(const struct filter *f, const struct post *p);

/* Sets p->keywords: the lines that match, as written but in lower case, each once, in the list's order (the
 * items live in the arena, the lines in the filter). True when the post is to be kept. With a full arena it
 * is kept, with no keyword, rather than lost. Looked at are text, hashtags, cashtags, mentions and urls of
 * the post; in a retweet "RT
 * @name: " is a mention too. */
bool filter_match(const struct filter *f, struct arena *a, struct post *p);

/* The same for a post of which it is known by other means that it matches `count` of the lines too, given by
 * their indices in the settings' list (those that are no less than the list's length are passed over): a `=
 * rule` line is matched by the network alone. With count > 0 the post is kept, if it is in the sample. */
bool filter_match_known(const struct filter *f, struct arena *a, struct post *p, const size_t *known,
                        size_t count);

/* Appends the value of the v1.1 parameter `track`: what the server is asked for, comma separated, not
 * percent-encoded, each phrase once. Nothing when no keyword can be asked for. */
void filter_track(const struct filter *f, struct buffer *track);

/* Appends the value of the v1.1 parameter `language`: every wanted language in all spellings that networks
 * use (id,in), comma separated. Nothing for all languages. */
void filter_languages(const struct filter *f, struct buffer *languages);

/* NULL does nothing. */
void filter_free(struct filter *f);

#endif
