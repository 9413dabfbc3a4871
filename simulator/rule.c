#include "simulator/rule.h"

#include "simulator/rule_nodes.h"

#include <math.h>
#include <stdlib.h>

/* ---- words in a row ---- */

static bool row_at(const uint64_t *words, const uint64_t *wanted, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (words[i] != wanted[i]) {
            return false;
        }
    }
    return true;
}

/* From place `at` on, the wanted words in their order, with at most `between` others among them. */
static bool near_at(const uint64_t *words, size_t left, const uint64_t *wanted, size_t count, int between)
{
    size_t found = 0;
    for (size_t i = 0; i < left && words[i] && i < count + (size_t)between; i++) {
        if (words[i] == wanted[found] && ++found == count) {
            return true;
        }
    }
    return false;
}

static bool words_match(const struct rule *rule, const struct rule_node *n, const struct rule_facts *facts)
{
    const uint64_t *words = facts->texts[n->text].words, *wanted = rule->words.items + n->first;
    size_t count = facts->texts[n->text].count;
    /* In the other order two words may be two less apart ("Operators": proximity). */
    uint64_t turned[2] = {n->count == 2 ? wanted[1] : 0, wanted[0]};
    for (size_t i = 0; i < count; i++) {
        if (words[i] == wanted[0]) {
            if (n->near < 0 ? i + n->count <= count && row_at(words + i, wanted, n->count)
                            : near_at(words + i, count - i, wanted, n->count, n->near)) {
                return true;
            }
        }
        if (n->near >= 2 && n->count == 2 && words[i] == turned[0] &&
            near_at(words + i, count - i, turned, 2, n->near - 2)) {
            return true;
        }
    }
    return false;
}

/* ---- places ---- */

/* A place lies in a box when all of it does. */
static bool in_box(const struct rule_node *n, const struct rule_facts *f)
{
    return f->placed && f->west >= n->west && f->east <= n->east && f->south >= n->south &&
           f->north <= n->north;
}

static double kilometres(double lon1, double lat1, double lon2, double lat2)
{
    const double degree = M_PI / 180, earth = 6371.0;
    double a = sin((lat2 - lat1) * degree / 2), b = sin((lon2 - lon1) * degree / 2);
    double h = a * a + cos(lat1 * degree) * cos(lat2 * degree) * b * b;
    return 2 * earth * asin(sqrt(h < 1 ? h : 1));
}

static bool in_circle(const struct rule_node *n, const struct rule_facts *f)
{
    return f->placed && kilometres(n->west, n->south, f->west, f->south) <= n->east &&
           kilometres(n->west, n->south, f->east, f->north) <= n->east &&
           kilometres(n->west, n->south, f->west, f->north) <= n->east &&
           kilometres(n->west, n->south, f->east, f->south) <= n->east;
}

/* ---- the tree ---- */

/* The depth of the recursion is that of the parentheses, which the parser limits. */
static bool node_matches(const struct rule *rule, const struct rule_node *n, const struct rule_facts *f)
{
    bool matched = false;
    switch (n->kind) {
    case RULE_AND:
    case RULE_OR:
        matched = n->kind == RULE_AND;
        for (uint32_t i = n->first; i; i = rule->nodes[i].next) {
            if (node_matches(rule, &rule->nodes[i], f) != matched) {
                return !matched;
            }
        }
        return matched;
    case RULE_FACT:
        matched = rule_facts_has(f, n->fact);
        break;
    case RULE_WORDS:
        matched = words_match(rule, n, f);
        break;
    case RULE_RANGE:
        matched = f->counts[n->fact] >= n->least && f->counts[n->fact] <= n->most;
        break;
    case RULE_BOX:
        matched = in_box(n, f);
        break;
    case RULE_CIRCLE:
        matched = in_circle(n, f);
        break;
    case RULE_CONTAINS:
        matched = memmem(f->urls.at, f->urls.length, n->part.at, n->part.length) != NULL;
        break;
    case RULE_NEVER:
        break;
    }
    return matched != n->negated;
}

bool rule_match(const struct rule *rule, const struct rule_facts *facts)
{
    return facts->percentile < rule->sample && node_matches(rule, &rule->nodes[0], facts);
}

static bool node_cover(const struct rule *rule, const struct rule_node *n, struct rule_words *cover);

/* Of the operands of an AND the one with the fewest facts will do. */
static bool and_cover(const struct rule *rule, const struct rule_node *n, struct rule_words *cover)
{
    size_t start = cover->count, best = SIZE_MAX;
    for (uint32_t i = n->first; i; i = rule->nodes[i].next) {
        size_t from = cover->count;
        if (!node_cover(rule, &rule->nodes[i], cover)) {
            continue;
        }
        size_t size = cover->count - from;
        if (size < best && size) {
            memmove(cover->items + start, cover->items + from, size * sizeof *cover->items);
        }
        best = size < best ? size : best;
        cover->count = start + best;
    }
    return best != SIZE_MAX;
}

static bool node_cover(const struct rule *rule, const struct rule_node *n, struct rule_words *cover)
{
    size_t start = cover->count;
    if (n->negated) {
        return false;
    }
    switch (n->kind) {
    case RULE_AND:
        return and_cover(rule, n, cover);
    case RULE_OR:
        for (uint32_t i = n->first; i; i = rule->nodes[i].next) {
            if (!node_cover(rule, &rule->nodes[i], cover)) {
                cover->count = start;
                return false;
            }
        }
        return true;
    case RULE_FACT:
        rule_words_add(cover, n->fact);
        return true;
    case RULE_WORDS:
        /* The longest part of a phrase is not known here; any of its words will do. */
        rule_words_add(
            cover, rule_facts_word((enum rule_text_kind)n->text, rule->words.items[n->first + n->count - 1]));
        return true;
    case RULE_NEVER:
        return true; /* no fact at all: it is never asked */
    case RULE_RANGE:
    case RULE_BOX:
    case RULE_CIRCLE:
    case RULE_CONTAINS:
        break;
    }
    return false;
}

bool rule_cover(const struct rule *rule, struct rule_words *cover)
{
    return node_cover(rule, &rule->nodes[0], cover) && !cover->failed;
}

void rule_free(struct rule *rule)
{
    if (rule) {
        free(rule->text);
        free(rule->nodes);
        rule_words_free(&rule->words);
        free(rule);
    }
}
