/* ingest/rule_syntax.h - what makes a text a rule of the X v2 filtered stream (API document, section 5.4).
 *
 * Checked is the form that the document promises: brackets and quotes that close, OR between two things, no
 * negated group, no keyword with bare punctuation, at least one thing that may stand alone. Which operators
 * the network knows is its own business: a name before a colon is never refused here.
 */
#ifndef ROOST_INGEST_RULE_SYNTAX_H
#define ROOST_INGEST_RULE_SYNTAX_H

#include "base/err.h"
#include "base/view.h"

enum { RULE_SYNTAX_DEPTH = 50 /* brackets in brackets, at most */ };

/* 0, or -1 (ERR_FATAL): what is wrong, at which byte (from 1), and what would be right. Never needs more
 * stack than RULE_SYNTAX_DEPTH allows. */
int rule_syntax_check(struct view rule, struct err *e);

/* Calls each(user, text) for every alternative of a rule as roost packs them: `(A OR B) lang:en -c` gives A
 * and B. Of any other text it gives one or more pieces, the same for the same text. */
void rule_syntax_alternatives(struct view rule, void (*each)(void *user, struct view text), void *user);

#endif
