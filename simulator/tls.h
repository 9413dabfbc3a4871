/* simulator/tls.h - TLS below a connection: certificates, handshakes, records; over sockets that never block.
 *
 * A certificate comes from files or is made here, signed by itself, for the addresses of this machine: a
 * client must be told to trust it (`--tls-write`, then curl's --cacert or SSL_CERT_FILE).
 */
#ifndef ROOST_SIMULATOR_TLS_H
#define ROOST_SIMULATOR_TLS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tls;         /* what all connections share */
struct tls_session; /* one connection */

/* certificate and key: PEM files. Both NULL: a certificate for localhost, 127.0.0.1, ::1 and `host` (an
 * address, or NULL), good from a day ago for a year. write_to: a file that gets the certificate in PEM; NULL:
 * none. NULL: a file cannot be read or written, or the key does not belong to the certificate (ERR_FATAL).
 * The caller frees it. */
struct tls *tls_new(const char *certificate, const char *key, const char *host, const char *write_to,
                    struct err *e);

/* A connection that is accepted; the handshake goes on in receive and send. NULL: memory is out. */
struct tls_session *tls_session_new(struct tls *tls, int fd);

/* As recv(2) and send(2) on a socket that does not block: -1 with EAGAIN when there is nothing (or no room),
 * -1 with EPROTO when the handshake or a record failed, 0 when the other side closed. After EAGAIN of a send,
 * the next one must have the same bytes in front; n may be smaller, then as much as before is tried. */
ssize_t tls_receive(struct tls_session *session, void *into, size_t n);
ssize_t tls_send(struct tls_session *session, const void *bytes, size_t n);

/* Says that nothing more comes, as far as the socket takes it. */
void tls_end(struct tls_session *session);

/* NULL does nothing. */
void tls_session_free(struct tls_session *session);
void tls_free(struct tls *tls);

#endif
