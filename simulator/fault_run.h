/* simulator/fault_run.h - the faults of a script carried out: when each is due, what it does to open streams
 * and to the answers that follow. Inside of the server only.
 *
 * Each fault that is carried out is a line in the log: "fault line 3: message 100 cut how=reset;
 * wall_ms=...". What lasts (a stall, a slow pace) is for the streams that are open then; what waits for the
 * next requests stands in a row, one after the other.
 */
#ifndef ROOST_SIMULATOR_FAULT_RUN_H
#define ROOST_SIMULATOR_FAULT_RUN_H

#include "simulator/fault.h"
#include "simulator/server.h"

struct faults;

/* Takes the script over (it is empty afterwards). NULL: memory is out. */
struct faults *faults_new(struct fault_script *script);
void faults_free(struct faults *faults);

/* What is due by time, and what ends; once a turn of the loop. */
void faults_tick(struct simulator *s);

/* How long until faults_tick has something to do; INT64_MAX: nothing. */
int64_t faults_next_ms(const struct simulator *s);

/* A connection was accepted. False: it is closed already (refused, or the handshake is broken). */
bool faults_take_connection(struct simulator *s, struct connection *c);

/* A request for a stream came. True: it is answered, or waits for its time. */
bool faults_answer(struct connection *c);

/* A message is about to be added to a stream. True: the stream is over or silent now, and the message stays.
 */
bool faults_before_message(struct connection *c);

#endif
