/* tests/base/status_socket.c - one answer per connection, whatever clients and earlier processes do. */
#include "base/status_socket.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[64];

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/roost-test-status-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(status_socket, .init = make_folder, .fini = remove_folder);

static struct status_socket *make(const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", folder, name);
    return status_socket_new(path);
}

struct answer {
    size_t length;
    int made;
};

static void write_answer(void *user, struct buffer *b)
{
    struct answer *a = user;
    a->made++;
    for (size_t i = 0; i < a->length; i++) {
        buffer_add_byte(b, (char)('a' + i % 26));
    }
}

struct asking {
    const char *path;
    struct buffer got;
    atomic_bool done;
};

static void *ask(void *argument)
{
    struct asking *a = argument;
    struct err e;
    a->got = BUFFER(1024 * 1024);
    if (status_socket_ask(a->path, 20000, &a->got, &e)) {
        buffer_reset(&a->got);
    }
    atomic_store(&a->done, true);
    return NULL;
}

static void answer_one(struct status_socket *s, struct answer *a)
{
    struct pollfd wait = {.fd = status_socket_descriptor(s), .events = POLLIN};
    cr_assert_eq(poll(&wait, 1, 20000), 1);
    status_socket_answer(s, write_answer, a);
}

static size_t asked(struct status_socket *s, const char *path, struct answer *a)
{
    pthread_t thread;
    struct asking asking = {.path = path};
    pthread_create(&thread, NULL, ask, &asking);
    while (!atomic_load(&asking.done)) { /* others may stand before it */
        struct pollfd wait = {.fd = status_socket_descriptor(s), .events = POLLIN};
        if (poll(&wait, 1, 5) > 0) {
            status_socket_answer(s, write_answer, a);
        }
    }
    pthread_join(thread, NULL);
    size_t length = asking.got.length;
    buffer_free(&asking.got);
    return length;
}

Test(status_socket, the_longest_answer_comes_whole_and_a_longer_one_is_an_error)
{
    char path[256];
    struct err e;
    struct status_socket *s = make("a.listen.status", path);
    cr_assert_eq(status_socket_keep(s, &e), 1, "%s", e.text);
    cr_expect_eq(status_socket_keep(s, &e), 0);
    cr_expect_eq(asked(s, path, &(struct answer){.length = 10}), 10);
    cr_expect_eq(asked(s, path, &(struct answer){.length = STATUS_SOCKET_MAXIMUM}), STATUS_SOCKET_MAXIMUM);
    cr_expect_lt(asked(s, path, &(struct answer){.length = STATUS_SOCKET_MAXIMUM + 1}), 100);
    status_socket_free(s);
    cr_expect_neq(access(path, F_OK), 0, "a clean stop removes it");
}

Test(status_socket, clients_that_never_read_hold_nobody_up)
{
    char path[256];
    struct err e;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct status_socket *s = make("a.listen.status", path);
    cr_assert_eq(status_socket_keep(s, &e), 1, "%s", e.text);
    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
    int silent[40];
    for (int i = 0; i < 40; i++) {
        silent[i] = socket(AF_UNIX, SOCK_STREAM, 0);
        cr_assert_eq(connect(silent[i], (const struct sockaddr *)&address, sizeof address), 0);
    }
    struct answer a = {.length = STATUS_SOCKET_MAXIMUM};
    for (int i = 0; i < 3; i++) {
        answer_one(s, &a);
    }
    cr_expect_eq(a.made, 3, "made once for each call, whoever waits");
    cr_expect_eq(asked(s, path, &a), STATUS_SOCKET_MAXIMUM);
    for (int i = 0; i < 40; i++) {
        close(silent[i]);
    }
    status_socket_free(s);
}

Test(status_socket, what_a_killed_process_left_is_replaced_and_a_live_one_is_not_taken)
{
    char path[256];
    struct err e;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct status_socket *first = make("a.etl.status", path);
    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
    int killed = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(killed, (const struct sockaddr *)&address, sizeof address), 0);
    close(killed);
    cr_expect_eq(status_socket_keep(first, &e), 1, "%s", e.text);
    struct status_socket *second = status_socket_new(path);
    cr_expect_eq(status_socket_keep(second, &e), -1);
    cr_expect_eq(e.kind, ERR_RETRY);
    cr_expect_eq(status_socket_descriptor(second), -1);
    status_socket_free(second);
    cr_expect_eq(access(path, F_OK), 0, "it is not the second one's to remove");
    cr_expect_eq(asked(first, path, &(struct answer){.length = 7}), 7);
    second = status_socket_new(path);
    status_socket_free(first);
    cr_expect_eq(status_socket_keep(second, &e), 1, "once the first one has gone: %s", e.text);
    status_socket_free(second);
}

Test(status_socket, a_file_that_was_removed_is_made_anew_and_one_that_is_no_socket_stays)
{
    char path[256];
    struct err e;
    struct stat status;
    struct status_socket *s = make("a.etl.status", path);
    cr_assert_eq(status_socket_keep(s, &e), 1, "%s", e.text);
    unlink(path);
    cr_expect_eq(status_socket_keep(s, &e), 1, "%s", e.text);
    cr_expect_eq(asked(s, path, &(struct answer){.length = 7}), 7);
    unlink(path);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fclose(file);
    cr_expect_eq(status_socket_keep(s, &e), -1);
    cr_expect_eq(stat(path, &status), 0);
    cr_expect(S_ISREG(status.st_mode));
    status_socket_free(s);
    cr_expect_eq(access(path, F_OK), 0, "what is not ours is not removed");
}

Test(status_socket, a_path_longer_than_an_address_works)
{
    char path[256], deep[200];
    struct err e;
    memset(deep, 'd', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    snprintf(path, sizeof path, "%.60s/%.120s", folder, deep);
    cr_assert_eq(mkdir(path, 0755), 0);
    snprintf(path, sizeof path, "%.60s/%.120s/roost.listen.status", folder, deep);
    struct status_socket *s = status_socket_new(path);
    cr_assert_eq(status_socket_keep(s, &e), 1, "%s", e.text);
    cr_expect_eq(asked(s, path, &(struct answer){.length = 7}), 7);
    status_socket_free(s);
}

Test(status_socket, who_asks_knows_nobody_there_from_nobody_answering)
{
    char path[256];
    struct err e;
    struct buffer got = BUFFER(1000);
    struct status_socket *s = make("a.etl.status", path);
    cr_expect_eq(status_socket_ask(path, 50, &got, &e), -1);
    cr_expect_eq(e.kind, ERR_FATAL);
    cr_assert_eq(status_socket_keep(s, &e), 1, "%s", e.text);
    cr_expect_eq(status_socket_ask(path, 50, &got, &e), -1);
    cr_expect_eq(e.kind, ERR_RETRY, "it is stopped, or hangs");
    status_socket_free(s);
}
