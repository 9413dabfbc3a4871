#include "config/suggest.h"

#include <stdint.h>

enum { LONGEST = 64 };

struct suggest suggest_for(struct view word)
{
    return (struct suggest){.word = word, .distance = SIZE_MAX};
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: Levenshtein's distance, and two neighbours swapped count as one step. */
static size_t edit_distance(struct view a, struct view b)
{
    size_t rows[3][LONGEST + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.length; j++) {
        above[j] = j;
        before[j] = 0;
    }
    for (size_t i = 1; i <= a.length; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b.length; j++) {
            char p = lower(a.at[i - 1]), q = lower(b.at[j - 1]);
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (p != q));
            if (i > 1 && j > 1 && p == lower(b.at[j - 2]) && lower(a.at[i - 2]) == q) {
                row[j] = least(row[j], before[j - 2] + 1);
            }
        }
        size_t *free_row = before;
        before = above;
        above = row;
        row = free_row;
    }
    return above[b.length];
}

void suggest_offer(struct suggest *s, const char *name)
{
    struct view offered = view_of(name);
    if (!s->word.length || s->word.length > LONGEST || !offered.length || offered.length > LONGEST) {
        return;
    }
    size_t distance = edit_distance(s->word, offered);
    size_t enough = offered.length < 6 ? 1 : offered.length / 3;
    if (distance <= enough && distance < s->distance) {
        s->distance = distance;
        s->best = name;
    }
}
