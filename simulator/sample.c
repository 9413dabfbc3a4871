#include "simulator/sample.h"

#include "base/clock.h"
#include "simulator/fresh.h"
#include "simulator/sample_json.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAST = 64, MEAN_STEP_MS = 500 };

/* A tweet that later ones may retweet, quote, answer or delete. */
struct past {
    uint64_t id;
    unsigned user, language, topic;
    struct sample_text text;
    struct buffer json; /* as it stands inside another tweet */
    uint64_t quoted_id;
    bool filled, deleted;
};

struct sample {
    struct sample_maker maker;
    struct past past[PAST];
    size_t next_past;
    int64_t ms;
    uint64_t limit_total;
    struct sample_text text; /* of the tweet in hand */
    struct buffer *into;
};

struct view_list sample_topics(void)
{
    return (struct view_list){SAMPLE_TOPIC, SAMPLE_TOPICS};
}

/* ---- users ---- */

static unsigned pick_language(struct sample_maker *m)
{
    unsigned sum = 0, at = 0;
    for (size_t i = 0; i < SAMPLE_LANGUAGES; i++) {
        sum += SAMPLE_LANGUAGE[i].weight;
    }
    unsigned place = (unsigned)sample_pick(m, sum);
    while (place >= SAMPLE_LANGUAGE[at].weight) {
        place -= SAMPLE_LANGUAGE[at++].weight;
    }
    return at;
}

static void make_users(struct sample_maker *m, int64_t start_ms)
{
    for (unsigned i = 0; i < SAMPLE_USERS; i++) {
        struct sample_user *u = &m->users[i];
        /* The first ones cover all languages, so that each has somebody who speaks it. */
        u->language = i < SAMPLE_LANGUAGES * 2 ? i % SAMPLE_LANGUAGES : pick_language(m);
        u->id = 1000000 + (uint64_t)i * 7919 + (sample_chance(m, 40) ? UINT64_C(1200000000000000000) : 0);
        u->name = SAMPLE_LANGUAGE[u->language].names[sample_pick(m, SAMPLE_NAMES)];
        snprintf(u->handle, sizeof u->handle, "%s%u",
                 SAMPLE_HANDLES.items[sample_pick(m, SAMPLE_HANDLES.count)].at, 1000 + i);
        u->followers = (uint32_t)(sample_pick(m, 300) * sample_pick(m, 300));
        u->friends = (uint32_t)sample_pick(m, 5000);
        u->listed = u->followers / 97;
        u->favourites = (uint32_t)sample_pick(m, 90000);
        u->statuses = (uint32_t)sample_pick(m, 200000);
        u->created_ms =
            start_ms - (int64_t)(30 + sample_pick(m, 4000)) * 86400000 - (int64_t)sample_pick(m, 86400000);
        u->verified = sample_chance(m, 6);
        u->place = sample_chance(m, 50) ? (unsigned)sample_pick(m, SAMPLE_PLACE_COUNT)
                                        : (unsigned)SAMPLE_PLACE_COUNT;
    }
}

static unsigned pick_user(struct sample_maker *m, unsigned language)
{
    unsigned at = (unsigned)sample_pick(m, SAMPLE_USERS);
    while (m->users[at].language != language) {
        at = (at + 1) % SAMPLE_USERS;
    }
    return at;
}

/* The first topics are talked about more. */
static unsigned pick_topic(struct sample_maker *m)
{
    unsigned a = (unsigned)sample_pick(m, SAMPLE_TOPICS), b = (unsigned)sample_pick(m, SAMPLE_TOPICS);
    return a < b ? a : b;
}

/* ---- texts ---- */

static const char *pick_sentence(struct sample_maker *m, unsigned language)
{
    size_t count = 0;
    while (count < SAMPLE_SENTENCES && SAMPLE_LANGUAGE[language].sentences[count]) {
        count++;
    }
    return SAMPLE_LANGUAGE[language].sentences[sample_pick(m, count)];
}

/* Hashtags behind the text: one of the topic's English ones mostly, so that a filter finds texts of all
 * languages. */
static void add_tags(struct sample *s, unsigned language, unsigned topic)
{
    struct sample_maker *m = &s->maker;
    if (sample_chance(m, 65)) {
        sample_text_add(&s->text, VIEW(" "));
        sample_text_add_hashtag(&s->text, SAMPLE_TOPIC[topic].at);
    }
    if (sample_chance(m, 25)) {
        sample_text_add(&s->text, VIEW(" "));
        sample_text_add_hashtag(&s->text, SAMPLE_LANGUAGE[language].tags[topic]);
    }
}

static void make_text(struct sample *s, unsigned language, unsigned topic)
{
    struct sample_maker *m = &s->maker;
    bool odd = sample_chance(m, 4), is_long = !odd && sample_chance(m, 14);
    if (odd) {
        sample_text_add_sentence(&s->text, m, language, topic,
                                 SAMPLE_ODDITIES.items[sample_pick(m, SAMPLE_ODDITIES.count)].at);
    } else {
        sample_text_add_sentence(&s->text, m, language, topic, pick_sentence(m, language));
    }
    while (is_long && s->text.points < 160) {
        sample_text_add(&s->text, sample_chance(m, 20) ? VIEW("\n\n") : VIEW(" "));
        sample_text_add_sentence(&s->text, m, language, topic, pick_sentence(m, language));
    }
    if (sample_chance(m, 10)) {
        sample_text_add(&s->text, VIEW(" & <3 "));
        sample_text_add_sentence(&s->text, m, language, topic, "{e}");
    }
    if (sample_chance(m, 4)) {
        sample_text_add_sentence(&s->text, m, language, topic, " {$}");
    }
    add_tags(s, language, topic);
    if (sample_chance(m, 15)) {
        sample_text_add(&s->text, VIEW(" "));
        sample_text_add_link(&s->text, m, topic);
    }
}

/* ---- tweets ---- */

static uint64_t next_id(struct sample *s)
{
    s->ms += 1 + (int64_t)sample_pick(&s->maker, 2 * MEAN_STEP_MS);
    return fresh_first_id(s->ms) | (300 + sample_pick(&s->maker, 80)) << 12 | sample_pick(&s->maker, 4);
}

static struct past *pick_past(struct sample *s)
{
    size_t from = (size_t)sample_pick(&s->maker, PAST);
    for (size_t i = 0; i < PAST; i++) {
        size_t at = (from + i) % PAST;
        struct past *p = &s->past[at];
        /* Not the oldest: the tweet in hand will take its place while it is still read. */
        if (at != s->next_past % PAST && p->filled && !p->deleted) {
            return p;
        }
    }
    return NULL;
}

static struct sample_tweet begin_tweet(struct sample *s, unsigned language)
{
    struct sample_maker *m = &s->maker;
    sample_text_start(&s->text);
    bool placed = sample_chance(m, 8);
    return (struct sample_tweet){.id = next_id(s),
                                 .ms = s->ms,
                                 .language = language,
                                 .user = pick_user(m, language),
                                 .text = &s->text,
                                 .source = SAMPLE_SOURCES.items[sample_pick(m, SAMPLE_SOURCES.count)],
                                 .place = placed ? (unsigned)sample_pick(m, SAMPLE_PLACE_COUNT)
                                                 : (unsigned)SAMPLE_PLACE_COUNT,
                                 .has_point = placed && sample_chance(m, 30),
                                 .sensitive = sample_chance(m, 2),
                                 .medium = sample_chance(m, 20)};
}

static void end_line(struct sample *s)
{
    buffer_add_byte(s->into, '\n');
}

static void remember(struct sample *s, struct sample_tweet *t, unsigned topic)
{
    struct past *p = &s->past[s->next_past++ % PAST];
    sample_text_start(&p->text);
    buffer_add_view(&p->text.bytes, buffer_view(&s->text.bytes));
    struct buffer bytes = p->text.bytes;
    p->text = s->text;
    p->text.bytes = bytes;
    p->id = t->id;
    p->user = t->user;
    p->language = t->language;
    p->topic = topic;
    p->quoted_id = t->quoted_id;
    p->filled = true;
    p->deleted = false;
    /* By the time it is retweeted it has been seen by some. */
    t->counts =
        (struct sample_counts){(unsigned)sample_pick(&s->maker, 9), (unsigned)sample_pick(&s->maker, 40),
                               (unsigned)sample_pick(&s->maker, 900), (unsigned)sample_pick(&s->maker, 4000)};
    buffer_reset(&p->json);
    p->json.maximum = 256 << 10;
    sample_json_tweet(t, &s->maker, true, &p->json);
}

/* A tweet of its own, perhaps an answer, perhaps with a quote. */
static void make_original(struct sample *s)
{
    struct sample_maker *m = &s->maker;
    unsigned language = pick_language(m), topic = pick_topic(m);
    struct past *reply = sample_chance(m, 14) ? pick_past(s) : NULL;
    struct past *quote = sample_chance(m, 9) ? pick_past(s) : NULL;
    language = reply ? reply->language : language;
    topic = reply ? reply->topic : topic;
    struct sample_tweet t = begin_tweet(s, language);
    unsigned display_start = 0;
    if (reply) {
        sample_text_add_mention(&s->text, m, reply->user);
        sample_text_add(&s->text, VIEW(" "));
        display_start = s->text.points;
        t.reply_to = reply->id;
        t.reply_to_user = m->users[reply->user].id;
        t.reply_to_handle = m->users[reply->user].handle;
    }
    make_text(s, language, topic);
    s->text.display_start = display_start;
    if (quote) {
        t.quoted_id = quote->id;
        /* One level only: what the quoted tweet quotes is not delivered. A few quoted tweets are gone. */
        t.quoted = quote->quoted_id || sample_chance(m, 8) ? view_none() : buffer_view(&quote->json);
    }
    if (sample_chance(m, 10)) {
        sample_text_add_media(&s->text, m, m->users[t.user].handle, t.id);
    }
    sample_json_tweet(&t, m, false, s->into);
    end_line(s);
    remember(s, &t, topic);
}

static void make_retweet(struct sample *s)
{
    struct sample_maker *m = &s->maker;
    struct past *original = pick_past(s);
    if (!original) {
        make_original(s);
        return;
    }
    struct sample_tweet t = begin_tweet(s, original->language);
    t.place = (unsigned)SAMPLE_PLACE_COUNT;
    sample_text_add(&s->text, VIEW("RT "));
    sample_text_add_mention(&s->text, m, original->user);
    sample_text_add(&s->text, VIEW(": "));
    sample_text_add_cut(&s->text, &original->text, SAMPLE_TEXT_SHORT - s->text.points);
    t.retweeted = buffer_view(&original->json);
    t.quoted_id = original->quoted_id;
    sample_json_tweet(&t, m, false, s->into);
    end_line(s);
}

/* ---- control messages ---- */

static void make_delete(struct sample *s)
{
    struct past *p = pick_past(s);
    if (!p) {
        make_original(s);
        return;
    }
    p->deleted = true;
    s->ms += 10;
    buffer_print(
        s->into,
        "{\"delete\":{\"status\":{\"id\":%llu,\"id_str\":\"%llu\",\"user_id\":%llu,\"user_id_str\":\"%llu\"},"
        "\"timestamp_ms\":\"%lld\"}}",
        (unsigned long long)p->id, (unsigned long long)p->id, (unsigned long long)s->maker.users[p->user].id,
        (unsigned long long)s->maker.users[p->user].id, (long long)s->ms);
    end_line(s);
}

static void make_limit(struct sample *s)
{
    s->ms += 10;
    s->limit_total += 1 + sample_pick(&s->maker, 40);
    buffer_print(s->into, "{\"limit\":{\"track\":%llu,\"timestamp_ms\":\"%lld\"}}",
                 (unsigned long long)s->limit_total, (long long)s->ms);
    end_line(s);
}

static void make_rare(struct sample *s)
{
    struct past *p = pick_past(s);
    unsigned user = (unsigned)sample_pick(&s->maker, SAMPLE_USERS);
    unsigned long long user_id = s->maker.users[p ? p->user : user].id, id = p ? p->id : next_id(s);
    switch (sample_pick(&s->maker, 5)) {
    case 0:
        buffer_print(s->into,
                     "{\"scrub_geo\":{\"user_id\":%llu,\"user_id_str\":\"%llu\",\"up_to_status_id\":%llu,"
                     "\"up_to_status_id_str\":\"%llu\"}}",
                     user_id, user_id, id, id);
        break;
    case 1:
        buffer_print(
            s->into,
            "{\"status_withheld\":{\"id\":%llu,\"user_id\":%llu,\"withheld_in_countries\":[\"DE\",\"AR\"]}}",
            id, user_id);
        break;
    case 2:
        buffer_print(s->into, "{\"user_withheld\":{\"id\":%llu,\"withheld_in_countries\":[\"XX\"]}}",
                     user_id);
        break;
    case 3:
        buffer_print(s->into,
                     "{\"warning\":{\"code\":\"FOLLOWS_OVER_LIMIT\",\"message\":\"The number of followed "
                     "accounts exceeds "
                     "what this connection can follow.\",\"user_id\":%llu}}",
                     user_id);
        break;
    default:
        buffer_add_text(s->into, "{\"event\":\"user_update\",\"created_at\":\"");
        fresh_add_created_at(s->into, s->ms);
        buffer_add_text(s->into, "\",\"source\":");
        sample_json_user(&s->maker.users[user], s->into);
        buffer_add_text(s->into, ",\"target\":");
        sample_json_user(&s->maker.users[user], s->into);
        buffer_add_byte(s->into, '}');
    }
    end_line(s);
}

static void make_message(struct sample *s)
{
    uint64_t kind = sample_pick(&s->maker, 1000);
    if (kind < 25) {
        make_delete(s);
    } else if (kind < 32) {
        make_limit(s);
    } else if (kind < 40) {
        make_rare(s);
    } else if (kind < 300) {
        make_retweet(s);
    } else {
        make_original(s);
    }
}

int sample_write(size_t count, uint64_t seed, int64_t start_ms, struct buffer *into, struct err *e)
{
    struct sample *s = calloc(1, sizeof *s);
    if (!s) {
        return err_set(e, ERR_RETRY, "memory is out");
    }
    s->maker.random.state = seed;
    s->ms = start_ms;
    s->into = into;
    make_users(&s->maker, start_ms);
    for (size_t i = 0; i < count && !buffer_failed(into); i++) {
        make_message(s);
    }
    bool failed = buffer_failed(into) || buffer_failed(&s->text.bytes);
    sample_text_free(&s->text);
    for (size_t i = 0; i < PAST; i++) {
        failed = failed || buffer_failed(&s->past[i].text.bytes) || buffer_failed(&s->past[i].json);
        sample_text_free(&s->past[i].text);
        buffer_free(&s->past[i].json);
    }
    free(s);
    return failed ? err_set(e, ERR_FATAL, "the sample does not fit in memory: ask for fewer messages") : 0;
}
