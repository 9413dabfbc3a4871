/* follow, locations, language, filter_level: who gets which tweet, as documented for v1.1. */
#include "simulator/selection.h"

#include <criterion/criterion.h>

static bool delivers(const char *query, const char *json)
{
    struct err e;
    struct parameters p = {0};
    int status = 0;
    const char *body = NULL;
    cr_assert_eq(parameters_add_form(&p, view_of(query), &e), 0);
    struct selection *filter = selection_compile(&p, true, &status, &body);
    cr_assert(filter, "%s: %d", query, status);
    cJSON *tweet = cJSON_Parse(json);
    cr_assert(tweet, "%s", json);
    struct arena *memory = arena_new(1 << 20);
    struct selection_facts facts;
    cr_assert_eq(selection_facts_of(tweet, memory, &facts), 0);
    bool matched = selection_match(filter, &facts);
    arena_free(memory);
    cJSON_Delete(tweet);
    selection_free(filter);
    parameters_free(&p);
    return matched;
}

#define YES(query, json) cr_expect(delivers(query, json), "%s should deliver %s", query, json)
#define NO(query, json)  cr_expect(!delivers(query, json), "%s should not deliver %s", query, json)

Test(filter, follow_delivers_tweets_retweets_and_replies_but_not_mentions)
{
    YES("follow=7", "{\"text\":\"x\",\"user\":{\"id_str\":\"7\"}}");
    YES("follow=1,7", "{\"text\":\"x\",\"user\":{\"id_str\":\"2\"},\"in_reply_to_user_id_str\":\"7\"}");
    YES("follow=7",
        "{\"text\":\"x\",\"user\":{\"id_str\":\"2\"},\"retweeted_status\":{\"user\":{\"id_str\":\"7\"}}}");
    NO("follow=7",
       "{\"text\":\"x\",\"user\":{\"id_str\":\"2\"},\"entities\":{\"user_mentions\":[{\"id_str\":\"7\"}]}}");
    NO("follow=7", "{\"text\":\"x\",\"user\":{\"id_str\":\"77\"}}");
    YES("follow=1200000000000000001", "{\"text\":\"x\",\"user\":{\"id_str\":\"1200000000000000001\"}}");
    NO("follow=1200000000000000001", "{\"text\":\"x\",\"user\":{\"id_str\":\"1200000000000000002\"}}");
}

#define SAN_FRANCISCO   "locations=-122.75,36.8,-121.75,37.8"
#define POINT(lon, lat) "\"coordinates\":{\"type\":\"Point\",\"coordinates\":[" lon "," lat "]}"
#define PLACE(w, s, e, n)                                                                                    \
    "\"place\":{\"bounding_box\":{\"coordinates\":[[[" w "," s "],[" w "," n "],[" e "," n "],[" e "," s     \
    "]]]}}"

Test(filter, locations_test_the_point_first_and_else_any_overlap_of_the_place)
{
    YES(SAN_FRANCISCO, "{" POINT("-122.4", "37.7") "}");
    NO(SAN_FRANCISCO, "{" POINT("-122.4", "37.9") "}");
    NO(SAN_FRANCISCO, "{" POINT("37.7", "-122.4") "}");
    YES(SAN_FRANCISCO, "{" PLACE("-125", "30", "-122.7", "37") "}");
    NO(SAN_FRANCISCO, "{" PLACE("-125", "30", "-122.8", "37") "}");
    /* A point outside wins over a place that overlaps. */
    NO(SAN_FRANCISCO, "{" POINT("0", "0") "," PLACE("-125", "30", "-122", "37") "}");
    NO(SAN_FRANCISCO, "{\"geo\":{\"coordinates\":[37.7,-122.4]},\"user\":{\"location\":\"San Francisco\"}}");
    NO(SAN_FRANCISCO, "{" POINT("-122.4", "37.7") ",\"retweeted_status\":{}}");
    YES("locations=-74,40,-73,41,-122.75,36.8,-121.75,37.8", "{" POINT("-122.4", "37.7") "}");
    YES("locations=-180,-90,180,90", "{" POINT("-122.4", "37.7") "}");
}

Test(filter, track_follow_and_locations_are_ored)
{
    static const char all[] = "track=tea&follow=7&" SAN_FRANCISCO;
    YES(all, "{\"text\":\"tea\"}");
    YES(all, "{\"text\":\"x\",\"user\":{\"id_str\":\"7\"}}");
    YES(all, "{\"text\":\"x\"," POINT("-122.4", "37.7") "}");
    NO(all, "{\"text\":\"x\"," POINT("0", "0") "}");
}

Test(filter, language_and_level_narrow_what_is_selected)
{
    YES("track=tea&language=en,fr", "{\"text\":\"tea\",\"lang\":\"fr\"}");
    YES("track=tea&language=EN", "{\"text\":\"tea\",\"lang\":\"en\"}");
    NO("track=tea&language=en", "{\"text\":\"tea\",\"lang\":\"fr\"}");
    NO("track=tea&language=en", "{\"text\":\"tea\"}");
    NO("track=tea&language=en", "{\"text\":\"x\",\"lang\":\"en\"}");
    YES("track=tea&filter_level=low", "{\"text\":\"tea\",\"filter_level\":\"medium\"}");
    NO("track=tea&filter_level=low", "{\"text\":\"tea\",\"filter_level\":\"none\"}");
    YES("track=tea&filter_level=none", "{\"text\":\"tea\"}");
}
