/* simulator/oauth_check.h - is a request signed as OAuth 1.0a asks (RFC 5849, HMAC-SHA1), by an account we
 * know?
 *
 * The receiving side of the signature, written apart from any code that signs: a mistake made twice would go
 * unseen. Only escaping, the HMAC and the comparison in constant time come from liboauth. What is refused
 * beyond a wrong signature is what X documented or RFC 5849 section 3.2 asks of a server: a parameter named
 * twice, another method than HMAC-SHA1, another version than 1.0, a timestamp out of the window, a nonce seen
 * before.
 */
#ifndef ROOST_SIMULATOR_OAUTH_CHECK_H
#define ROOST_SIMULATOR_OAUTH_CHECK_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/view.h"

#include <stddef.h>
#include <stdint.h>

enum {
    OAUTH_CHECK_WINDOW_S =
        300, /* how far a timestamp may be from our clock, each way; X never published its own */
    OAUTH_CHECK_NONCES = 65536 /* nonces remembered; the oldest goes first */
};

/* A user of an app: what its client signs with. Strings belong to the caller and outlive the check. */
struct oauth_account {
    const char *api_key, *api_secret, *access_token, *access_secret;
};

/* The parts of a request that are signed, as they came over the wire. */
struct oauth_request {
    struct view method;        /* "POST" */
    struct view scheme;        /* "http" or "https", as the server was reached */
    struct view host;          /* the Host header, with its port if it has one */
    struct view path;          /* the request target up to '?' */
    struct view query;         /* after '?'; absent: none */
    struct view form;          /* the body, if its type is application/x-www-form-urlencoded; else absent */
    struct view authorization; /* the Authorization header's value, "OAuth ..."; absent: none */
};

/* Appends the signature base string (RFC 5849, section 3.4.1) of the request to *into: all parameters of
 * header (without realm and oauth_signature), query and form. Pure. -1: a parameter cannot be decoded, or
 * memory is out. */
int oauth_check_base_string(const struct oauth_request *request, struct buffer *into, struct err *e);

/* 0 when the request's oauth_signature is the one these secrets give; nothing else is looked at. Pure. An
 * empty token secret is "". -1 otherwise. */
int oauth_check_signature(const struct oauth_request *request, const char *api_secret,
                          const char *access_secret, struct err *e);

struct oauth_check;

/* A check for these accounts (copied; their strings are not). NULL when memory is out. The caller frees it.
 */
struct oauth_check *oauth_check_new(const struct oauth_account *accounts, size_t count);

/* The whole verdict at wall time `now_s` (seconds since 1970). 0: *account is the index of the account that
 * signed, and the nonce is now used up. -1: refused; the message says why in words for the log, without any
 * secret. One thread. */
int oauth_check_request(struct oauth_check *check, const struct oauth_request *request, int64_t now_s,
                        size_t *account, struct err *e);

/* NULL does nothing. */
void oauth_check_free(struct oauth_check *check);

#endif
