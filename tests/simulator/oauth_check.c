/* The signature, seen from the receiving side: published vectors, ours, and each with something changed. */
#include "simulator/oauth_check.h"

#include <criterion/criterion.h>

#include <stdio.h>

#define HOST_OF_STREAM "stream.twitter.com"
#define FILTER         "/1.1/statuses/filter.json"
#define KEY            "xvz1evFS4wEEPTGEFPHBog"
#define SECRET         "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw"
#define TOKEN          "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb"
#define TOKEN_SECRET   "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE"
#define NONCE          "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg"

enum { TIME = 1318622958 };

struct vector {
    const char *name, *method, *scheme, *host, *path, *query, *form, *secret, *token_secret, *signature;
    const char *header; /* without the signature; NULL: the one of X's worked example */
};

static const char X_HEADER[] = "OAuth oauth_consumer_key=\"" KEY "\", oauth_nonce=\"" NONCE
                               "\", oauth_signature_method=\"HMAC-SHA1\", oauth_timestamp=\"1318622958\", "
                               "oauth_token=\"" TOKEN "\", oauth_version=\"1.0\"";

#define X SECRET, TOKEN_SECRET
#define PHOTOS                                                                                               \
    "OAuth realm=\"Photos\", oauth_consumer_key=\"dpf43f3p2l4k3l03\", oauth_signature_method=\"HMAC-SHA1\""

static const struct vector VECTORS[] = {
    {"worked example, 1", "POST", "https", "api.twitter.com", "/1/statuses/update.json",
     "include_entities=true", "status=Hello%20Ladies%20%2b%20Gentlemen%2c%20a%20signed%20OAuth%20request%21",
     X, "tnnArxj06cWHq44gCs1OSKk/jLY=", NULL},
    {"worked example, 1.1", "POST", "https", "api.twitter.com", "/1.1/statuses/update.json",
     "include_entities=true", "status=Hello+Ladies+%2B+Gentlemen%2C+a+signed+OAuth+request!", X,
     "hCtSmYh+iHYCEqBWrE7C7hYmtUk=", NULL},
    {"worked example, today", "post", "HTTPS", "API.x.com:443", "/1.1/statuses/update.json",
     "include_entities=true", "status=Hello%20Ladies%20%2B%20Gentlemen%2C%20a%20signed%20OAuth%20request%21",
     X, "Ls93hJiZbQ3akF3HF3x1Bz8/zU4=", NULL},
    {"A", "POST", "https", HOST_OF_STREAM, FILTER, NULL, "track=twitter", X,
     "IbbYxXpKe2K8Z2cGjBtIdJUvvVQ=", NULL},
    {"B", "POST", "https", HOST_OF_STREAM, FILTER, NULL,
     "track=golden%20retriever%2C%23caf%C3%A9%2C100%25%20%26%20more&language=en%2Cfr&stall_warnings=true&"
     "delimited=length",
     X, "rUC+EdDyQBagY9i5M93wHnNIBhM=", NULL},
    {"C", "POST", "http", "127.0.0.1:8080", FILTER, NULL, "track=a%2Bb%20c%2Ad%2C~x&language=en", X,
     "6GkszDbJ0KG75B1/gojseybD3wA=", NULL},
    {"D", "POST", "https", HOST_OF_STREAM, FILTER, "delimited=length",
     "track=%E6%97%A5%E6%9C%AC%2Ccaf%C3%A9&language=en%2Cfr", X, "dFtJtHBOjurg3rMQ4g3Alp9bC04=", NULL},
    {"E", "GET", "https", HOST_OF_STREAM, "/1.1/statuses/sample.json", NULL, NULL, X,
     "ls7ICybklnXwB38lSsiMWCiDtvc=", NULL},
    {"F, no token secret", "POST", "https", HOST_OF_STREAM, FILTER, NULL, "track=twitter", SECRET, "",
     "cLRQQUAggxhuYuvbFjfJkxoViTo=", NULL},
    {"RFC 5849, initiate", "POST", "https", "photos.example.net", "/initiate", NULL, NULL, "kd94hf93k423kf44",
     "", "74KNZJeDHnMBp0EMJ9ZHt/XKycU=",
     PHOTOS ", oauth_timestamp=\"137131200\", oauth_nonce=\"wIjqoS\", "
            "oauth_callback=\"http%3A%2F%2Fprinter.example.com%2Fready\""},
    {"RFC 5849, token", "POST", "https", "photos.example.net", "/token", NULL, NULL, "kd94hf93k423kf44",
     "hdhd0244k9j7ao03", "gKgrFCywp7rO0OXSjdot/IHF7IU=",
     PHOTOS ", oauth_token=\"hh5s93j4hdidpola\", oauth_timestamp=\"137131201\", oauth_nonce=\"walatlh\", "
            "oauth_verifier=\"hfdp7dh39dks9884\""},
    {"RFC 5849, photos", "GET", "http", "photos.example.net:80", "/photos", "file=vacation.jpg&size=original",
     NULL, "kd94hf93k423kf44", "pfkkdhi9sl3r4s00", "MdpQcU8iPSUjWoN/UDMsK2sui9I=",
     PHOTOS ", oauth_token=\"nnch734d00sl2jdk\", oauth_timestamp=\"137131202\", oauth_nonce=\"chapoH\""},
    {"RFC 5849, 3.4.1", "POST", "http", "EXAMPLE.COM", "/request", "b5=%3D%253D&a3=a&c%40=&a2=r%20b",
     "c2&a3=2+q", "j49sk3j29djd", "dh893hdasih9", "r6/TJjbCOr97/+UU0NsvSne7s5g=",
     "OAuth realm=\"Example\", oauth_consumer_key=\"9djdj82h48djs9d2\", oauth_token=\"kkk9d7dh3k39sjv7\", "
     "oauth_signature_method=\"HMAC-SHA1\", oauth_timestamp=\"137131201\", oauth_nonce=\"7d8f3e4a\""},
    {"OAuth Core, photos", "GET", "http", "photos.example.net", "/photos", "file=vacation.jpg&size=original",
     NULL, "kd94hf93k423kf44", "pfkkdhi9sl3r4s00", "tR3+Ty81lMeYAr/Fid0kMTYa/WM=",
     PHOTOS
     ", oauth_token=\"nnch734d00sl2jdk\", oauth_timestamp=\"1191242096\", oauth_nonce=\"kllo9940pd9333jh\", "
     "oauth_version=\"1.0\""},
};

enum { VECTOR_COUNT = sizeof VECTORS / sizeof *VECTORS };

static void escape(const char *signature, char escaped[128])
{
    size_t n = 0;
    for (const char *c = signature; *c; c++) {
        n += (size_t)snprintf(escaped + n, 128 - n, strchr("+/=", *c) ? "%%%02X" : "%c", (unsigned)*c);
    }
}

static struct oauth_request request_of(const struct vector *v, char header[2000])
{
    char signature[128];
    escape(v->signature, signature);
    snprintf(header, 2000, "%s, oauth_signature=\"%s\"", v->header ? v->header : X_HEADER, signature);
    return (struct oauth_request){view_of(v->method), view_of(v->scheme), view_of(v->host), view_of(v->path),
                                  view_of(v->query),  view_of(v->form),   view_of(header)};
}

static int check(const struct vector *v)
{
    struct err e;
    char header[2000];
    struct oauth_request r = request_of(v, header);
    return oauth_check_signature(&r, v->secret, v->token_secret, &e);
}

Test(oauth_check, accepts_every_published_signature)
{
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        cr_expect_eq(check(&VECTORS[i]), 0, "%s", VECTORS[i].name);
    }
}

Test(oauth_check, refuses_every_vector_with_one_thing_changed)
{
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        struct vector v = VECTORS[i];
        v.secret = "another";
        cr_expect_eq(check(&v), -1, "%s: secret", v.name);
        v = VECTORS[i];
        v.token_secret = "another";
        cr_expect_eq(check(&v), -1, "%s: token secret", v.name);
        v = VECTORS[i];
        v.path = "/another";
        cr_expect_eq(check(&v), -1, "%s: path", v.name);
        v = VECTORS[i];
        v.host = "127.0.0.1:8081";
        cr_expect_eq(check(&v), -1, "%s: port", v.name);
        v = VECTORS[i];
        v.method = "PUT";
        cr_expect_eq(check(&v), -1, "%s: method", v.name);
        v = VECTORS[i];
        v.form = "track=another";
        cr_expect_eq(check(&v), -1, "%s: body", v.name);
        v = VECTORS[i];
        v.query = "extra=1";
        cr_expect_eq(check(&v), -1, "%s: query", v.name);
        v = VECTORS[i];
        v.signature = "";
        cr_expect_eq(check(&v), -1, "%s: empty signature", v.name);
    }
}

Test(oauth_check, base_string_is_the_documented_one)
{
    struct err e;
    struct buffer base = BUFFER(10000);
    char header[2000];
    struct oauth_request r = request_of(&VECTORS[1], header);
    cr_assert_eq(oauth_check_base_string(&r, &base, &e), 0);
    cr_expect_str_eq(
        buffer_string(&base),
        "POST&https%3A%2F%2Fapi.twitter.com%2F1.1%2Fstatuses%2Fupdate.json&include_entities%3Dtrue%26"
        "oauth_consumer_key%3Dxvz1evFS4wEEPTGEFPHBog%26oauth_nonce%3D"
        "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg%26oauth_signature_method%3DHMAC-SHA1%26"
        "oauth_timestamp%3D1318622958%26oauth_token%3D370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb"
        "%26oauth_version%3D1.0%26status%3DHello%2520Ladies%2520%252B%2520Gentlemen%252C%2520a%2520signed"
        "%2520OAuth%2520request%2521");
    buffer_reset(&base);
    r = request_of(&VECTORS[12], header);
    cr_assert_eq(oauth_check_base_string(&r, &base, &e), 0);
    cr_expect_str_eq(
        buffer_string(&base),
        "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D"
        "%26c%2540%3D%26c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26"
        "oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D137131201%26oauth_token%3D"
        "kkk9d7dh3k39sjv7");
    buffer_free(&base);
}

static const struct oauth_account ACCOUNTS[] = {{"other", "s", "t", "ts"},
                                                {KEY, SECRET, TOKEN, TOKEN_SECRET}};

/* Vector A with another header, at another time; the account or -1, and why. */
static int ask(struct oauth_check *c, const struct vector *v, int64_t now, struct err *e)
{
    char header[2000];
    struct oauth_request r = request_of(v, header);
    size_t account = 0;
    return oauth_check_request(c, &r, now, &account, e) == 0 ? (int)account : -1;
}

static void expect_refused(const struct vector *v, int64_t now, const char *why)
{
    struct err e = {.text = ""};
    struct oauth_check *c = oauth_check_new(ACCOUNTS, 2);
    cr_expect_eq(ask(c, v, now, &e), -1, "%s", why);
    cr_expect(strstr(e.text, why), "'%s' should say '%s'", e.text, why);
    cr_expect(!strstr(e.text, SECRET) && !strstr(e.text, TOKEN_SECRET));
    oauth_check_free(c);
}

Test(oauth_check, a_nonce_works_once)
{
    struct err e;
    struct oauth_check *c = oauth_check_new(ACCOUNTS, 2);
    cr_expect_eq(ask(c, &VECTORS[3], TIME, &e), 1);
    cr_expect_eq(ask(c, &VECTORS[3], TIME + 1, &e), -1);
    cr_expect(strstr(e.text, "nonce"));
    oauth_check_free(c);
}

Test(oauth_check, a_wrong_signature_does_not_use_the_nonce_up)
{
    struct err e;
    struct oauth_check *c = oauth_check_new(ACCOUNTS, 2);
    struct vector v = VECTORS[3];
    v.signature = "IbbYxXpKe2K8Z2cGjBtIdJUvvVR=";
    cr_expect_eq(ask(c, &v, TIME, &e), -1);
    cr_expect_eq(ask(c, &VECTORS[3], TIME, &e), 1);
    oauth_check_free(c);
}

Test(oauth_check, the_timestamp_window_is_300_seconds_each_way)
{
    struct err e;
    int64_t within[] = {TIME - 300, TIME, TIME + 300};
    for (size_t i = 0; i < 3; i++) {
        struct oauth_check *c = oauth_check_new(ACCOUNTS, 2);
        cr_expect_eq(ask(c, &VECTORS[3], within[i], &e), 1);
        oauth_check_free(c);
    }
    expect_refused(&VECTORS[3], TIME - 301, "301 s off");
    expect_refused(&VECTORS[3], TIME + 301, "301 s off");
}

#define HEADER(key, nonce, method, time, token, rest)                                                        \
    "OAuth oauth_consumer_key=\"" key "\", oauth_nonce=\"" nonce "\", oauth_signature_method=\"" method      \
    "\", oauth_timestamp=\"" time "\", oauth_token=\"" token "\"" rest

Test(oauth_check, refuses_what_the_documents_forbid)
{
    struct vector v = VECTORS[3];
    v.header = HEADER("unknown", NONCE, "HMAC-SHA1", "1318622958", TOKEN, "");
    expect_refused(&v, TIME, "unknown API key");
    v.header = HEADER(KEY, NONCE, "HMAC-SHA1", "1318622958", "t", "");
    expect_refused(&v, TIME, "unknown access token");
    v.header = HEADER(KEY, NONCE, "PLAINTEXT", "1318622958", TOKEN, "");
    expect_refused(&v, TIME, "HMAC-SHA1");
    v.header = HEADER(KEY, NONCE, "HMAC-SHA1", "1318622958", TOKEN, ", oauth_version=\"2.0\"");
    expect_refused(&v, TIME, "oauth_version");
    v.header = HEADER(KEY, "", "HMAC-SHA1", "1318622958", TOKEN, "");
    expect_refused(&v, TIME, "oauth_nonce");
    v.header = HEADER(KEY, NONCE, "HMAC-SHA1", "yesterday", TOKEN, "");
    expect_refused(&v, TIME, "oauth_timestamp");
    v.header = "Bearer abc";
    expect_refused(&v, TIME, "no OAuth");
    v = VECTORS[3];
    v.form = "track=twitter&track=twitter";
    expect_refused(&v, TIME, "track is given twice");
    v = VECTORS[3];
    v.query = "track=twitter"; /* once in the query, once in the body */
    expect_refused(&v, TIME, "given twice");
    v = VECTORS[3];
    v.form = "track=%00";
    expect_refused(&v, TIME, "NUL");
}
