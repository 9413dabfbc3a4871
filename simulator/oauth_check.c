#include "simulator/oauth_check.h"

#include "base/number.h"
#include "simulator/parameters.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <strings.h>

#include <oauth.h>

struct nonce {
    uint64_t hash; /* of key, token, timestamp and nonce: two different ones share it once in 2^64 */
    int64_t until_s;
};

struct oauth_check {
    struct oauth_account *accounts;
    size_t account_count;
    struct nonce *nonces; /* a ring: the next one overwrites the oldest */
    size_t nonce_next;
};

static struct view next_pair(struct view *rest)
{
    bool quoted = false;
    size_t i = 0;
    while (i < rest->length && (quoted || rest->at[i] != ',')) {
        quoted ^= rest->at[i] == '"';
        i++;
    }
    struct view pair = view_trim(view_make(rest->at, i));
    *rest = view_from(*rest, i + 1);
    return pair;
}

/* Adds the name="value" pairs of an Authorization header, without realm. */
static int add_header(struct parameters *p, struct view header, struct err *e)
{
    static const struct view scheme = {"OAuth", 5};
    if (header.length <= scheme.length || strncasecmp(header.at, scheme.at, scheme.length) != 0 ||
        !isspace((unsigned char)header.at[scheme.length])) {
        return err_set(e, ERR_REJECT, "no OAuth authorization header");
    }
    struct view rest = view_from(header, scheme.length);
    while (rest.length) {
        struct view pair = next_pair(&rest);
        if (!pair.length) {
            continue;
        }
        const char *equals = memchr(pair.at, '=', pair.length);
        if (!equals) {
            return err_set(e, ERR_REJECT, "a part of the authorization header is no name=\"value\"");
        }
        struct view name = view_trim(view_make(pair.at, (size_t)(equals - pair.at)));
        struct view value = view_trim(view_from(pair, (size_t)(equals - pair.at) + 1));
        if (value.length >= 2 && value.at[0] == '"' && value.at[value.length - 1] == '"') {
            value = view_make(value.at + 1, value.length - 2);
        }
        if (name.length == 5 && strncasecmp(name.at, "realm", 5) == 0) {
            continue;
        }
        char *decoded_name = parameters_decode(name, false), *decoded = parameters_decode(value, false);
        int added = decoded_name && decoded
                        ? parameters_add(p, view_of(decoded_name), view_of(decoded), e)
                        : err_set(e, ERR_REJECT, "the authorization header holds a NUL byte");
        free(decoded_name);
        free(decoded);
        if (added < 0) {
            return -1;
        }
    }
    return 0;
}

static int collect(const struct oauth_request *r, struct parameters *p, struct err *e)
{
    if (add_header(p, r->authorization, e) < 0 || parameters_add_form(p, r->query, e) < 0 ||
        parameters_add_form(p, r->form, e) < 0) {
        return -1;
    }
    return 0;
}

static int compare_strings(const void *a, const void *b)
{
    const struct parameter *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : strcmp(x->value, y->value);
}

/* "a=1&b=2" of the parameters, both sides escaped and then sorted, as RFC 5849 section 3.4.1.3.2 says. */
static int normalise(const struct parameters *p, struct buffer *into)
{
    struct parameter *escaped = calloc(p->count + 1, sizeof *escaped);
    if (!escaped) {
        return -1;
    }
    size_t count = 0;
    bool failed = false;
    for (size_t i = 0; i < p->count; i++) {
        if (strcmp(p->items[i].name, "oauth_signature") != 0) {
            escaped[count] =
                (struct parameter){oauth_url_escape(p->items[i].name), oauth_url_escape(p->items[i].value)};
            failed = failed || !escaped[count].name || !escaped[count].value;
            count++;
        }
    }
    if (!failed) {
        qsort(escaped, count, sizeof *escaped, compare_strings);
        for (size_t i = 0; i < count; i++) {
            buffer_add_text(into, i ? "&" : "");
            buffer_add_text(into, escaped[i].name);
            buffer_add_byte(into, '=');
            buffer_add_text(into, escaped[i].value);
        }
    }
    for (size_t i = 0; i < count; i++) {
        free(escaped[i].name);
        free(escaped[i].value);
    }
    free(escaped);
    return failed || buffer_failed(into) ? -1 : 0;
}

/* scheme://host/path in lower case but for the path, without the scheme's own port (section 3.4.1.2). */
static void add_base_uri(const struct oauth_request *r, struct buffer *into)
{
    bool secure = r->scheme.length == 5;
    struct view host = r->host, port = secure ? VIEW(":443") : VIEW(":80");
    if (host.length > port.length && memcmp(host.at + host.length - port.length, port.at, port.length) == 0) {
        host.length -= port.length;
    }
    buffer_add_text(into, secure ? "https://" : "http://");
    for (size_t i = 0; i < host.length; i++) {
        buffer_add_byte(into, (char)tolower((unsigned char)host.at[i]));
    }
    buffer_add_view(into, r->path);
}

static void add_escaped(struct buffer *into, struct buffer *from)
{
    const char *string = buffer_string(from);
    char *escaped = string ? oauth_url_escape(string) : NULL;
    if (escaped) {
        buffer_add_text(into, escaped);
    } else {
        into->failed = true;
    }
    free(escaped);
}

static int base_string(const struct oauth_request *r, const struct parameters *p, struct buffer *into,
                       struct err *e)
{
    struct buffer uri = BUFFER(64 << 10), normal = BUFFER(8 << 20);
    add_base_uri(r, &uri);
    int result = normalise(p, &normal);
    for (size_t i = 0; i < r->method.length; i++) {
        buffer_add_byte(into, (char)toupper((unsigned char)r->method.at[i]));
    }
    buffer_add_byte(into, '&');
    add_escaped(into, &uri);
    buffer_add_byte(into, '&');
    add_escaped(into, &normal);
    buffer_free(&uri);
    buffer_free(&normal);
    if (result < 0 || buffer_failed(into)) {
        return err_set(e, ERR_REJECT, "the request is too large to be verified, or memory is out");
    }
    return 0;
}

int oauth_check_base_string(const struct oauth_request *request, struct buffer *into, struct err *e)
{
    struct parameters p = {0};
    int result = collect(request, &p, e) < 0 ? -1 : base_string(request, &p, into, e);
    parameters_free(&p);
    return result;
}

static int verify(const struct oauth_request *r, const struct parameters *p, const char *api_secret,
                  const char *access_secret, struct err *e)
{
    const char *given = parameters_find(p, "oauth_signature");
    if (!given) {
        return err_set(e, ERR_REJECT, "no oauth_signature");
    }
    struct buffer base = BUFFER(32 << 20);
    char *key = NULL, *expected = NULL;
    int result = base_string(r, p, &base, e);
    if (result < 0) {
        goto done;
    }
    key = oauth_catenc(2, api_secret, access_secret);
    const char *message = buffer_string(&base);
    expected = key && message ? oauth_sign_hmac_sha1(message, key) : NULL;
    if (!expected) {
        result = err_set(e, ERR_RETRY, "memory is out");
    } else if (!oauth_time_independent_equals_n(given, expected, strlen(given), strlen(expected))) {
        result = err_set(e, ERR_REJECT, "wrong oauth_signature");
    }
done:
    free(key);
    free(expected);
    buffer_free(&base);
    return result;
}

int oauth_check_signature(const struct oauth_request *request, const char *api_secret,
                          const char *access_secret, struct err *e)
{
    struct parameters p = {0};
    int result = collect(request, &p, e) < 0 ? -1 : verify(request, &p, api_secret, access_secret, e);
    parameters_free(&p);
    return result;
}

struct oauth_check *oauth_check_new(const struct oauth_account *accounts, size_t count)
{
    struct oauth_check *check = calloc(1, sizeof *check);
    if (!check) {
        return NULL;
    }
    check->accounts = calloc(count + 1, sizeof *check->accounts);
    check->nonces = calloc(OAUTH_CHECK_NONCES, sizeof *check->nonces);
    if (!check->accounts || !check->nonces) {
        oauth_check_free(check);
        return NULL;
    }
    memcpy(check->accounts, accounts, count * sizeof *accounts);
    check->account_count = count;
    return check;
}

/* In constant time, like the signature: a key is half a secret. */
static bool same(const char *a, const char *b)
{
    return oauth_time_independent_equals_n(a, b, strlen(a), strlen(b)) != 0;
}

static int find_account(const struct oauth_check *check, const struct parameters *p, size_t *account,
                        struct err *e)
{
    const char *key = parameters_find(p, "oauth_consumer_key"), *token = parameters_find(p, "oauth_token");
    if (!key || !token) {
        return err_set(e, ERR_REJECT, "no %s", key ? "oauth_token" : "oauth_consumer_key");
    }
    bool known_key = false;
    for (size_t i = 0; i < check->account_count; i++) {
        if (same(key, check->accounts[i].api_key)) {
            known_key = true;
            if (same(token, check->accounts[i].access_token)) {
                *account = i;
                return 0;
            }
        }
    }
    return err_set(e, ERR_REJECT, known_key ? "unknown access token" : "unknown API key");
}

static int check_form(const struct parameters *p, int64_t now_s, int64_t *timestamp, struct err *e)
{
    const char *twice = parameters_duplicate(p);
    if (twice) {
        return err_set(e, ERR_REJECT, "the parameter %.60s is given twice", twice);
    }
    const char *method = parameters_find(p, "oauth_signature_method"),
               *version = parameters_find(p, "oauth_version");
    if (!method || strcmp(method, "HMAC-SHA1") != 0) {
        return err_set(e, ERR_REJECT, "oauth_signature_method is not HMAC-SHA1");
    }
    if (version && strcmp(version, "1.0") != 0) {
        return err_set(e, ERR_REJECT, "oauth_version is not 1.0");
    }
    const char *nonce = parameters_find(p, "oauth_nonce"), *time = parameters_find(p, "oauth_timestamp");
    if (!nonce || !*nonce) {
        return err_set(e, ERR_REJECT, "no oauth_nonce");
    }
    if (!time || number_parse(view_of(time), 1, INT64_MAX / 2, timestamp) < 0) {
        return err_set(e, ERR_REJECT, "oauth_timestamp is no number of seconds");
    }
    int64_t off = now_s - *timestamp;
    if (off > OAUTH_CHECK_WINDOW_S || off < -OAUTH_CHECK_WINDOW_S) {
        return err_set(e, ERR_REJECT, "oauth_timestamp is %lld s off (at most %d are allowed)",
                       (long long)off, OAUTH_CHECK_WINDOW_S);
    }
    return 0;
}

static uint64_t hash_string(uint64_t hash, const char *string)
{
    for (const char *c = string;; c++) {
        hash = (hash ^ (unsigned char)*c) * 0x100000001B3u; /* FNV-1a, the ending NUL included */
        if (!*c) {
            return hash;
        }
    }
}

static int use_nonce(struct oauth_check *check, const struct parameters *p, int64_t now_s, struct err *e)
{
    uint64_t hash = 0xCBF29CE484222325u;
    static const char *const of[] = {"oauth_consumer_key", "oauth_token", "oauth_timestamp", "oauth_nonce"};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        hash = hash_string(hash, parameters_find(p, of[i]));
    }
    for (size_t i = 0; i < OAUTH_CHECK_NONCES; i++) {
        if (check->nonces[i].hash == hash && check->nonces[i].until_s >= now_s) {
            return err_set(e, ERR_REJECT, "oauth_nonce was used before");
        }
    }
    /* A timestamp from the future stays acceptable for twice the window. */
    check->nonces[check->nonce_next] = (struct nonce){hash, now_s + 2 * OAUTH_CHECK_WINDOW_S};
    check->nonce_next = (check->nonce_next + 1) % OAUTH_CHECK_NONCES;
    return 0;
}

int oauth_check_request(struct oauth_check *check, const struct oauth_request *request, int64_t now_s,
                        size_t *account, struct err *e)
{
    struct parameters p = {0};
    int64_t timestamp;
    int result = -1;
    if (collect(request, &p, e) < 0 || check_form(&p, now_s, &timestamp, e) < 0 ||
        find_account(check, &p, account, e) < 0) {
        goto done;
    }
    const struct oauth_account *a = &check->accounts[*account];
    /* The signature first: only its owner can use a nonce up. */
    if (verify(request, &p, a->api_secret, a->access_secret, e) < 0 || use_nonce(check, &p, now_s, e) < 0) {
        goto done;
    }
    result = 0;
done:
    parameters_free(&p);
    return result;
}

void oauth_check_free(struct oauth_check *check)
{
    if (check) {
        free(check->accounts);
        free(check->nonces);
        free(check);
    }
}
