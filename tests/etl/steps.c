/* tests/etl/steps.c - what split, lowercase, clean and enrich make of frames. */
#include "etl/steps.h"
#include "base/clock.h"
#include "etl/load_build.h"
#include "etl/sources.h"
#include "text/worker.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void *scratch_new(void *user, struct err *e)
{
    (void)user;
    return text_worker_new(e);
}

static void scratch_free(void *scratch)
{
    text_worker_free(scratch);
}

/* Gives one frame's payload to the whole chain, and the item that comes out to `check`. */
static void through_all_steps(struct view payload, stream_output_function *check)
{
    struct err e;
    struct stream_queue *queue;
    struct stream_clock *clock = stream_clock_manual(0);
    struct stream_engine *engine = stream_engine_new(
        &(struct stream_engine_settings){
            .workers = 1, .scratch_new = scratch_new, .scratch_free = scratch_free},
        &e);
    struct stream_context *context =
        stream_context_new(engine, &(struct stream_settings){.batch_interval_ms = 1000, .clock = clock}, &e);
    struct dstream *frames = stream_queue_new(
        context, &(struct stream_queue_settings){.one_at_a_time = true, .partitions = 1, .has_default = true},
        &queue, &e);
    struct dstream *posts = stream_flat_map(frames, step_split, NULL, &e);
    struct dstream *lowercased = stream_map(posts, step_lowercase, NULL, &e);
    struct dstream *cleaned = stream_map(lowercased, step_clean, NULL, &e);
    cr_assert_eq(stream_foreach_batch(stream_map(cleaned, step_enrich, NULL, &e), check, NULL, &e), 0);
    /* A frame record is its number followed by its payload. */
    const uint64_t sequence = 7;
    char *bytes = malloc(sizeof sequence + payload.length);
    memcpy(bytes, &sequence, sizeof sequence);
    memcpy(bytes + sizeof sequence, payload.at, payload.length);
    const struct record record = {bytes, sizeof sequence + payload.length};
    cr_assert_eq(stream_queue_push(queue, &record, 1, &e), 0);
    free(bytes);
    cr_assert_eq(stream_start(context, &e), 0);
    stream_clock_advance(clock, 1000);
    cr_assert_eq(stream_await_batch(context, 1000, 20000), 1);
    cr_assert_eq(stream_await_termination(context, 0, &e), 0, "%s", e.text);
    stream_context_free(context);
    stream_engine_free(engine);
    stream_clock_free(clock);
}

static const struct item *the_item(const struct batch *batch)
{
    size_t count;
    const struct record *records = batch_partition(batch, 0, &count);
    cr_assert_eq(count, 1);
    const struct item *item = records[0].data;
    cr_assert_eq(item->sequence, 7);
    return item;
}

static void expect_list(struct view_list list, const char *first, size_t count)
{
    cr_expect_eq(list.count, count);
    cr_expect(count == 0 || view_is(list.items[0], first), "%.*s", VIEW_PRINT(list.items[0]));
}

static struct buffer post_json(const struct post *post)
{
    struct buffer b = BUFFER(1 << 20);
    post_write(&b, post);
    cr_assert_not(buffer_failed(&b));
    return b;
}

static struct post a_post(struct view text)
{
    struct post post;
    post_init(&post);
    post.network = VIEW("x");
    post.id = VIEW("1");
    post.source = VIEW("test");
    post.created_at = post.received_at = clock_from_date(2020, 1, 1, 0, 0, 0, 0);
    post.text = text;
    return post;
}

static int check_extracted(const struct batch *batch, void *user, struct err *e)
{
    (void)user;
    (void)e;
    const struct post *post = the_item(batch)->post;
    cr_assert_not_null(post);
    cr_expect(view_is(post->text, "RT @Ann: ÉTÉ #Sun @Bob $TSLA https://example.com/A b"),
              "the text itself stays");
    cr_expect(view_is(post->clean_text, "été #sun $tsla b"), "%.*s", VIEW_PRINT(post->clean_text));
    expect_list(post->hashtags, "sun", 1);
    expect_list(post->mentions, "ann", 2);
    expect_list(post->cashtags, "tsla", 1);
    expect_list(post->urls, "https://example.com/A", 1);
    cr_expect_eq(post->word_count, 4);
    return 0;
}

Test(steps, a_post_without_entities_gets_those_of_its_text)
{
    struct post post = a_post(view_of("RT @Ann: ÉTÉ #Sun @Bob $TSLA https://example.com/A b"));
    struct buffer json = post_json(&post);
    through_all_steps(buffer_view(&json), check_extracted);
    buffer_free(&json);
}

static int check_kept(const struct batch *batch, void *user, struct err *e)
{
    (void)user;
    (void)e;
    const struct post *post = the_item(batch)->post;
    expect_list(post->hashtags, "named", 1);
    expect_list(post->mentions, NULL, 0);
    return 0;
}

Test(steps, what_the_network_named_is_kept_and_nothing_is_added)
{
    const struct view tag = VIEW("Named");
    struct post post = a_post(VIEW("#other @bob"));
    post.hashtags = (struct view_list){&tag, 1};
    struct buffer json = post_json(&post);
    through_all_steps(buffer_view(&json), check_kept);
    buffer_free(&json);
}

static int check_reject(const struct batch *batch, void *user, struct err *e)
{
    (void)user;
    const struct item *item = the_item(batch);
    cr_expect_null(item->post);
    cr_expect(item->why && item->why[0]);
    cr_expect(view_is(item->frame, "{\"v\":1,"));
    struct arena *a = arena_new(1 << 20);
    struct load load;
    cr_assert_eq(load_build(batch, "etl", a, &load, e), 0);
    cr_assert_eq(load.part_count, 1);
    cr_expect_eq(load.parts[0].reject_count, 1);
    cr_expect_eq(load.parts[0].received, 1);
    cr_expect_eq(load.parts[0].first_sequence, 7);
    cr_expect_eq(load.parts[0].last_sequence, 7);
    arena_free(a);
    return 0;
}

Test(steps, a_frame_that_is_no_post_becomes_a_reject_with_its_bytes_and_a_reason)
{
    through_all_steps(VIEW("{\"v\":1,"), check_reject);
}

static int check_count(const struct batch *batch, void *user, struct err *e)
{
    (void)user;
    struct arena *a = arena_new(1 << 20);
    struct load load;
    cr_assert_eq(load_build(batch, "etl", a, &load, e), 0);
    cr_expect_eq(load.parts[0].event_count, 1);
    cr_expect_eq(load.parts[0].filtered, 12);
    cr_expect_eq(load.parts[0].received, 13, "received = loaded + duplicate + filtered + rejected + events");
    arena_free(a);
    return 0;
}

Test(steps, the_filtered_figure_of_a_count_event_is_part_of_what_was_received)
{
    struct post post;
    post_init(&post);
    post.kind = POST_COUNT;
    post.network = VIEW("x");
    post.source = VIEW("test");
    post.received_at = 1;
    post.body = VIEW("{\"received\":20,\"kept\":8,\"filtered\":12,\"unreadable\":0}");
    struct buffer json = post_json(&post);
    through_all_steps(buffer_view(&json), check_count);
    buffer_free(&json);
}
