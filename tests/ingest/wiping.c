/* Secrets are overwritten before their memory is given back: each block that is freed is looked at by a hook
 * of AddressSanitizer, while requests of both APIs are made, and a configuration is read. Blocks that a
 * library frees are its own, but for libcurl's lists of header lines, which are ours to wipe. The server is
 * another process, whose memory is not looked at.
 */
#include "base/buffer.h"
#include "config/config.h"
#include "ingest/settings.h"
#include "ingest/x_v1.h"
#include "ingest/x_v2.h"
#include "ingest/x_v2_api.h"
#include "tests/ingest/support/server.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#if defined(__SANITIZE_ADDRESS__)
#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of sanitizer/allocator_interface.h, which only clang brings. */
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));
size_t __sanitizer_get_allocated_size(const volatile void *);

enum { FRAMES = 16 };

#define FIRST_TOKEN  "AAAAfirst%2FbearerToken%3D"
#define SECOND_TOKEN "AAAAsecond%2FbearerToken%3D"
#define GIVEN_TOKEN  "AAAAgiven%2FbearerToken%3D"
#define API_SECRET   "theApiSecretThatNobodyMayRead"
#define TOKEN_SECRET "theAccessSecretThatNobodyMayRead"
/* base64("theApiKey:" API_SECRET), its middle: what stands in "Authorization: Basic". */
#define BASIC "dGhlQXBpS2V5OnRoZUFwaVNlY3JldFRoYXROb2JvZHlNYXlSZWFk"

static const char *const secrets[] = {FIRST_TOKEN,  SECOND_TOKEN, GIVEN_TOKEN,         API_SECRET,
                                      TOKEN_SECRET, BASIC,        "oauth_signature=\""};

/* What the hook has found; criterion runs each test in a process of its own. */
static bool looking;
static unsigned found, looked_at;
static char first_found[300];

/* Who called free, this program or a library: the frame above the sanitizer's. */
static bool is_ours(void)
{
    void *frames[FRAMES];
    Dl_info here, frame;
    bool ours = true, sanitizer = false;
    int count = backtrace(frames, FRAMES);
    for (int i = 0; i < count; i++) {
        bool known = dladdr(frames[i], &frame) && dladdr((void *)(uintptr_t)is_ours, &here);
        if (known && strstr(frame.dli_fname, "libasan")) {
            sanitizer = true;
        } else if (known && sanitizer) {
            ours = !strcmp(frame.dli_fname, here.dli_fname);
            sanitizer = false;
        }
    }
    return ours;
}

static void on_free(const volatile void *block)
{
    if (!looking || !block) {
        return;
    }
    looking = false; /* what is called here allocates, too */
    const char *bytes = (const char *)block;
    size_t size = __sanitizer_get_allocated_size(block);
    looked_at++;
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        const char *at = memmem(bytes, size, secrets[i], strlen(secrets[i]));
        bool header = size > 15 && !memcmp(bytes, "Authorization: ", 15);
        if (at && (header || is_ours()) && !found++) {
            snprintf(first_found, sizeof first_found, "%s in a block of %zu bytes", secrets[i], size);
            void *frames[FRAMES];
            backtrace_symbols_fd(frames, backtrace(frames, FRAMES), STDERR_FILENO);
        }
    }
    looking = true;
}

/* Without one there is no hook for free either. */
static void on_malloc(const volatile void *block, size_t size)
{
    (void)block, (void)size;
}

static void begin_looking(void)
{
    void *frames[2];
    backtrace(frames, 2); /* loads what it needs */
    cr_assert(ne(int, __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free), 0));
    looking = true;
}

static void end_looking(void)
{
    looking = false;
    cr_expect(eq(u32, found, 0), "freed with a secret in it: %s", first_found);
    cr_expect(ge(u32, looked_at, 20), "the hook has seen %u blocks", looked_at);
}

/* --- a server in another process --- */

struct server_process {
    pid_t pid;
    char base[60];
};

/* With these scripts (ended by NULL). */
static void serve(struct server_process *p, const struct server_step *const *scripts)
{
    int ends[2], port = 0;
    cr_assert(eq(int, pipe(ends), 0));
    p->pid = fork();
    if (p->pid == 0) {
        uv_loop_t loop;
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* also after a test that failed */
        uv_loop_init(&loop);
        struct server *server = server_new(&loop);
        for (; *scripts; scripts++) {
            server_add(server, *scripts);
        }
        port = server_port(server);
        ssize_t written = write(ends[1], &port, sizeof port);
        uv_run(&loop, written == sizeof port ? UV_RUN_DEFAULT : UV_RUN_NOWAIT);
        _exit(0);
    }
    cr_assert(eq(sz, (size_t)read(ends[0], &port, sizeof port), sizeof port));
    close(ends[0]);
    close(ends[1]);
    snprintf(p->base, sizeof p->base, "http://127.0.0.1:%d", port);
}

static void end_server(struct server_process *p)
{
    kill(p->pid, SIGKILL);
    waitpid(p->pid, NULL, 0);
}

#define ANSWER(status, body)                                                                                 \
    {SERVER_SAY, "HTTP/1.1 " status "\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" body,  \
     0},                                                                                                     \
    {                                                                                                        \
        SERVER_END, NULL, 0                                                                                  \
    }

/* --- the API beside the stream --- */

static struct x_v2_outcome outcome;
static unsigned answers;

static void on_called(void *user, const struct x_v2_outcome *o)
{
    (void)user;
    outcome = *o;
    answers++;
}

static void call(uv_loop_t *loop, struct x_v2_api *api)
{
    const struct x_v2_call rules = {"GET", "/2/tweets/search/stream/rules", view_none(), 0};
    struct err e;
    unsigned before = answers;
    cr_assert(eq(int, x_v2_api_call(api, &rules, on_called, NULL, &e), 0));
    while (answers == before) {
        uv_run(loop, UV_RUN_ONCE);
    }
}

static struct x_v2_api *open_api(uv_loop_t *loop, const struct server_process *server, const char *token)
{
    const struct x_v2_account account = {
        .url = server->base, .bearer_token = token, .api_key = "theApiKey", .api_secret = API_SECRET};
    struct err e;
    struct x_v2_api *api = x_v2_api_new(loop, &account, &x_v2_patience_usual, NULL, NULL, &e);
    cr_assert(ne(ptr, api, NULL));
    return api;
}

static void close_api(uv_loop_t *loop, struct x_v2_api *api)
{
    x_v2_api_free(api, NULL, NULL);
    uv_run(loop, UV_RUN_DEFAULT);
    cr_expect(eq(int, uv_loop_close(loop), 0));
}

TestSuite(wiping, .timeout = 60);

Test(wiping, tokens_that_are_fetched_refused_and_fetched_again_leave_nothing_behind)
{
    static const struct server_step first[] = {
        ANSWER("200 OK", "{\"token_type\":\"bearer\",\"access_token\":\"" FIRST_TOKEN "\"}")};
    static const struct server_step refused[] = {ANSWER("401 Unauthorized", "{\"title\":\"Unauthorized\"}")};
    static const struct server_step second[] = {
        ANSWER("200 OK", "{\"token_type\":\"bearer\",\"access_token\":\"" SECOND_TOKEN "\"}")};
    static const struct server_step rules[] = {ANSWER("200 OK", "{\"meta\":{\"result_count\":0}}")};
    static const struct server_step *const scripts[] = {refused, first, rules, refused, second, rules, NULL};
    struct server_process server;
    uv_loop_t loop;
    serve(&server, scripts);
    uv_loop_init(&loop);
    begin_looking();
    struct x_v2_api *api = open_api(&loop, &server, GIVEN_TOKEN);
    call(&loop, api); /* the token that was given is refused, the first one fetched */
    cr_expect(eq(int, outcome.status, 200));
    cr_expect(eq(str, (char *)x_v2_api_token(api), FIRST_TOKEN));
    call(&loop, api); /* that one is refused later */
    cr_expect(eq(int, outcome.status, 200));
    cr_expect(eq(str, (char *)x_v2_api_token(api), SECOND_TOKEN));
    close_api(&loop, api);
    end_looking();
    end_server(&server);
}

Test(wiping, an_answer_that_holds_a_token_and_cannot_be_read_is_not_quoted)
{
    static const struct server_step cut[] = {
        ANSWER("200 OK", "{\"token_type\":\"bearer\",\"access_token\":\"" FIRST_TOKEN)};
    static const struct server_step echo[] = {
        ANSWER("403 Forbidden", "{\"title\":\"no\",\"detail\":\"secret " API_SECRET " is wrong\"}")};
    static const struct server_step *const unreadable[] = {cut, NULL}, *const refusing[] = {echo, NULL};
    static const struct server_step *const *const cases[] = {unreadable, refusing};
    for (size_t i = 0; i < 2; i++) {
        const struct x_v2_patience once = {.total_ms = 30000, .attempts = 1};
        const struct x_v2_account account = {.api_key = "theApiKey", .api_secret = API_SECRET};
        struct server_process server;
        uv_loop_t loop;
        struct err e;
        serve(&server, cases[i]);
        uv_loop_init(&loop);
        struct x_v2_account here = account;
        here.url = server.base;
        struct x_v2_api *api = x_v2_api_new(&loop, &here, &once, NULL, NULL, &e);
        call(&loop, api);
        cr_expect(eq(int, outcome.result, -1));
        cr_expect(eq(ptr, strstr(outcome.e.text, "AAAAfirst"), NULL), "%s", outcome.e.text);
        cr_expect(eq(ptr, strstr(outcome.e.text, API_SECRET), NULL), "%s", outcome.e.text);
        close_api(&loop, api);
        end_server(&server);
    }
}

/* --- streams --- */

static unsigned posts;
static bool closed;

static int on_post(void *user, struct source *s, const struct post *post, struct err *e)
{
    (void)user, (void)s, (void)e;
    posts += post->kind == POST_POST;
    return 0;
}

static void on_done(void *user)
{
    (void)user;
    closed = true;
}

static void *open_alone(const struct source_settings *settings, struct err *e)
{
    return x_v2_open_with(NULL, settings, e);
}

/* Until two streams have brought a post each: the first one is cut, so that there is a second request. */
static void stream(const struct source_settings *settings, const struct source_protocol *protocol)
{
    char folder[] = "/tmp/roost-test-XXXXXX", streamed[60];
    uv_loop_t loop;
    struct err e = {ERR_RETRY, ""};
    cr_assert(ne(ptr, mkdtemp(folder), NULL));
    snprintf(streamed, sizeof streamed, "%s/streamed", folder);
    const struct source_options options = {.protocol = protocol, .streamed_path = streamed};
    uv_loop_init(&loop);
    begin_looking();
    struct source *s = source_open(&loop, settings, &options, &(struct source_events){.post = on_post}, &e);
    cr_assert(ne(ptr, s, NULL), "%s", e.text);
    source_start(s);
    while (posts < 2) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    source_stop(s, "stopped", on_done, NULL);
    while (!closed) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    end_looking();
    cr_expect(eq(int, uv_loop_close(&loop), 0));
    unlink(streamed);
    rmdir(folder);
}

static const struct filter_settings all = {
    .retweets = true, .replies = true, .quotes = true, .local_filter = FILTER_LOCAL_NO};

Test(wiping, a_stream_of_v2_leaves_nothing_behind)
{
    static const struct server_step script[] = {
        {SERVER_SAY, STREAM_HEAD, 0},
        {SERVER_CHUNK, "{\"data\":{\"id\":\"1784600000000000001\",\"text\":\"tea\"}}\r\n", 0},
        {SERVER_END, NULL, 0}};
    static const struct server_step *const scripts[] = {script, NULL};
    struct server_process server;
    serve(&server, scripts);
    const struct source_x_v2_settings settings = {
        .common = {
            .name = "test", .type = "x-v2", .url = server.base, .bearer_token = GIVEN_TOKEN, .filter = all}};
    struct source_protocol protocol = x_v2_protocol;
    protocol.open = open_alone;
    stream(&settings.common, &protocol);
    end_server(&server);
}

Test(wiping, a_stream_of_v1_1_leaves_nothing_behind)
{
    static const struct server_step script[] = {
        {SERVER_SAY, STREAM_HEAD, 0},
        {SERVER_CHUNK,
         "{\"id_str\":\"1050118621198921701\",\"text\":\"tea\",\"user\":{\"id_str\":\"7\"}}\r\n", 0},
        {SERVER_END, NULL, 0}};
    static const struct server_step *const scripts[] = {script, NULL};
    struct server_process server;
    serve(&server, scripts);
    const struct source_x_v1_settings settings = {
        .common = {.name = "test", .type = "x-v1", .url = server.base, .filter = all},
        .api_key = "theApiKey",
        .api_secret = API_SECRET,
        .access_token = "theAccessToken",
        .access_secret = TOKEN_SECRET};
    stream(&settings.common, &x_v1_protocol);
    end_server(&server);
}

/* --- a configuration --- */

Test(wiping, a_configuration_leaves_nothing_behind)
{
    static const struct config_kind *const kinds[] = {&source_kind, &filter_kind};
    char folder[] = "/tmp/roost-test-XXXXXX", path[80], secret_path[80];
    cr_assert(ne(ptr, mkdtemp(folder), NULL));
    snprintf(path, sizeof path, "%s/roost.conf", folder);
    snprintf(secret_path, sizeof secret_path, "%s/token", folder);
    FILE *file = fopen(path, "w");
    fprintf(file, "[source x]\ntype = x-v2\nbearer_token_file = token\napi_key = theApiKey\n"
                  "api_secret = " API_SECRET "\n[filter]\nkeywords = tea\n");
    for (int i = 0; i < 3000; i++) {
        fprintf(file, "# so that the file is read in more than one piece\n");
    }
    fclose(file);
    file = fopen(secret_path, "w");
    fputs(GIVEN_TOKEN "\n", file);
    fclose(file);
    chmod(path, 0600);
    chmod(secret_path, 0600);
    begin_looking();
    struct config *c = config_load(path, kinds, 2);
    cr_expect(eq(sz, config_mistakes(c), 0), "%s", config_mistake_text(c, 0));
    const struct source_settings *s = config_section_settings(config_first(c, "source"));
    cr_expect(eq(str, s->bearer_token, GIVEN_TOKEN));
    config_free(c);
    end_looking();
    unlink(path);
    unlink(secret_path);
    rmdir(folder);
}

#else
#include <stdio.h>

Test(wiping, needs_a_build_that_sees_each_block_that_is_freed)
{
    puts("skipped: only AddressSanitizer can look at memory that is given back");
}
#endif
