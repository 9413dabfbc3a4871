/* ingest/hmac.h - base64 of HMAC-SHA1, by libcrypto, which is in the process for TLS anyhow. (liboauth's
 * begins a whole NSS: 2 MiB of the listener, for good.)
 */
#ifndef ROOST_INGEST_HMAC_H
#define ROOST_INGEST_HMAC_H

/* 28 characters, on the heap; NULL: memory is out. */
char *hmac_sha1_base64(const char *message, const char *key);

#endif
