/* The signature against published vectors: Twitter's worked example in three editions, roost's own A to F,
 * RFC 5849 sections 1.2 and 3.4.1, OAuth Core 1.0. The simulator is not the judge here.
 */
#include "ingest/oauth.h"

#include "base/view.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <curl/curl.h>
#include <oauth.h>
#include <stdlib.h>
#include <string.h>

static const struct oauth_credentials twitter = {
    "xvz1evFS4wEEPTGEFPHBog", "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw",
    "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb", "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE"};
static const struct oauth_fixed twitter_fixed = {"kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg", "1318622958",
                                                 false};

#define FILTER "https://stream.twitter.com/1.1/statuses/filter.json"

/* The signature as it stands in the header, decoded again. The caller frees. */
static char *signature_in(const char *authorization)
{
    const char *at = strstr(authorization, "oauth_signature=\"");
    if (!at) {
        return NULL;
    }
    at += strlen("oauth_signature=\"");
    char *encoded = view_copy(view_make(at, strcspn(at, "\"")));
    char *decoded = oauth_url_unescape(encoded, NULL);
    free(encoded);
    return decoded;
}

static void expect(const struct oauth_credentials *keys, const struct oauth_fixed *fixed, const char *method,
                   const char *url, const struct oauth_param *params, size_t count, const char *signature)
{
    struct oauth_request request;
    struct err e;
    cr_assert(eq(int, oauth_sign_request(keys, method, url, params, count, fixed, &request, &e), 0), "%s",
              e.text);
    char *got = signature_in(request.authorization);
    cr_expect(eq(str, got, (char *)signature), "%s %s", method, url);
    free(got);
    oauth_request_free(&request);
}

Test(oauth, twitters_worked_example_has_its_published_signatures)
{
    const struct oauth_param status[] = {{"status", "Hello Ladies + Gentlemen, a signed OAuth request!"}};
    expect(&twitter, &twitter_fixed, "POST",
           "https://api.twitter.com/1/statuses/update.json?include_entities=true", status, 1,
           "tnnArxj06cWHq44gCs1OSKk/jLY=");
    expect(&twitter, &twitter_fixed, "POST",
           "https://api.twitter.com/1.1/statuses/update.json?include_entities=true", status, 1,
           "hCtSmYh+iHYCEqBWrE7C7hYmtUk=");
    expect(&twitter, &twitter_fixed, "POST",
           "https://api.x.com/1.1/statuses/update.json?include_entities=true", status, 1,
           "Ls93hJiZbQ3akF3HF3x1Bz8/zU4=");
}

Test(oauth, address_is_made_canonical_before_it_is_signed)
{
    const struct oauth_param status[] = {{"status", "Hello Ladies + Gentlemen, a signed OAuth request!"}};
    const char *url = "HTTPS://API.Twitter.COM:443/1.1/statuses/update.json?include_entities=true#part";
    expect(&twitter, &twitter_fixed, "POST", url, status, 1, "hCtSmYh+iHYCEqBWrE7C7hYmtUk=");
    struct oauth_request request;
    struct err e;
    cr_assert(eq(int, oauth_sign_request(&twitter, "POST", url, status, 1, NULL, &request, &e), 0));
    cr_expect(eq(str, request.url, "https://api.twitter.com/1.1/statuses/update.json?include_entities=true"));
    oauth_request_free(&request);
}

Test(oauth, port_80_stays_for_https_and_goes_for_http)
{
    static const char *const pairs[][2] = {{"http://a.example:80/x", "http://a.example/x"},
                                           {"https://a.example:80/x", "https://a.example:80/x"},
                                           {"http://a.example:443/x", "http://a.example:443/x"},
                                           {"http://a.example", "http://a.example/"},
                                           {"http://[::1]:8080/x", "http://[::1]:8080/x"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct oauth_request request;
        struct err e;
        cr_assert(eq(int, oauth_sign_request(&twitter, "GET", pairs[i][0], NULL, 0, NULL, &request, &e), 0));
        cr_expect(eq(str, request.url, (char *)pairs[i][1]));
        oauth_request_free(&request);
    }
}

Test(oauth, roost_vectors_a_to_f)
{
    const struct oauth_param a[] = {{"track", "twitter"}};
    expect(&twitter, &twitter_fixed, "POST", FILTER, a, 1, "IbbYxXpKe2K8Z2cGjBtIdJUvvVQ=");
    const struct oauth_param b[] = {{"track", "golden retriever,#café,100% & more"},
                                    {"language", "en,fr"},
                                    {"stall_warnings", "true"},
                                    {"delimited", "length"}};
    expect(&twitter, &twitter_fixed, "POST", FILTER, b, 4, "rUC+EdDyQBagY9i5M93wHnNIBhM=");
    const struct oauth_param c[] = {{"track", "a+b c*d,~x"}, {"language", "en"}};
    expect(&twitter, &twitter_fixed, "POST", "http://127.0.0.1:8080/1.1/statuses/filter.json", c, 2,
           "6GkszDbJ0KG75B1/gojseybD3wA=");
    const struct oauth_param d[] = {{"track", "日本,café"}, {"language", "en,fr"}};
    expect(&twitter, &twitter_fixed, "POST", FILTER "?delimited=length", d, 2,
           "dFtJtHBOjurg3rMQ4g3Alp9bC04=");
    expect(&twitter, &twitter_fixed, "GET", "https://stream.twitter.com/1.1/statuses/sample.json", NULL, 0,
           "ls7ICybklnXwB38lSsiMWCiDtvc=");
    struct oauth_credentials no_secret = twitter;
    no_secret.access_secret = "";
    expect(&no_secret, &twitter_fixed, "POST", FILTER, a, 1, "cLRQQUAggxhuYuvbFjfJkxoViTo=");
    no_secret.access_secret = NULL;
    expect(&no_secret, &twitter_fixed, "POST", FILTER, a, 1, "cLRQQUAggxhuYuvbFjfJkxoViTo=");
}

Test(oauth, form_body_is_what_was_signed)
{
    const struct oauth_param b[] = {{"track", "golden retriever,#café,100% & more"},
                                    {"language", "en,fr"},
                                    {"stall_warnings", "true"},
                                    {"delimited", "length"}};
    struct oauth_request request;
    struct err e;
    cr_assert(eq(int, oauth_sign_request(&twitter, "POST", FILTER, b, 4, NULL, &request, &e), 0));
    cr_expect(eq(
        str, request.body,
        "track=golden%20retriever%2C%23caf%C3%A9%2C100%25%20%26%20more&language=en%2Cfr&stall_warnings=true"
        "&delimited=length"));
    oauth_request_free(&request);
    const struct oauth_param c[] = {{"track", "a+b c*d,~x"}, {"language", "en"}};
    cr_assert(eq(int, oauth_sign_request(&twitter, "POST", FILTER, c, 2, NULL, &request, &e), 0));
    cr_expect(eq(str, request.body, "track=a%2Bb%20c%2Ad%2C~x&language=en"));
    oauth_request_free(&request);
}

Test(oauth, rfc_5849_section_1_2)
{
    const struct oauth_credentials initiate = {"dpf43f3p2l4k3l03", "kd94hf93k423kf44", NULL, NULL};
    const struct oauth_param callback[] = {{"oauth_callback", "http://printer.example.com/ready"}};
    expect(&initiate, &(struct oauth_fixed){"wIjqoS", "137131200", true}, "POST",
           "https://photos.example.net/initiate", callback, 1, "74KNZJeDHnMBp0EMJ9ZHt/XKycU=");
    const struct oauth_credentials token = {"dpf43f3p2l4k3l03", "kd94hf93k423kf44", "hh5s93j4hdidpola",
                                            "hdhd0244k9j7ao03"};
    const struct oauth_param verifier[] = {{"oauth_verifier", "hfdp7dh39dks9884"}};
    expect(&token, &(struct oauth_fixed){"walatlh", "137131201", true}, "POST",
           "https://photos.example.net/token", verifier, 1, "gKgrFCywp7rO0OXSjdot/IHF7IU=");
    const struct oauth_credentials photo = {"dpf43f3p2l4k3l03", "kd94hf93k423kf44", "nnch734d00sl2jdk",
                                            "pfkkdhi9sl3r4s00"};
    expect(&photo, &(struct oauth_fixed){"chapoH", "137131202", true}, "GET",
           "http://photos.example.net/photos?file=vacation.jpg&size=original", NULL, 0,
           "MdpQcU8iPSUjWoN/UDMsK2sui9I=");
}

Test(oauth, rfc_5849_section_3_4_1_with_query_body_duplicates_and_empty_values)
{
    const struct oauth_credentials keys = {"9djdj82h48djs9d2", "j49sk3j29djd", "kkk9d7dh3k39sjv7",
                                           "dh893hdasih9"};
    const struct oauth_param body[] = {{"c2", ""}, {"a3", "2 q"}};
    expect(&keys, &(struct oauth_fixed){"7d8f3e4a", "137131201", true}, "POST",
           "http://example.com/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b", body, 2,
           "r6/TJjbCOr97/+UU0NsvSne7s5g=");
}

Test(oauth, oauth_core_photo_example)
{
    const struct oauth_credentials photo = {"dpf43f3p2l4k3l03", "kd94hf93k423kf44", "nnch734d00sl2jdk",
                                            "pfkkdhi9sl3r4s00"};
    expect(&photo, &(struct oauth_fixed){"kllo9940pd9333jh", "1191242096", false}, "GET",
           "http://photos.example.net/photos?file=vacation.jpg&size=original", NULL, 0,
           "tR3+Ty81lMeYAr/Fid0kMTYa/WM=");
}

Test(oauth, the_librarys_hmac_gives_the_wiki_vectors)
{
    static const char *const rows[][2] = {{"cs&", "egQqG5AJep5sJ7anhXju1unge2I="},
                                          {"cs&ts", "VZVjXceV7JgPq/dOTnNmEfO0Fv8="}};
    for (size_t i = 0; i < 2; i++) {
        char *signature = oauth_sign_hmac_sha1("bs", rows[i][0]);
        cr_expect(eq(str, signature, (char *)rows[i][1]));
        free(signature);
    }
}

Test(oauth, percent_encoding_keeps_only_unreserved_bytes)
{
    static const char *const rows[][2] = {{"Ladies + Gentlemen", "t=Ladies%20%2B%20Gentlemen"},
                                          {"An encoded string!", "t=An%20encoded%20string%21"},
                                          {"Dogs, Cats & Mice", "t=Dogs%2C%20Cats%20%26%20Mice"},
                                          {"☃", "t=%E2%98%83"},
                                          {"-._~", "t=-._~"},
                                          {"&=*", "t=%26%3D%2A"},
                                          {"what?now", "t=what%3Fnow"},
                                          {"\x01'()", "t=%01%27%28%29"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct oauth_param param = {"t", rows[i][0]};
        struct oauth_request request;
        struct err e;
        cr_assert(eq(int, oauth_sign_request(&twitter, "POST", FILTER, &param, 1, NULL, &request, &e), 0));
        cr_expect(eq(str, request.body, (char *)rows[i][1]));
        oauth_request_free(&request);
    }
}

Test(oauth, header_has_the_seven_parameters_and_no_form_parameter)
{
    const struct oauth_param a[] = {{"track", "twitter"}};
    struct oauth_request request;
    struct err e;
    cr_assert(eq(int, oauth_sign_request(&twitter, "POST", FILTER, a, 1, &twitter_fixed, &request, &e), 0));
    cr_expect(eq(
        str, request.authorization,
        "Authorization: OAuth oauth_consumer_key=\"xvz1evFS4wEEPTGEFPHBog\", "
        "oauth_nonce=\"kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg\", oauth_signature_method=\"HMAC-SHA1\", "
        "oauth_timestamp=\"1318622958\", "
        "oauth_token=\"370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb\", oauth_version=\"1.0\", "
        "oauth_signature=\"IbbYxXpKe2K8Z2cGjBtIdJUvvVQ%3D\""));
    oauth_request_free(&request);
}

Test(oauth, every_attempt_is_signed_anew)
{
    struct oauth_request one, two;
    struct err e;
    cr_assert(eq(int, oauth_sign_request(&twitter, "GET", FILTER, NULL, 0, NULL, &one, &e), 0));
    cr_assert(eq(int, oauth_sign_request(&twitter, "GET", FILTER, NULL, 0, NULL, &two, &e), 0));
    cr_expect(ne(str, one.authorization, two.authorization));
    oauth_request_free(&one);
    oauth_request_free(&two);
}

Test(oauth, keys_longer_than_liboauths_buffer_are_not_cut)
{
    char token[3001];
    memset(token, 'k', 3000);
    token[3000] = '\0';
    const struct oauth_credentials keys = {token, token, token, token};
    struct oauth_request request;
    struct err e;
    cr_assert(eq(int, oauth_sign_request(&keys, "GET", FILTER, NULL, 0, NULL, &request, &e), 0));
    cr_expect(ne(ptr, strstr(request.authorization, token), NULL));
    oauth_request_free(&request);
}

Test(oauth, bad_addresses_and_missing_keys_are_refused_without_showing_secrets)
{
    static const char *const urls[] = {"", "stream.example/x y", "ftp://a.example/x",
                                       "http://me:hunter2@a.example/x",
                                       "http://me:hunter2@a.example:99999/x"};
    struct oauth_request request;
    struct err e;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        cr_expect(eq(int, oauth_sign_request(&twitter, "GET", urls[i], NULL, 0, NULL, &request, &e), -1),
                  "%s", urls[i]);
        cr_expect(eq(int, e.kind, ERR_FATAL));
        cr_expect(eq(ptr, strstr(e.text, "hunter2"), NULL), "%s", e.text);
    }
    const struct oauth_credentials none = {NULL, NULL, NULL, NULL};
    cr_expect(eq(int, oauth_sign_request(&none, "GET", FILTER, NULL, 0, NULL, &request, &e), -1));
    const struct oauth_param a[] = {{"track", "twitter"}};
    cr_expect(eq(int, oauth_sign_request(&twitter, "GET", FILTER, a, 1, NULL, &request, &e), -1));
}
