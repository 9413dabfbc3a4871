/* cli/service.h - what both services owe their surroundings: the manager is told (ready, status, reload,
 * stop), the watchdog is fed while all threads get on, and whoever connects to the status socket gets one
 * JSON object.
 *
 * A service is looked after by one thread, which calls service_look every service_look_ms, and
 * service_answer when its descriptor can be read. All functions are for that thread.
 */
#ifndef ROOST_CLI_SERVICE_H
#define ROOST_CLI_SERVICE_H

#include "base/buffer.h"
#include "base/log.h"
#include "config/config.h"

struct service;

struct service_offer {
    const char *name; /* "listen", "etl" */
    /* Appends `,"member":...` to an object that is open. */
    void (*tell)(void *user, struct buffer *json);
    /* One line for the manager's status, without an end. */
    void (*line)(void *user, char *text, size_t size);
    void *user;
};

/* To be called before there are other threads. The config outlives the service. Takes the log level of
 * [service]. NULL: memory is out. */
struct service *service_open(const struct config *config, const struct service_offer *offer);

/* How long after a look the next one is due, in milliseconds of real time. */
int service_look_ms(const struct service *s);

/* Judges the threads, feeds the watchdog, keeps the socket in place, says the status when it has changed. */
void service_look(struct service *s);

int service_descriptor(const struct service *s); /* -1: no socket now; may change in service_look */
void service_answer(struct service *s);

void service_ready(struct service *s); /* from now on; more calls do nothing */
void service_reloading(struct service *s);

/* The end of that. `next`: the configuration that was right, whose log level is taken; NULL: `mistake` (may
 * be NULL) is wrong with it, which stays in the status until the next reload. `waits`: it is not in force
 * yet. */
void service_reloaded(struct service *s, const struct config *next, const char *mistake, bool waits);

void service_stopping(struct service *s);

/* Removes the socket. NULL does nothing. */
void service_close(struct service *s);

/* JSON members of an open object, each with its comma in front unless it is the first: text (NULL: null),
 * time (CLOCK_NONE: null), number. */
void service_add_text(struct buffer *json, const char *name, const char *text);
void service_add_time(struct buffer *json, const char *name, int64_t wall_ms);
void service_add_number(struct buffer *json, const char *name, int64_t number);
void service_add_flag(struct buffer *json, const char *name, bool flag);

/* "3 h", "12 min", "5 s": how long, in the one unit that says it. */
enum { SERVICE_LENGTH_SIZE = 32 };
const char *service_length(int64_t ms, char text[SERVICE_LENGTH_SIZE]);

#endif
