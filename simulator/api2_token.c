#include "simulator/api2.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <oauth.h>

static const char REFUSED[] =
    "{\"errors\":[{\"code\":99,\"label\":\"authenticity_token_error\",\"message\":\"Unable "
    "to verify your credentials\"}]}";

static bool is_keys(const struct oauth_account *keys, const char *key, const char *secret)
{
    /* liboauth's comparison takes the same time wherever they differ. */
    return oauth_time_independent_equals(keys->api_key, key) &&
           oauth_time_independent_equals(keys->api_secret, secret);
}

/* Basic base64(urlencode(key) ":" urlencode(secret)). */
static struct app *app_by_keys(struct simulator *s, struct view authorization)
{
    struct app *found = NULL;
    if (authorization.length < 7 || authorization.length > 4000 ||
        strncasecmp(authorization.at, "Basic ", 6) != 0) {
        return NULL;
    }
    char *encoded = view_copy(view_trim(view_from(authorization, 6)));
    unsigned char *decoded = encoded ? calloc(1, strlen(encoded) + 4) : NULL;
    int n = decoded ? oauth_decode_base64(decoded, encoded) : -1;
    const char *text = (const char *)decoded;
    const char *colon = n > 0 ? memchr(text, ':', (size_t)n) : NULL;
    if (colon) {
        size_t key_length = (size_t)(colon - text);
        char *key = parameters_decode(view_make(text, key_length), false);
        char *secret = parameters_decode(view_make(colon + 1, (size_t)n - key_length - 1), false);
        for (size_t i = 0; key && secret && !found && i < s->app_count; i++) {
            found = is_keys(s->apps[i].keys, key, secret) ? &s->apps[i] : NULL;
        }
        free(key);
        free(secret);
    }
    free(encoded);
    free(decoded);
    return found;
}

static void renew(struct app *app)
{
    if (!app->token_valid) {
        app->tokens++;
        snprintf(app->token, sizeof app->token, "%s%u%%3D", app->base, app->tokens);
        app->token_valid = true;
    }
}

static void answer_token(struct connection *c, struct app *app)
{
    char body[300];
    renew(app);
    snprintf(body, sizeof body, "{\"token_type\":\"bearer\",\"access_token\":\"%s\"}", app->token);
    api2_answer_text(c, NULL, API2_LIMITS, 200, body, "a token");
}

static void invalidate_token(struct connection *c, struct app *app, const char *token)
{
    char body[300];
    if (!token || !app->token_valid || strcmp(token, app->token) != 0) {
        api2_answer_text(
            c, NULL, API2_LIMITS, 401,
            "{\"errors\":[{\"code\":348,\"message\":\"Client application is not permitted to invalidate "
            "this token.\"}]}",
            "not the token of this app");
        return;
    }
    snprintf(body, sizeof body, "{\"access_token\":\"%s\"}", app->token);
    app->token_valid = false;
    api2_answer_text(c, NULL, API2_LIMITS, 200, body, "a token made invalid");
}

void api2_token(struct connection *c, bool invalidate)
{
    struct app *app = app_by_keys(c->sim, http_request_header(&c->request, "Authorization"));
    struct parameters p = {0};
    struct err e;
    if (!app) {
        api2_answer_text(c, NULL, API2_LIMITS, 403, REFUSED, "the API key and secret are no app's");
        return;
    }
    int read = parameters_add_form(&p, c->request.query, &e) | parameters_add_form(&p, c->request.body, &e);
    const char *grant = read < 0 ? NULL : parameters_find(&p, "grant_type");
    if (invalidate) {
        invalidate_token(c, app, read < 0 ? NULL : parameters_find(&p, "access_token"));
    } else if (!grant || strcmp(grant, "client_credentials") != 0) {
        api2_answer_text(
            c, NULL, API2_LIMITS, 403,
            "{\"errors\":[{\"code\":170,\"label\":\"forbidden_missing_parameter\",\"message\":\"Missing "
            "required parameter: grant_type\"}]}",
            "grant_type must be client_credentials");
    } else {
        answer_token(c, app);
    }
    parameters_free(&p);
}
