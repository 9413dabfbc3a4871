#include "ingest/oauth.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/wipe.h"
#include "ingest/hmac.h"

#include <curl/curl.h>
#include <oauth.h> /* needs <stddef.h> before it, which oauth.h of this room brings */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAXIMUM_TEXT = 1024 * 1024, NONCE_BYTES = 16 };

/* A parameter as it is signed: name and value percent-encoded, on the heap. */
struct pair {
    char *name, *value;
};

struct pairs {
    struct pair *items;
    size_t count, capacity;
    bool failed; /* memory is out; asked once at the end */
};

struct address {
    char *base;  /* scheme://host[:port]/path */
    char *query; /* as it stands in the address; NULL: none */
};

/* Takes over two encoded strings; either may be NULL when memory was out. */
static void pairs_take(struct pairs *p, char *name, char *value)
{
    if (p->count == p->capacity) {
        size_t capacity = p->capacity ? p->capacity * 2 : 16;
        struct pair *grown = realloc(p->items, capacity * sizeof *grown);
        p->items = grown ? grown : p->items;
        p->capacity = grown ? capacity : p->capacity;
    }
    if (p->count == p->capacity || !name || !value) {
        p->failed = true;
        free(name);
        free(value);
        return;
    }
    p->items[p->count++] = (struct pair){name, value};
}

/* Adds a raw parameter. */
static void pairs_add(struct pairs *p, const char *name, const char *value)
{
    pairs_take(p, oauth_url_escape(name), oauth_url_escape(value));
}

static void pairs_add_all(struct pairs *p, const struct pairs *from)
{
    for (size_t i = 0; i < from->count; i++) {
        pairs_take(p, strdup(from->items[i].name), strdup(from->items[i].value));
    }
    p->failed |= from->failed;
}

static void pairs_free(struct pairs *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->items[i].name);
        free(p->items[i].value);
    }
    free(p->items);
}

/* By encoded name, then by encoded value, in byte order (RFC 5849, section 3.4.1.3.2). */
static int compare_pairs(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    int by_name = strcmp(x->name, y->name);
    return by_name ? by_name : strcmp(x->value, y->value);
}

/* A name or value of the query, decoded: '+' means space there. NULL: memory is out or it holds a NUL byte.
 */
static char *decode_piece(const char *at, size_t length)
{
    char *copy = view_copy(view_make(at, length));
    if (!copy) {
        return NULL;
    }
    for (char *c = copy; *c; c++) {
        *c = *c == '+' ? ' ' : *c;
    }
    size_t decoded_length = 0;
    char *decoded = oauth_url_unescape(copy, &decoded_length);
    free(copy);
    if (decoded && strlen(decoded) != decoded_length) {
        free(decoded);
        decoded = NULL;
    }
    return decoded;
}

static void add_query(struct pairs *p, const char *query)
{
    while (query && *query) {
        size_t length = strcspn(query, "&");
        if (length) {
            const char *equals = memchr(query, '=', length);
            size_t name_length = equals ? (size_t)(equals - query) : length;
            char *name = decode_piece(query, name_length);
            char *value = equals ? decode_piece(equals + 1, length - name_length - 1) : decode_piece("", 0);
            if (name && value) {
                pairs_add(p, name, value);
            } else {
                p->failed = true;
            }
            free(name);
            free(value);
        }
        query += length + (query[length] == '&');
    }
}

static char *url_part(CURLU *handle, CURLUPart part, unsigned flags)
{
    char *text = NULL;
    return curl_url_get(handle, part, &text, flags) == CURLUE_OK ? text : NULL;
}

static bool is_default_port(const char *scheme, const char *port)
{
    return strcmp(port, strcmp(scheme, "https") == 0 ? "443" : "80") == 0;
}

/* Scheme and host in lower case, no default port, no fragment. */
static char *join_base(const char *scheme, char *host, const char *port, const char *path)
{
    for (char *c = host; *c; c++) {
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    }
    bool with_port = port && !is_default_port(scheme, port);
    char *base = NULL;
    int n = asprintf(&base, "%s://%s%s%s%s", scheme, host, with_port ? ":" : "", with_port ? port : "",
                     path && *path ? path : "/");
    return n < 0 ? NULL : base;
}

static int parse_address(const char *url, struct address *out, struct err *e)
{
    int status = -1;
    char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL, *user = NULL, *query = NULL;
    *out = (struct address){NULL, NULL};
    CURLU *handle = curl_url();
    if (!handle) {
        return err_set(e, ERR_RETRY, "memory is out");
    }
    CURLUcode code = curl_url_set(handle, CURLUPART_URL, url, 0);
    if (code != CURLUE_OK) {
        /* With an '@' it may hold a password. */
        err_set(e, ERR_FATAL, "%s is no address: %s", strchr(url, '@') ? "this" : url,
                curl_url_strerror(code));
        goto done;
    }
    scheme = url_part(handle, CURLUPART_SCHEME, 0);
    host = url_part(handle, CURLUPART_HOST, 0);
    port = url_part(handle, CURLUPART_PORT, 0);
    path = url_part(handle, CURLUPART_PATH, 0);
    user = url_part(handle, CURLUPART_USER, 0);
    query = url_part(handle, CURLUPART_QUERY, 0);
    if (!scheme || !host || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)) {
        err_set(e, ERR_FATAL,
                "%s is no address that can be streamed from: it must begin with https:// or http://", url);
        goto done;
    }
    if (user) { /* not shown: it may come with a password */
        err_set(e, ERR_FATAL, "the address of host %s holds a user name: keys belong into their own settings",
                host);
        goto done;
    }
    out->base = join_base(scheme, host, port, path);
    out->query = query ? view_copy(view_of(query)) : NULL;
    status = out->base && (!query || out->query) ? 0 : err_set(e, ERR_RETRY, "memory is out");
done:
    curl_free(query);
    curl_free(user);
    curl_free(path);
    curl_free(port);
    curl_free(host);
    curl_free(scheme);
    curl_url_cleanup(handle);
    return status;
}

/* The oauth_* parameters but the signature. */
static void add_protocol(struct pairs *p, const struct oauth_credentials *c, const struct oauth_fixed *fixed)
{
    char nonce[2 * NONCE_BYTES + 1], seconds[24];
    random_hex(nonce, NONCE_BYTES);
    snprintf(seconds, sizeof seconds, "%lld", (long long)(clock_wall_ms() / 1000));
    pairs_add(p, "oauth_consumer_key", c->api_key);
    pairs_add(p, "oauth_nonce", fixed && fixed->nonce ? fixed->nonce : nonce);
    pairs_add(p, "oauth_signature_method", "HMAC-SHA1");
    pairs_add(p, "oauth_timestamp", fixed && fixed->timestamp ? fixed->timestamp : seconds);
    if (c->access_token) {
        pairs_add(p, "oauth_token", c->access_token);
    }
    if (!fixed || !fixed->no_version) {
        pairs_add(p, "oauth_version", "1.0");
    }
}

/* "name=value" of all, joined by `between`; `quote` is put around values. NULL: memory is out or too much. */
static char *join_pairs(const struct pairs *p, const char *between, const char *quote)
{
    struct buffer b = BUFFER(MAXIMUM_TEXT);
    size_t length = 1, more = strlen(between) + 2 * strlen(quote) + 1;
    for (size_t i = 0; i < p->count; i++) {
        length += strlen(p->items[i].name) + strlen(p->items[i].value) + more;
    }
    buffer_reserve(&b, length); /* one that grows would leave copies of a signature behind */
    for (size_t i = 0; i < p->count; i++) {
        buffer_add_text(&b, i ? between : "");
        buffer_add_text(&b, p->items[i].name);
        buffer_add_byte(&b, '=');
        buffer_add_text(&b, quote);
        buffer_add_text(&b, p->items[i].value);
        buffer_add_text(&b, quote);
    }
    if (!buffer_string(&b)) {
        wipe_buffer(&b);
    }
    return b.data;
}

/* Not by oauth_catenc or asprintf, which free copies of the secrets as they are. NULL: memory is out. */
static char *make_key(const struct oauth_credentials *c)
{
    char *api = oauth_url_escape(c->api_secret), *access = oauth_url_escape(c->access_secret);
    struct buffer key = BUFFER(MAXIMUM_TEXT);
    buffer_print(&key, "%s&%s", api ? api : "", access ? access : "");
    if (!api || !access) {
        wipe_buffer(&key);
    }
    wipe_string(api);
    wipe_string(access);
    return key.data;
}

/* base64(HMAC-SHA1) of the signature base string over all parameters; NULL: memory is out. */
static char *make_signature(const struct oauth_credentials *c, const char *method, const char *base,
                            struct pairs *all)
{
    if (all->items) {
        qsort(all->items, all->count, sizeof *all->items, compare_pairs);
    }
    char *parameters = join_pairs(all, "&", "");
    char *message = parameters ? oauth_catenc(3, method, base, parameters) : NULL;
    char *key = make_key(c);
    char *signature = message && key ? hmac_sha1_base64(message, key) : NULL;
    wipe_string(key);
    free(message);
    free(parameters);
    return signature;
}

static int check_request(const struct oauth_credentials *c, const char *method, size_t count, struct err *e)
{
    if (!c->api_key || !c->api_secret) {
        return err_set(e, ERR_FATAL, "api_key and api_secret are needed to sign a request");
    }
    if (count && strcmp(method, "POST") != 0) {
        return err_set(e, ERR_FATAL, "a %s request has no form body: its parameters belong into the address",
                       method);
    }
    return 0;
}

/* Fills *out from the parsed address, the form and the protocol parameters (signature included). */
static int write_request(const struct address *address, const struct pairs *form,
                         const struct pairs *protocol, struct oauth_request *out, struct err *e)
{
    char *header = join_pairs(protocol, ", ", "\"");
    struct buffer authorization = BUFFER(MAXIMUM_TEXT);
    *out = (struct oauth_request){NULL, NULL, join_pairs(form, "&", "")};
    if (asprintf(&out->url, "%s%s%s", address->base, address->query ? "?" : "",
                 address->query ? address->query : "") < 0) {
        out->url = NULL;
    }
    if (header) {
        buffer_print(&authorization, "Authorization: OAuth %s", header);
    }
    out->authorization = authorization.data;
    wipe_string(header);
    if (!out->url || !out->authorization || !out->body) {
        oauth_request_free(out);
        return err_set(e, ERR_RETRY,
                       "a request to %s could not be built: memory is out, or over 1 MiB of parameters",
                       address->base);
    }
    return 0;
}

int oauth_sign_request(const struct oauth_credentials *credentials, const char *method, const char *url,
                       const struct oauth_param *params, size_t count, const struct oauth_fixed *fixed,
                       struct oauth_request *out, struct err *e)
{
    int status = -1;
    struct address address = {NULL, NULL};
    struct pairs form = {0}, protocol = {0}, all = {0};
    char *signature = NULL;
    *out = (struct oauth_request){NULL, NULL, NULL};
    if (check_request(credentials, method, count, e) || parse_address(url, &address, e)) {
        goto done;
    }
    for (size_t i = 0; i < count; i++) {
        pairs_add(&form, params[i].name, params[i].value);
    }
    add_protocol(&protocol, credentials, fixed);
    add_query(&all, address.query);
    pairs_add_all(&all, &form);
    pairs_add_all(&all, &protocol);
    if (!all.failed) {
        signature = make_signature(credentials, method, address.base, &all);
    }
    if (!signature) {
        err_set(e, ERR_RETRY, "a request to %s could not be signed: memory is out, or its query holds %%00",
                address.base);
        goto done;
    }
    pairs_add(&protocol, "oauth_signature", signature);
    status = write_request(&address, &form, &protocol, out, e);
done:
    free(signature);
    pairs_free(&all);
    pairs_free(&protocol);
    pairs_free(&form);
    free(address.base);
    free(address.query);
    return status;
}

void oauth_request_free(struct oauth_request *request)
{
    free(request->url);
    wipe_string(request->authorization);
    free(request->body);
    *request = (struct oauth_request){NULL, NULL, NULL};
}
