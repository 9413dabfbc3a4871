#include "ingest/rules_change.h"

#include "ingest/rule_syntax.h"

#include <stdlib.h>

enum { GAP_MOST = 50 /* rules that are removed at once where there is no room at all */ };

/* An alternative and the rule it stands in. */
struct piece {
    struct view text;
    uint32_t rule;
};

struct pieces {
    struct piece *items;
    size_t count, room;
    uint32_t rule;
    bool counting;
};

/* A value on the server, for looking up. */
struct holding {
    struct view value;
    uint32_t held;
    bool ours, used;
};

struct planner {
    const struct rules *rules;
    const struct rules_held *held;
    size_t held_count;
    struct arena *arena;
    struct rules_change *change;

    uint32_t *add, *remove;   /* what is to be done, in no special order */
    uint32_t *waits;          /* per removal: its pieces that an addition has still to ask for */
    struct rules_pair *links; /* addition -> removal, sorted by addition */
    size_t link_count;
};

static int compare_holdings(const void *a, const void *b)
{
    const struct holding *x = a, *y = b;
    int order = view_compare(x->value, y->value);
    if (order == 0) {
        order = (int)y->ours - (int)x->ours; /* ours first */
    }
    return order ? order : (x->held > y->held) - (x->held < y->held);
}

static int compare_pieces(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    int order = view_compare(x->text, y->text);
    return order ? order : (x->rule > y->rule) - (x->rule < y->rule);
}

static int compare_links(const void *a, const void *b)
{
    const struct rules_pair *x = a, *y = b;
    int order = (x->wanted > y->wanted) - (x->wanted < y->wanted);
    return order ? order : (x->held > y->held) - (x->held < y->held);
}

/* The first holding with this value; NULL: none. */
static struct holding *find_holding(struct holding *all, size_t count, struct view value)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (view_compare(all[middle].value, value) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < count && view_equal(all[low].value, value) ? &all[low] : NULL;
}

static struct holding *sort_holdings(struct planner *p)
{
    char prefix[RULES_TAG_SIZE];
    struct view ours = view_of(rules_tag_prefix(p->rules->source, prefix));
    struct holding *all = arena_zeroed(p->arena, p->held_count + 1, sizeof *all);
    for (uint32_t i = 0; all && i < p->held_count; i++) {
        all[i] = (struct holding){p->held[i].value, i, view_starts(p->held[i].tag, ours), false};
        p->change->others += !all[i].ours;
    }
    if (all) {
        qsort(all, p->held_count, sizeof *all, compare_holdings);
    }
    return all;
}

/* What stays, what is another program's, what is to be added and removed. */
static int compare(struct planner *p)
{
    struct rules_change *change = p->change;
    size_t wanted = p->rules->count;
    struct holding *all = sort_holdings(p);
    struct rules_pair *keep = arena_zeroed(p->arena, wanted + 1, sizeof *keep);
    struct rules_pair *foreign = arena_zeroed(p->arena, wanted + 1, sizeof *foreign);
    p->add = arena_zeroed(p->arena, wanted + 1, sizeof *p->add);
    p->remove = arena_zeroed(p->arena, p->held_count + 1, sizeof *p->remove);
    if (!all || !keep || !foreign || !p->add || !p->remove) {
        return -1;
    }
    for (uint32_t i = 0; i < wanted; i++) {
        struct holding *h = find_holding(all, p->held_count, p->rules->items[i].value);
        if (h) {
            struct rules_pair pair = {i, h->held};
            h->used = true;
            if (h->ours) {
                keep[change->keep_count++] = pair;
            } else {
                foreign[change->foreign_count++] = pair;
            }
        } else {
            p->add[change->add_count++] = i;
        }
    }
    for (size_t i = 0; i < p->held_count; i++) {
        if (all[i].ours && !all[i].used) {
            p->remove[change->remove_count++] = all[i].held;
        }
    }
    change->keep = keep;
    change->foreign = foreign;
    return 0;
}

/* --- which additions a removal waits for --- */

static void take_piece(void *user, struct view text)
{
    struct pieces *pieces = user;
    if (pieces->counting) {
        pieces->room++;
    } else if (pieces->count < pieces->room) {
        pieces->items[pieces->count++] = (struct piece){text, pieces->rule};
    }
}

/* The alternatives of all additions, sorted. */
static int collect_additions(struct planner *p, struct pieces *pieces)
{
    for (int pass = 0; pass < 2; pass++) {
        pieces->counting = pass == 0;
        for (uint32_t i = 0; i < p->change->add_count; i++) {
            pieces->rule = i;
            rule_syntax_alternatives(p->rules->items[p->add[i]].value, take_piece, pieces);
        }
        if (pass == 0) {
            pieces->items = arena_zeroed(p->arena, pieces->room + 1, sizeof *pieces->items);
            if (!pieces->items) {
                return -1;
            }
        }
    }
    qsort(pieces->items, pieces->count, sizeof *pieces->items, compare_pieces);
    return 0;
}

struct linking {
    struct planner *planner;
    const struct pieces *added;
    uint32_t removal;
    size_t room;
};

static void link_piece(void *user, struct view text)
{
    struct linking *l = user;
    size_t low = 0, high = l->added->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (view_compare(l->added->items[middle].text, text) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == l->added->count || !view_equal(l->added->items[low].text, text)) {
        return; /* wanted no more, or asked for by a rule that stays */
    }
    if (l->planner->links) {
        l->planner->links[l->planner->link_count++] =
            (struct rules_pair){l->added->items[low].rule, l->removal};
        l->planner->waits[l->removal]++;
    } else {
        l->room++;
    }
}

static int find_links(struct planner *p)
{
    struct pieces added = {0};
    struct linking l = {.planner = p, .added = &added};
    p->waits = arena_zeroed(p->arena, p->change->remove_count + 1, sizeof *p->waits);
    if (!p->waits || collect_additions(p, &added)) {
        return -1;
    }
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < p->change->remove_count; i++) {
            l.removal = i;
            rule_syntax_alternatives(p->held[p->remove[i]].value, link_piece, &l);
        }
        if (pass == 0) {
            p->links = arena_zeroed(p->arena, l.room + 1, sizeof *p->links);
            if (!p->links) {
                return -1;
            }
        }
    }
    qsort(p->links, p->link_count, sizeof *p->links, compare_links);
    return 0;
}

/* --- steps --- */

struct stepping {
    uint32_t *add, *remove; /* as they will be done */
    size_t added, removed, link;
    uint32_t *ready; /* removals that wait for nothing more */
    size_t ready_count, ready_done;
    bool *gone; /* per removal */
    uint32_t next;
    struct rules_step *steps;
};

static void add_one(struct planner *p, struct stepping *s)
{
    uint32_t i = (uint32_t)s->added++;
    s->add[i] = p->add[i];
    while (s->link < p->link_count && p->links[s->link].wanted == i) {
        uint32_t removal = p->links[s->link++].held;
        if (--p->waits[removal] == 0) {
            s->ready[s->ready_count++] = removal;
        }
    }
}

static void remove_one(struct planner *p, struct stepping *s, uint32_t removal)
{
    s->gone[removal] = true;
    s->remove[s->removed++] = p->remove[removal];
}

/* Removes what is ready; returns how many. */
static uint32_t remove_ready(struct planner *p, struct stepping *s)
{
    uint32_t count = 0;
    for (; s->ready_done < s->ready_count; s->ready_done++) {
        uint32_t removal = s->ready[s->ready_done];
        if (!s->gone[removal]) {
            remove_one(p, s, removal);
            count++;
        }
    }
    return count;
}

/* Without any room: some old rules go before the new ones that take their place. */
static uint32_t remove_unready(struct planner *p, struct stepping *s, size_t most)
{
    uint32_t count = 0;
    for (; s->next < p->change->remove_count && count < most && count < GAP_MOST; s->next++) {
        if (!s->gone[s->next]) {
            remove_one(p, s, s->next);
            count++;
        }
    }
    return count;
}

/* `room`: how many rules more the account may have; below 0 when it has too many already. */
static struct rules_step next_step(struct planner *p, struct stepping *s, int64_t *room)
{
    struct rules_change *change = p->change;
    struct rules_step step = {0};
    int64_t left = (int64_t)(change->add_count - s->added);
    int64_t free_now = *room;
    if (free_now <= 0 && left && s->ready_done == s->ready_count) {
        step.gap = true;
        step.remove = remove_unready(p, s, (size_t)(left - free_now));
        change->gaps += step.remove;
        free_now += step.remove;
    }
    step.add = (uint32_t)(free_now <= 0 ? 0 : left < free_now ? left : free_now);
    for (uint32_t i = 0; i < step.add; i++) {
        add_one(p, s);
    }
    if (!step.gap) {
        step.remove = remove_ready(p, s);
    }
    *room += (int64_t)step.remove - (int64_t)step.add;
    return step;
}

static int make_steps(struct planner *p, int64_t room)
{
    struct rules_change *change = p->change;
    size_t adds = change->add_count, removals = change->remove_count;
    struct stepping s = {.add = arena_zeroed(p->arena, adds + 1, sizeof *s.add),
                         .remove = arena_zeroed(p->arena, removals + 1, sizeof *s.remove),
                         .ready = arena_zeroed(p->arena, removals + 1, sizeof *s.ready),
                         .gone = arena_zeroed(p->arena, removals + 1, sizeof *s.gone),
                         /* Each step but the last adds or removes something. */
                         .steps = arena_zeroed(p->arena, adds + removals + 1, sizeof *s.steps)};
    if (!s.add || !s.remove || !s.ready || !s.gone || !s.steps) {
        return -1;
    }
    for (uint32_t i = 0; i < removals; i++) {
        if (p->waits[i] == 0) {
            s.ready[s.ready_count++] = i;
        }
    }
    while (s.added < adds || s.removed < removals) {
        s.steps[change->step_count++] = next_step(p, &s, &room);
    }
    change->add = s.add;
    change->remove = s.remove;
    change->steps = s.steps;
    return 0;
}

static int no_room(const struct planner *p, struct err *e)
{
    return err_set(
        e, ERR_FATAL,
        "[source %s] wants %zu rules, and the account has %zu of other programs: together they are more "
        "than rules_maximum = %lld. Leave keywords out, delete rules of the others, or raise rules_maximum "
        "if "
        "the account has more",
        p->rules->source, p->rules->count, p->change->others, (long long)p->rules->limits.rules_maximum);
}

int rules_change_find(const struct rules *rules, const struct rules_held *held, size_t held_count,
                      struct arena *a, struct rules_change *change, struct err *e)
{
    struct planner p = {.rules = rules, .held = held, .held_count = held_count, .arena = a, .change = change};
    size_t most = (size_t)rules->limits.rules_maximum;
    *change = (struct rules_change){0};
    if (held_count >= UINT32_MAX || compare(&p)) {
        return err_set(e, ERR_RETRY, "no memory to compare %zu rules with the server's %zu", rules->count,
                       held_count);
    }
    if (change->add_count && held_count - change->remove_count + change->add_count > most) {
        return no_room(&p, e);
    }
    if (find_links(&p) || make_steps(&p, (int64_t)most - (int64_t)held_count)) {
        return err_set(e, ERR_RETRY, "no memory to compare %zu rules with the server's %zu", rules->count,
                       held_count);
    }
    return 0;
}
