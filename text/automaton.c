#include "text/automaton.h"

struct node {
    uint32_t first_child, next_sibling; /* 0: none, since the root is nobody's child */
    uint32_t fail;                      /* the longest proper suffix that is a node */
    uint32_t output;                    /* the nearest node on the fail path where a string ends; 0: none */
    uint32_t string;                    /* that ends here, or AUTOMATON_NONE */
    unsigned char byte;
};

struct edge {
    uint32_t from, to; /* to 0: the place is empty */
    unsigned char byte;
};

struct automaton {
    struct node *nodes;
    size_t node_count;
    struct edge *edges; /* open addressing; of all nodes but the root */
    size_t edge_mask;
    size_t *lengths;
    size_t string_count;
    uint32_t roots[256];
};

struct automaton *automaton_new(size_t bytes, size_t count, struct arena *a)
{
    struct automaton *m = bytes < UINT32_C(1) << 30 ? arena_zeroed(a, 1, sizeof *m) : NULL;
    if (!m) {
        return NULL;
    }
    size_t size = 16;
    while (size < 2 * bytes) {
        size *= 2;
    }
    m->nodes = arena_zeroed(a, bytes + 1, sizeof *m->nodes);
    m->edges = arena_zeroed(a, size, sizeof *m->edges);
    m->lengths = arena_zeroed(a, count, sizeof *m->lengths);
    if (arena_failed(a)) {
        return NULL;
    }
    m->edge_mask = size - 1;
    m->nodes[0].string = AUTOMATON_NONE;
    m->node_count = 1;
    return m;
}

/* The place of an edge: its own, or the empty one where it would go. */
static struct edge *edge_place(const struct automaton *m, uint32_t from, unsigned char byte)
{
    uint64_t key = ((uint64_t)from << 8 | byte) * UINT64_C(0x9E3779B97F4A7C15); /* Fibonacci hashing */
    size_t place = (size_t)(key >> 32) & m->edge_mask;
    while (m->edges[place].to && (m->edges[place].from != from || m->edges[place].byte != byte)) {
        place = (place + 1) & m->edge_mask;
    }
    return &m->edges[place];
}

static uint32_t child(const struct automaton *m, uint32_t node, unsigned char byte)
{
    return node ? edge_place(m, node, byte)->to : m->roots[byte];
}

static uint32_t add_child(struct automaton *m, uint32_t node, unsigned char byte)
{
    uint32_t added = (uint32_t)m->node_count++;
    m->nodes[added] =
        (struct node){.next_sibling = m->nodes[node].first_child, .string = AUTOMATON_NONE, .byte = byte};
    m->nodes[node].first_child = added;
    if (node) {
        *edge_place(m, node, byte) = (struct edge){node, added, byte};
    } else {
        m->roots[byte] = added;
    }
    return added;
}

uint32_t automaton_add(struct automaton *m, struct view string)
{
    uint32_t node = 0;
    for (size_t i = 0; i < string.length; i++) {
        unsigned char byte = (unsigned char)string.at[i];
        uint32_t next = child(m, node, byte);
        node = next ? next : add_child(m, node, byte);
    }
    if (m->nodes[node].string == AUTOMATON_NONE) {
        m->nodes[node].string = (uint32_t)m->string_count;
        m->lengths[m->string_count++] = string.length;
    }
    return m->nodes[node].string;
}

uint32_t automaton_step(const struct automaton *m, uint32_t state, unsigned char byte)
{
    for (;;) {
        uint32_t next = child(m, state, byte);
        if (next || !state) {
            return next;
        }
        state = m->nodes[state].fail;
    }
}

int automaton_finish(struct automaton *m, struct arena *a)
{
    uint32_t *queue = arena_zeroed(a, m->node_count, sizeof *queue);
    if (!queue) {
        return -1;
    }
    size_t filled = 1; /* the root */
    for (size_t taken = 0; taken < filled; taken++) {
        uint32_t parent = queue[taken];
        for (uint32_t n = m->nodes[parent].first_child; n; n = m->nodes[n].next_sibling) {
            struct node *node = &m->nodes[n];
            node->fail = parent ? automaton_step(m, m->nodes[parent].fail, node->byte) : 0;
            const struct node *fail = &m->nodes[node->fail];
            node->output = fail->string != AUTOMATON_NONE ? node->fail : fail->output;
            queue[filled++] = n;
        }
    }
    return 0;
}

size_t automaton_count(const struct automaton *m)
{
    return m->string_count;
}

size_t automaton_length(const struct automaton *m, uint32_t string)
{
    return m->lengths[string];
}

uint32_t automaton_longest(const struct automaton *m, uint32_t state, uint32_t *place)
{
    const struct node *node = &m->nodes[state];
    *place = state;
    return node->string != AUTOMATON_NONE ? node->string : automaton_shorter(m, place);
}

uint32_t automaton_shorter(const struct automaton *m, uint32_t *place)
{
    *place = m->nodes[*place].output;
    return *place ? m->nodes[*place].string : AUTOMATON_NONE;
}
