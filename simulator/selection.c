#include "simulator/selection.h"

#include "base/json.h"
#include "base/number.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

/* ---- what is looked at in a tweet ---- */

static uint64_t id_of(struct view digits)
{
    uint64_t id = 0;
    return digits.at && number_parse_unsigned(digits, &id) == 0 ? id : 0;
}

static int level_of(struct view name)
{
    return view_is(name, "medium") ? 2 : view_is(name, "low") ? 1 : 0;
}

static void read_point(const cJSON *tweet, struct selection_facts *facts)
{
    const cJSON *pair = json_member(json_member(tweet, "coordinates"), "coordinates");
    const cJSON *x = cJSON_GetArrayItem(pair, 0), *y = cJSON_GetArrayItem(pair, 1);
    if (cJSON_IsNumber(x) && cJSON_IsNumber(y)) {
        facts->has_place = facts->has_point = true;
        facts->place = (struct selection_box){x->valuedouble, y->valuedouble, x->valuedouble, y->valuedouble};
    }
}

static void read_place(const cJSON *tweet, struct selection_facts *facts)
{
    const cJSON *box = json_member(json_member(tweet, "place"), "bounding_box");
    const cJSON *corner;
    cJSON_ArrayForEach(corner, cJSON_GetArrayItem(json_member(box, "coordinates"), 0))
    {
        const cJSON *x = cJSON_GetArrayItem(corner, 0), *y = cJSON_GetArrayItem(corner, 1);
        if (!cJSON_IsNumber(x) || !cJSON_IsNumber(y)) {
            continue;
        }
        double lon = x->valuedouble, lat = y->valuedouble;
        struct selection_box *p = &facts->place;
        if (!facts->has_place) {
            *p = (struct selection_box){lon, lat, lon, lat};
            facts->has_place = true;
        }
        p->west = lon < p->west ? lon : p->west;
        p->east = lon > p->east ? lon : p->east;
        p->south = lat < p->south ? lat : p->south;
        p->north = lat > p->north ? lat : p->north;
    }
}

int selection_facts_of(const cJSON *tweet, struct arena *memory, struct selection_facts *facts)
{
    *facts = (struct selection_facts){0};
    struct view language = json_text(tweet, "lang");
    for (size_t i = 0; i < language.length && i + 1 < sizeof facts->language; i++) {
        facts->language[i] = (char)tolower((unsigned char)language.at[i]);
    }
    const cJSON *retweeted = json_member(tweet, "retweeted_status");
    facts->level = level_of(json_text(tweet, "filter_level"));
    facts->retweet = retweeted != NULL;
    facts->users[0] = id_of(json_text(json_member(tweet, "user"), "id_str"));
    facts->users[1] = id_of(json_text(json_member(retweeted, "user"), "id_str"));
    facts->users[2] = id_of(json_text(tweet, "in_reply_to_user_id_str"));
    read_point(tweet, facts);
    if (!facts->has_point) {
        read_place(tweet, facts);
    }
    return track_tokens_of(tweet, memory, &facts->tokens);
}

/* ---- what is asked for ---- */

struct selection {
    bool everything; /* sample.json without a predicate */
    struct track *track;
    uint64_t *follow;
    size_t follow_count;
    struct selection_box boxes[SELECTION_BOXES];
    size_t box_count;
    char **languages;
    size_t language_count;
    int level;
};

struct refusal {
    int status;
    const char *body;
};

static int refuse(struct refusal *why, int status, const char *body)
{
    *why = (struct refusal){status, body};
    return -1;
}

static size_t count_items(const char *list)
{
    size_t count = 1;
    for (const char *c = list; *c; c++) {
        count += *c == ',';
    }
    return count;
}

static struct view next_item(struct view *rest)
{
    const char *comma = memchr(rest->at, ',', rest->length);
    size_t length = comma ? (size_t)(comma - rest->at) : rest->length;
    struct view item = view_trim(view_make(rest->at, length));
    *rest = view_from(*rest, length + 1);
    return item;
}

static int compile_follow(struct selection *f, const char *value, struct refusal *why)
{
    size_t count = count_items(value);
    if (count > SELECTION_FOLLOW) {
        return refuse(why, 413, "Too many user ids in follow: at most 5000");
    }
    f->follow = calloc(count, sizeof *f->follow);
    if (!f->follow) {
        return refuse(why, 500, "Out of memory");
    }
    struct view rest = view_of(value);
    while (f->follow_count < count) {
        uint64_t id;
        if (number_parse_unsigned(next_item(&rest), &id) < 0 || id == 0) {
            return refuse(why, 406, "Parameter follow has a user id that is not valid");
        }
        f->follow[f->follow_count++] = id;
    }
    return 0;
}

static int read_degrees(struct view item, double limit, double *degrees)
{
    char text[32], *end;
    if (!item.length || item.length >= sizeof text) {
        return -1;
    }
    memcpy(text, item.at, item.length);
    text[item.length] = '\0';
    *degrees = strtod(text, &end);
    return *end || !(*degrees >= -limit && *degrees <= limit) ? -1 : 0;
}

static int compile_locations(struct selection *f, const char *value, struct refusal *why)
{
    static const char bad[] =
        "Parameter locations is not a list of longitude,latitude pairs, south-west corner first";
    size_t count = count_items(value);
    if (count % 4 != 0) {
        return refuse(why, 406, bad);
    }
    if (count / 4 > SELECTION_BOXES) {
        return refuse(why, 413, "Too many boxes in locations: at most 25");
    }
    struct view rest = view_of(value);
    for (f->box_count = 0; f->box_count < count / 4; f->box_count++) {
        struct selection_box b;
        if (read_degrees(next_item(&rest), 180, &b.west) < 0 ||
            read_degrees(next_item(&rest), 90, &b.south) < 0 ||
            read_degrees(next_item(&rest), 180, &b.east) < 0 ||
            read_degrees(next_item(&rest), 90, &b.north) < 0) {
            return refuse(why, 406, bad);
        }
        /* A box has 0.1 to 360 degrees; a hair less, since 36.9 - 36.8 is less than 0.1 in binary. */
        if (b.east - b.west < 0.0999999 || b.north - b.south < 0.0999999) {
            return refuse(why, 406, bad);
        }
        f->boxes[f->box_count] = b;
    }
    return 0;
}

static int compile_languages(struct selection *f, const char *value, struct refusal *why)
{
    size_t count = count_items(value);
    f->languages = calloc(count, sizeof *f->languages);
    struct view rest = view_of(value);
    for (size_t i = 0; f->languages && i < count; i++) {
        struct view item = next_item(&rest);
        if (!item.length) {
            continue;
        }
        char *copy = view_copy(item);
        if (!copy) {
            return refuse(why, 500, "Out of memory");
        }
        f->languages[f->language_count++] = copy;
    }
    return f->languages ? 0 : refuse(why, 500, "Out of memory");
}

static bool given(const char *value)
{
    return value && *value;
}

static int compile_predicates(struct selection *f, const struct parameters *p, struct refusal *why)
{
    const char *track = parameters_find(p, "track"), *follow = parameters_find(p, "follow");
    const char *locations = parameters_find(p, "locations");
    if (given(track)) {
        int status = 0;
        f->track = track_compile(track, &status);
        if (!f->track) {
            return refuse(why, status,
                          status == 413 ? "Too many phrases in track: at most 400"
                                        : "Parameter track has a phrase of 0 or of more than 60 bytes");
        }
    }
    if ((given(follow) && compile_follow(f, follow, why) < 0) ||
        (given(locations) && compile_locations(f, locations, why) < 0)) {
        return -1;
    }
    f->everything = !given(track) && !given(follow) && !given(locations);
    return 0;
}

struct selection *selection_compile(const struct parameters *p, bool needs_predicate, int *status,
                                    const char **body)
{
    struct refusal why = {500, "Out of memory"};
    struct selection *f = calloc(1, sizeof *f);
    const char *language = parameters_find(p, "language"), *level = parameters_find(p, "filter_level");
    if (!f || compile_predicates(f, p, &why) < 0 ||
        (given(language) && compile_languages(f, language, &why) < 0)) {
        goto fail;
    }
    if (needs_predicate && f->everything) {
        refuse(&why, 406,
               "No filter parameters found. Expect at least one parameter: follow track locations");
        goto fail;
    }
    if (given(level) && strcmp(level, "none") != 0 && !level_of(view_of(level))) {
        refuse(&why, 406, "Parameter filter_level is not none, low or medium");
        goto fail;
    }
    if (parameters_find(p, "count")) {
        refuse(&why, 416, "Parameter count needs elevated access");
        goto fail;
    }
    f->level = given(level) ? level_of(view_of(level)) : 0;
    return f;
fail:
    selection_free(f);
    *status = why.status;
    *body = why.body;
    return NULL;
}

static bool follows(const struct selection *f, const struct selection_facts *facts)
{
    for (size_t i = 0; i < f->follow_count; i++) {
        for (size_t j = 0; j < 3; j++) {
            if (facts->users[j] == f->follow[i]) {
                return true;
            }
        }
    }
    return false;
}

static bool inside(const struct selection *f, const struct selection_facts *facts)
{
    /* Native retweets never match a box. */
    if (!facts->has_place || facts->retweet) {
        return false;
    }
    const struct selection_box *p = &facts->place;
    for (size_t i = 0; i < f->box_count; i++) {
        const struct selection_box *b = &f->boxes[i];
        if (p->west <= b->east && p->east >= b->west && p->south <= b->north && p->north >= b->south) {
            return true;
        }
    }
    return false;
}

bool selection_match(const struct selection *f, const struct selection_facts *facts)
{
    if (facts->level < f->level) {
        return false;
    }
    bool spoken = f->language_count == 0;
    for (size_t i = 0; i < f->language_count && !spoken; i++) {
        spoken = strcasecmp(f->languages[i], facts->language) == 0;
    }
    return spoken && (f->everything || (f->track && track_match(f->track, &facts->tokens)) ||
                      follows(f, facts) || inside(f, facts));
}

void selection_free(struct selection *f)
{
    if (!f) {
        return;
    }
    track_free(f->track);
    free(f->follow);
    for (size_t i = 0; i < f->language_count; i++) {
        free(f->languages[i]);
    }
    free(f->languages);
    free(f);
}
