/* bridge/address.h - the addresses a bridge listens on and a client connects to, as they are written in
 * files.
 *
 * HOST:PORT with HOST an IPv4 address or `localhost` (127.0.0.1), [HOST]:PORT with an IPv6 address, or the
 * absolute path of a Unix socket. Names are not resolved: the bridge is local, and a resolver could block for
 * seconds.
 */
#ifndef ROOST_BRIDGE_ADDRESS_H
#define ROOST_BRIDGE_ADDRESS_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/socket.h>

enum { ADDRESS_TEXT_SIZE = 128 /* holds the longest: a Unix path of 107 bytes */ };

struct address {
    struct sockaddr_storage socket;
    socklen_t length;
};

/* Reads an address. -1: ERR_FATAL, the message says what would be right (not the text itself). */
int address_parse(const char *text, struct address *a, struct err *e);

/* True for a Unix socket, 127.0.0.0/8 and ::1: what only this machine can reach. */
bool address_is_local(const struct address *a);

/* Writes the address as address_parse reads it; a Unix socket without a name (a client's) gives "unix".
 * Returns text. */
const char *address_format(const struct address *a, char text[ADDRESS_TEXT_SIZE]);

/* The TCP port; 0 for a Unix socket. */
int address_port(const struct address *a);

#endif
