/* etl/steps.h - what the ETL job does to each frame: the functions of its stream.
 *
 * The input is a frame (etl/receiver.h), everything after `split` a struct item in the partition's arena. The
 * functions run on workers; the worker's scratch is a struct text_worker.
 */
#ifndef ROOST_ETL_STEPS_H
#define ROOST_ETL_STEPS_H

#include "bridge/post.h"
#include "etl/dstream.h"

/* A frame on its way to the sinks: a post, an event, or something that cannot be read. */
struct item {
    uint64_t sequence;
    struct view frame; /* its bytes as they crossed the bridge */
    struct post *post; /* NULL: a reject */
    const char *why;   /* of a reject: a whole sentence */
    uint64_t filtered; /* of a `count` event: how many posts the local filter dropped */
};

/* flatMap: a frame's payload becomes an item. */
stream_flat_map_function step_split;

/* map, posts only: clean_text becomes the lowercased text; hashtags, cashtags and mentions are lowercased. */
stream_map_function step_lowercase;

/* map, posts only: links, mentions and the head of a retweet leave clean_text; white space is squeezed. */
stream_map_function step_clean;

/* map, posts only: counts words and finds emoji; where the network named no hashtag, cashtag, mention or
 * link, those of the text are taken. */
stream_map_function step_enrich;

#endif
