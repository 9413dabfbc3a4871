#include "simulator/sample_text.h"

#include "base/utf8.h"

#include <stdio.h>

#include <unicode/uchar.h>

bool sample_chance(struct sample_maker *m, unsigned percent)
{
    return random_below(&m->random, 100) < percent;
}

uint64_t sample_pick(struct sample_maker *m, uint64_t below)
{
    return random_below(&m->random, below);
}

void sample_text_start(struct sample_text *t)
{
    t->bytes.maximum = 64 << 10;
    buffer_reset(&t->bytes);
    t->points = t->display_start = t->display_end = 0;
    t->entity_count = 0;
}

void sample_text_free(struct sample_text *t)
{
    buffer_free(&t->bytes);
}

/* Bytes that are escaped already, or need no escape. */
static void add_raw(struct sample_text *t, struct view raw)
{
    buffer_add_view(&t->bytes, raw);
    t->points += (unsigned)utf8_count(raw);
    t->display_end = t->points;
}

void sample_text_add(struct sample_text *t, struct view plain)
{
    for (size_t i = 0; i < plain.length; i++) {
        char c = plain.at[i];
        const char *escape = c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : NULL;
        if (escape) {
            add_raw(t, view_of(escape));
        } else {
            buffer_add_byte(&t->bytes, c);
            t->points += (c & 0xC0) != 0x80; /* each byte that does not continue a code point begins one */
        }
    }
    t->display_end = t->points;
}

static struct sample_entity *begin_entity(struct sample_text *t, enum sample_entity_kind kind)
{
    if (t->entity_count == SAMPLE_ENTITIES) {
        return NULL;
    }
    struct sample_entity *entity = &t->entities[t->entity_count++];
    *entity = (struct sample_entity){.kind = kind, .start = t->points};
    return entity;
}

static void add_sign(struct sample_text *t, enum sample_entity_kind kind, char sign, const char *word)
{
    struct sample_entity *entity = begin_entity(t, kind);
    if (!entity) {
        return;
    }
    add_raw(t, view_make(&sign, 1));
    add_raw(t, view_of(word));
    entity->end = t->points;
    snprintf(entity->text, sizeof entity->text, "%s", word);
}

void sample_text_add_hashtag(struct sample_text *t, const char *tag)
{
    add_sign(t, SAMPLE_HASHTAG, '#', tag);
}

void sample_text_add_mention(struct sample_text *t, const struct sample_maker *m, unsigned user)
{
    struct sample_entity *entity = t->entity_count < SAMPLE_ENTITIES ? &t->entities[t->entity_count] : NULL;
    add_sign(t, SAMPLE_MENTION, '@', m->users[user].handle);
    if (entity) {
        entity->user = user;
    }
}

void sample_text_link(struct sample_maker *m, char text[24])
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    memcpy(text, "https://t.co/", 13);
    for (size_t i = 13; i < 23; i++) {
        text[i] = digits[sample_pick(m, sizeof digits - 1)];
    }
    text[23] = '\0';
}

/* As the service shows a link: without protocol and www., at most 26 characters and an ellipsis. */
static void show(const char *expanded, char display[80])
{
    const char *from = strstr(expanded, "://");
    from = from ? from + 3 : expanded;
    from += strncmp(from, "www.", 4) == 0 ? 4 : 0;
    snprintf(display, 80, "%.26s%s", from, strlen(from) > 26 ? "\u2026" : "");
}

void sample_text_add_link(struct sample_text *t, struct sample_maker *m, unsigned topic)
{
    static const char *const hosts[] = {"https://www.example.org", "https://example.com",
                                        "http://blog.example.net", "https://news.example.org"};
    struct sample_entity *entity = begin_entity(t, SAMPLE_URL);
    if (!entity) {
        return;
    }
    sample_text_link(m, entity->text);
    snprintf(entity->expanded, sizeof entity->expanded, "%s/%s/%u%s", hosts[sample_pick(m, 4)],
             SAMPLE_TOPIC[topic].at, (unsigned)sample_pick(m, 100000),
             sample_chance(m, 20) ? "?from=stream&n=1" : "");
    show(entity->expanded, entity->display);
    add_raw(t, view_of(entity->text));
    entity->end = t->points;
}

void sample_text_add_media(struct sample_text *t, struct sample_maker *m, const char *handle, uint64_t tweet)
{
    unsigned end = t->points;
    if (t->points) {
        add_raw(t, VIEW(" "));
    }
    struct sample_entity *entity = begin_entity(t, SAMPLE_MEDIA);
    if (!entity) {
        return;
    }
    sample_text_link(m, entity->text);
    snprintf(entity->expanded, sizeof entity->expanded, "https://twitter.com/%s/status/%llu/photo/1", handle,
             (unsigned long long)tweet);
    snprintf(entity->display, sizeof entity->display, "pic.twitter.com/%s", entity->text + 13);
    add_raw(t, view_of(entity->text));
    entity->end = t->points;
    t->display_end = end;
}

static void add_slot(struct sample_text *t, struct sample_maker *m, unsigned language, unsigned topic,
                     char slot)
{
    const struct sample_language *l = &SAMPLE_LANGUAGE[language];
    switch (slot) {
    case 't':
        sample_text_add(t, view_of(l->topics[topic]));
        break;
    case '#':
        sample_text_add_hashtag(t, sample_chance(m, 60) ? SAMPLE_TOPIC[topic].at : l->tags[topic]);
        break;
    case '@':
        sample_text_add_mention(t, m, (unsigned)sample_pick(m, SAMPLE_USERS));
        break;
    case 'u':
        sample_text_add_link(t, m, topic);
        break;
    case 'e':
        /* The topic's own emoji more often than any other. */
        sample_text_add(
            t, SAMPLE_EMOJI.items[sample_chance(m, 40) ? topic : sample_pick(m, SAMPLE_EMOJI.count)]);
        break;
    case 'n': {
        char number[16];
        snprintf(number, sizeof number, "%u", 2 + (unsigned)sample_pick(m, 98));
        sample_text_add(t, view_of(number));
        break;
    }
    case 'p':
        sample_text_add(t, view_of(SAMPLE_PLACE[sample_pick(m, SAMPLE_PLACE_COUNT)].name));
        break;
    case '$':
        add_sign(t, SAMPLE_CASHTAG, '$', SAMPLE_CASHTAGS.items[sample_pick(m, SAMPLE_CASHTAGS.count)].at);
        break;
    default:
        break;
    }
}

static bool is_slot(const char *at)
{
    return at[0] == '{' && at[1] && strchr("t#@uenp$", at[1]) && at[2] == '}';
}

void sample_text_add_sentence(struct sample_text *t, struct sample_maker *m, unsigned language,
                              unsigned topic, const char *sentence)
{
    for (const char *at = sentence; *at;) {
        if (is_slot(at)) {
            add_slot(t, m, language, topic, at[1]);
            at += 3;
            continue;
        }
        size_t n = 1;
        while (at[n] && !is_slot(at + n)) {
            n++;
        }
        sample_text_add(t, view_make(at, n));
        at += n;
    }
}

/* Nothing that belongs to the character before it: marks, joiners, skin tones, the second half of a flag,
 * tags. */
static bool may_begin(uint32_t c, uint32_t before)
{
    bool mark = (U_GET_GC_MASK((UChar32)c) & U_GC_M_MASK) != 0;
    bool regional = c >= 0x1F1E6 && c <= 0x1F1FF;
    return !mark && c != 0x200D && before != 0x200D && !regional && !(c >= 0x1F3FB && c <= 0x1F3FF) &&
           !(c >= 0xE0020 && c <= 0xE007F);
}

static bool inside_entity(const struct sample_text *t, unsigned point)
{
    for (size_t i = 0; i < t->entity_count; i++) {
        if (point > t->entities[i].start && point < t->entities[i].end) {
            return true;
        }
    }
    return false;
}

/* The last good place to cut at or before `most` points: its byte, and *points. */
static size_t cut_place(const struct sample_text *t, unsigned most, unsigned *points)
{
    struct view v = buffer_view(&t->bytes);
    size_t best = 0;
    unsigned point = 0;
    uint32_t before = 0;
    bool in_escape = false;
    *points = 0;
    for (size_t at = 0; at < v.length && point <= most; point++) {
        size_t here = at;
        uint32_t c = utf8_next(v, &at);
        if (!in_escape && may_begin(c, before) && !inside_entity(t, point)) {
            best = here;
            *points = point;
        }
        in_escape = c == '&' || (in_escape && c != ';');
        before = c;
    }
    return best;
}

void sample_text_add_cut(struct sample_text *cut, const struct sample_text *whole, unsigned most)
{
    unsigned shift = cut->points, points = whole->points;
    size_t bytes = whole->bytes.length;
    bool fits = points <= most;
    if (!fits) {
        bytes = cut_place(whole, most - 1, &points);
    }
    add_raw(cut, view_make(whole->bytes.data, bytes));
    if (!fits) {
        add_raw(cut, VIEW("\u2026"));
    }
    for (size_t i = 0; i < whole->entity_count && cut->entity_count < SAMPLE_ENTITIES; i++) {
        if (whole->entities[i].end <= points) {
            struct sample_entity *e = &cut->entities[cut->entity_count++];
            *e = whole->entities[i];
            e->start += shift;
            e->end += shift;
        }
    }
}
