#include "ingest/rules_blame.h"

#include "base/number.h"
#include "base/utf8.h"

#include <stdlib.h>

const struct rule *rules_with_value(const struct rules *rules, struct view value)
{
    for (size_t i = 0; i < rules->count; i++) {
        if (view_equal(rules->items[i].value, value)) {
            return &rules->items[i];
        }
    }
    return NULL;
}

/* The N of "position N"; 0: there is none. */
static int64_t position_in(struct view detail)
{
    static const struct view word = {"position ", sizeof "position " - 1};
    const char *found = detail.length ? memmem(detail.at, detail.length, word.at, word.length) : NULL;
    if (!found) {
        return 0;
    }
    struct view digits = view_from(detail, (size_t)(found - detail.at) + word.length);
    size_t length = 0;
    int64_t position = 0;
    while (length < digits.length && digits.at[length] >= '0' && digits.at[length] <= '9') {
        length++;
    }
    return number_parse(view_make(digits.at, length), 1, INT32_MAX, &position) ? 0 : position;
}

/* Where `text` stands in the rule as an alternative of its own: its first byte; the rule's length: nowhere.
 */
static size_t place_in(struct view rule, struct view text)
{
    for (size_t at = 0; at + text.length <= rule.length;) {
        const char *found = memmem(rule.at + at, rule.length - at, text.at, text.length);
        if (!found) {
            break;
        }
        size_t start = (size_t)(found - rule.at), end = start + text.length;
        bool begins = start == 0 || rule.at[start - 1] == '(' || rule.at[start - 1] == ' ';
        if (begins && (end == rule.length || rule.at[end] == ')' || rule.at[end] == ' ')) {
            return start;
        }
        at = start + 1;
    }
    return rule.length;
}

size_t rules_blame(const struct rules *rules, const struct rule *rule, struct view detail,
                   void (*each)(void *user, uint32_t line), void *user)
{
    int64_t position = position_in(detail);
    size_t byte = position ? utf8_offset(rule->value, (size_t)position - 1) : rule->value.length, count = 0;
    for (size_t i = 0; position && i < rule->line_count; i++) {
        struct view text = rules->alternatives[rule->lines[i]];
        size_t start = place_in(rule->value, text);
        if (start < rule->value.length && byte >= start && byte < start + text.length) {
            each(user, rule->lines[i]);
            count++;
        }
    }
    for (size_t i = 0; !count && i < rule->line_count; i++) {
        each(user, rule->lines[i]);
    }
    return count ? count : rule->line_count;
}
