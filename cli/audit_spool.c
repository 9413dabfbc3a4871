/* The frames of a spool beside the tables: all up to the position are there, none behind it is.
 *
 * Frames are read in order and looked up some at a time. A post behind the position may be in the tables
 * because the network had sent it before; so there a frame is only a difference when a batch that claims its
 * very number wrote the row.
 */
#include "base/arena.h"
#include "bridge/post.h"
#include "bridge/spool_look.h"
#include "cli/audit_parts.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    PARSE_MAXIMUM = 64 * 1024 * 1024, /* of one frame, as the job allows a post several times its size */
    NAMES_MAXIMUM = 16 * 1024 * 1024,
    NAMES_ENOUGH = 1024 * 1024 /* of the frames in hand: look them up now */
};

struct comparison {
    struct audit *audit;
    const char *spool;
    uint64_t position;
    struct audit_report *report;
    struct audit_spool_counts *counts;
    struct arena *parse, *names; /* of one frame; of the frames in hand */
    struct audit_frame frames[AUDIT_FRAMES_MAXIMUM];
    size_t count;
};

/* ---- judging ---- */

static void tell_missing(struct comparison *c, const struct audit_frame *f)
{
    switch (f->what) {
    case AUDIT_POST:
        audit_difference(c->report, "frame %" PRIu64 " of spool %s: the post %.*s/%.*s is not in roost.posts",
                         f->sequence, c->spool, VIEW_PRINT(f->network), VIEW_PRINT(f->id));
        return;
    case AUDIT_EVENT:
        audit_difference(
            c->report, "frame %" PRIu64 " of spool %s: the event %.*s of source %.*s is not in roost.events",
            f->sequence, c->spool, VIEW_PRINT(f->event), VIEW_PRINT(f->source));
        return;
    case AUDIT_UNREADABLE:
        audit_difference(c->report,
                         "frame %" PRIu64 " of spool %s cannot be read and is not in roost.rejects",
                         f->sequence, c->spool);
    }
}

/* Is it older than keep, so that it need not be there? A frame without a time is never. */
static bool is_expired(const struct audit_removed *removed, const struct audit_frame *f)
{
    switch (f->what) {
    case AUDIT_POST:
        return f->created_at < removed->posts_before;
    case AUDIT_EVENT:
        return f->received_at < removed->batches_before;
    case AUDIT_UNREADABLE:
        break;
    }
    return false;
}

static int judge(struct comparison *c, const struct audit_frame *f, struct err *e)
{
    bool there = f->rows > 0 || f->rejected || (f->what == AUDIT_EVENT && f->received_at == CLOCK_NONE);
    if (f->sequence > c->position) {
        if (f->here || f->rejected) {
            audit_difference(c->report,
                             "frame %" PRIu64 " of spool %s is behind the position %" PRIu64
                             ", but in the tables already",
                             f->sequence, c->spool, c->position);
        }
        return 0;
    }
    if (there || is_expired(&c->report->removed, f)) {
        return 0;
    }
    uint64_t explained;
    if (audit_explained(c->audit, c->spool, f->sequence, f->sequence, &explained, e)) {
        return -1;
    }
    if (explained == 0) {
        tell_missing(c, f);
    }
    return 0;
}

static int look_up_and_judge(struct comparison *c, struct err *e)
{
    int rc = audit_look_up(c->audit, c->spool, c->frames, c->count, e);
    for (size_t i = 0; rc == 0 && i < c->count; i++) {
        rc = judge(c, &c->frames[i], e);
    }
    c->count = 0;
    arena_reset(c->names);
    return rc;
}

/* ---- reading ---- */

/* The frame as the job would take it, with what it is looked up by. */
static int add_frame(struct comparison *c, const struct spool_frame *frame, struct err *e)
{
    struct post *post = arena_alloc(c->parse, sizeof *post);
    struct audit_frame *f = &c->frames[c->count];
    *f = (struct audit_frame){.sequence = frame->sequence, .what = AUDIT_UNREADABLE};
    struct err why;
    if (!post) {
        return err_set(e, ERR_RETRY, "out of memory");
    }
    if (post_read(frame->payload, c->parse, post, &why) == 0) {
        f->what = post->kind == POST_POST ? AUDIT_POST : AUDIT_EVENT;
        f->network = arena_view(c->names, post->network);
        f->id = arena_view(c->names, post->id);
        f->source = arena_view(c->names, post->source);
        f->event = view_of(post_kind_names[post->kind]);
        f->received_at = post->received_at;
        f->created_at = post->created_at;
    } else if (why.kind != ERR_REJECT) {
        *e = why;
        return err_wrap(e, "frame %" PRIu64, frame->sequence);
    }
    if (arena_failed(c->names)) {
        return err_set(e, ERR_RETRY, "out of memory");
    }
    c->count++;
    arena_reset(c->parse);
    return 0;
}

/* A frame of the spool, in order; some are looked up together. */
static int take_frame(void *user, const struct spool_frame *frame, struct err *e)
{
    struct comparison *c = user;
    if (add_frame(c, frame, e)) {
        return -1;
    }
    c->counts->compared += frame->sequence <= c->position;
    c->counts->beyond += frame->sequence > c->position;
    bool enough = c->count == AUDIT_FRAMES_MAXIMUM || arena_used(c->names) > NAMES_ENOUGH;
    return enough ? look_up_and_judge(c, e) : 0;
}

static int compare_frames(struct comparison *c, const char *folder, struct err *e)
{
    const struct spool_look_range all = {.from = 1, .to = UINT64_MAX, .frame = take_frame, .user = c};
    struct spool_look look;
    if (spool_look(folder, &all, &look, e) || (c->count && look_up_and_judge(c, e))) {
        return -1;
    }
    for (size_t i = 0; i < look.damage_count && i < SPOOL_LOOK_DAMAGE_MAXIMUM; i++) {
        c->counts->damaged += look.damage[i].bytes;
    }
    if (c->position > look.last) {
        audit_difference(c->report, "the position in spool %s is %" PRIu64 ", but the spool ends at %" PRIu64,
                         c->spool, c->position, look.last);
    }
    return 0;
}

int audit_compare_spool(struct audit *a, const char *folder, const char *identity, uint64_t position,
                        struct audit_report *r, struct audit_spool_counts *counts, struct err *e)
{
    *counts = (struct audit_spool_counts){0};
    struct comparison *c = calloc(1, sizeof *c);
    if (!c) {
        return err_set(e, ERR_RETRY, "out of memory");
    }
    c->audit = a;
    c->spool = identity;
    c->position = position;
    c->report = r;
    c->counts = counts;
    c->parse = arena_new(PARSE_MAXIMUM);
    c->names = arena_new(NAMES_MAXIMUM);
    int rc = c->parse && c->names ? compare_frames(c, folder, e) : err_set(e, ERR_RETRY, "out of memory");
    arena_free(c->parse);
    arena_free(c->names);
    free(c);
    return rc;
}
