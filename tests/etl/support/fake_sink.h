/* tests/etl/support/fake_sink.h - a sink in memory that fails as it is told: a test double of etl/sink.h. */
#ifndef ROOST_TESTS_ETL_FAKE_SINK_H
#define ROOST_TESTS_ETL_FAKE_SINK_H

#include "etl/sink.h"

#include <pthread.h>
#include <stdbool.h>

enum fake_answer {
    FAKE_OK,
    FAKE_AWAY,        /* not reached: nothing happens, ERR_RETRY */
    FAKE_LOST_ANSWER, /* committed, and ERR_RETRY */
    FAKE_MOVED,       /* somebody else has moved the position: ERR_RETRY */
    FAKE_FATAL,
    FAKE_HANG /* until stop is called, then ERR_RETRY */
};

enum { FAKE_ROWS = 200000 };

struct sink {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum fake_answer writes[16];    /* of the next write calls; then FAKE_OK */
    enum fake_answer positions[16]; /* of the next position calls; then FAKE_OK */
    enum fake_answer first_latest;  /* of the first latest call; then FAKE_OK */
    size_t next_write, next_position;
    enum fake_answer always; /* instead of FAKE_OK, for write */
    bool stopped;
    uint64_t position; /* of the one spool it knows */
    char spool[40];
    unsigned latest_calls, write_calls, position_calls, stop_calls, commits;
    uint64_t posts, events, rejects, filtered, received;
    unsigned char *times; /* how often each sequence was committed */
    char last_text[200], last_clean[200], last_why[300];
};

void fake_sink_open(struct sink *s);
void fake_sink_close(struct sink *s);
unsigned fake_sink_count(struct sink *s, const unsigned *figure); /* read under the lock */

extern const struct sink_type fake_sink_type;

#endif
