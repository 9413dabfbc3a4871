/* ingest/oauth.h - signs HTTP requests with OAuth 1.0a (RFC 5849), method HMAC-SHA1, as the v1.1 API asks
 * for.
 *
 * The signature covers the method, the address, the parameters of its query and those of the form body. What
 * the server computes must be the same bytes, so the address is made canonical here (RFC 5849,
 * section 3.4.1.2) and the caller fetches exactly the `url` that comes back. Percent encoding and HMAC are
 * liboauth's; collecting and sorting the parameters is done here, because liboauth's own array of
 * "name=value" strings cuts keys at 1,024 bytes, turns byte 1 into '&' and cannot hold a '=' in a name.
 * Functions may be called from any thread, not for one object at once.
 */
#ifndef ROOST_INGEST_OAUTH_H
#define ROOST_INGEST_OAUTH_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* The four secrets; strings ended by NUL that belong to the caller. */
struct oauth_credentials {
    const char *api_key, *api_secret;         /* the application's ("consumer" in the RFC) */
    const char *access_token, *access_secret; /* the user's; token NULL: not sent, secret NULL: empty */
};

/* One parameter, raw: not percent-encoded. UTF-8 or any bytes but NUL. */
struct oauth_param {
    const char *name, *value;
};

/* Fixes what is otherwise new for each signature; for tests with published vectors. */
struct oauth_fixed {
    const char *nonce;
    const char *timestamp; /* whole seconds since 1970, in digits */
    bool no_version;       /* leave oauth_version out (RFC 5849 allows it) */
};

/* A signed request; strings on the heap, freed by oauth_request_free. */
struct oauth_request {
    char *url;           /* canonical address, with its query and without a fragment: fetch this one */
    char *authorization; /* the whole header line "Authorization: OAuth ..." */
    char *body;          /* application/x-www-form-urlencoded, in the order given; "" without parameters */
};

/* Signs one attempt: with fixed == NULL the nonce is 32 random digits and the time is now, so every attempt
 * must be signed anew (servers refuse a nonce seen before). `method` is "GET" or "POST"; `params` go into the
 * form body, so with GET there must be none (put them into the address). -1 with ERR_FATAL: the address is
 * not http or https, holds a user name, or cannot be read; a credential is missing. Messages name the
 * address, never a credential. */
int oauth_sign_request(const struct oauth_credentials *credentials, const char *method, const char *url,
                       const struct oauth_param *params, size_t count, const struct oauth_fixed *fixed,
                       struct oauth_request *out, struct err *e);

/* Gives the strings back; an all-zero request is fine. */
void oauth_request_free(struct oauth_request *request);

#endif
