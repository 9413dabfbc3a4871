/* tests/etl/support/bridge_thread.h - a real bridge on a loop and thread of its own, with posts in its spool.
 */
#ifndef ROOST_TESTS_ETL_BRIDGE_THREAD_H
#define ROOST_TESTS_ETL_BRIDGE_THREAD_H

#include "bridge/bridge.h"

#include <pthread.h>

struct bridge_thread {
    pthread_t thread;
    pthread_barrier_t ready;
    uv_loop_t loop;
    uv_async_t end;
    struct bridge *bridge;
    struct bridge_settings settings;
    char folder[64], token_file[96], address[64];
    int posts; /* published at the start, each with its number as id and text */
};

/* Makes a spool in a new folder, publishes the posts and a count event with `filtered` 3, and listens. */
void bridge_thread_open(struct bridge_thread *b, int posts);
void bridge_thread_close(struct bridge_thread *b); /* and removes the folder */

#endif
