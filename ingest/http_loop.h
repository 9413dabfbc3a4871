/* ingest/http_loop.h - libcurl's multi interface on a libuv loop: what http_stream and http_ask have in
 * common.
 *
 * It lends libcurl the loop's file watchers and a timer. libcurl forbids to take a request down inside its
 * own callbacks, so everybody who calls into libcurl, or calls out from one of its callbacks, does it between
 * http_loop_enter and http_loop_leave; when the outermost of them is left, `settle` is called, outside of
 * libcurl, and there the owner does what became due meanwhile. One thread: the loop's.
 */
#ifndef ROOST_INGEST_HTTP_LOOP_H
#define ROOST_INGEST_HTTP_LOOP_H

#include "base/err.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct http_loop;

/* NULL (ERR_RETRY): memory is out. */
struct http_loop *http_loop_new(uv_loop_t *loop, void (*settle)(void *user), void *user, struct err *e);

void http_loop_enter(struct http_loop *l);
void http_loop_leave(struct http_loop *l);         /* settles when it is the outermost */
void http_loop_leave_quietly(struct http_loop *l); /* never settles */
bool http_loop_inside(const struct http_loop *l);

/* Begins with a request. -1 (ERR_RETRY): libcurl would not take it; the handle is still the caller's. */
int http_loop_add(struct http_loop *l, CURL *easy, const char *url, struct err *e);

/* Takes a request down and frees its handle; libcurl's callbacks for sockets and timer run meanwhile, no
 * other. */
void http_loop_remove(struct http_loop *l, CURL *easy);

/* True and *code: libcurl is done with this request. */
bool http_loop_done(struct http_loop *l, const CURL *easy, CURLcode *code);

/* What all requests have in common: http and https only, HTTP/1.1, no redirects, a connection of its own,
 * certificates verified (but for accept_any_certificate) by the file that CURL_CA_BUNDLE or SSL_CERT_FILE
 * names in the environment, else the system's, at most connect_ms for name, connection and TLS.
 * Not CURLE_OK: libcurl is too old or memory is out. */
CURLcode http_loop_set_options(CURL *easy, int64_t connect_ms, bool accept_any_certificate);

/* Overwrites and frees a list of header lines, since one of them is what a request is authorized with. NULL
 * does nothing. */
void http_loop_free_headers(struct curl_slist *headers);

/* Gives all back; no request may be left. closed(user) is called from the loop, when nothing is left on it.
 */
void http_loop_free(struct http_loop *l, void (*closed)(void *user), void *user);

#endif
