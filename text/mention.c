#include "text/mention.h"

enum { NAME_MOST = 20 /* in twitter-text's rule; X gives names of at most 15 */ };

/* "rt@name": the retweet mark may stand right before the sign, unless a longer word ends with it. */
static bool retweet_mark_before(struct view text, size_t at)
{
    if (at < 2 || (text.at[at - 1] | 0x20) != 't' || (text.at[at - 2] | 0x20) != 'r') {
        return false;
    }
    uint32_t before = point_before(text, at - 2);
    return before == POINT_NONE || before >= 0x80 || (!is_name_point(before) && !strchr("+~.-", (int)before));
}

size_t mention_end(struct view text, size_t start, size_t name)
{
    uint32_t before = point_before(text, start);
    bool barred = is_name_point(before) || is_at_sign(before) ||
                  (before > 0 && before < 0x80 && strchr("!#$%&*", (int)before));
    if (before != POINT_NONE && barred && !retweet_mark_before(text, start)) {
        return 0;
    }
    size_t end = name;
    while (end < text.length && end - name < NAME_MOST && is_name_point((unsigned char)text.at[end])) {
        end++;
    }
    uint32_t next = point_at(text, end);
    bool ended =
        !is_at_sign(next) && !is_accented_latin(next) && !view_starts(view_from(text, end), VIEW("://"));
    return end > name && ended ? end : 0;
}
