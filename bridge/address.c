#include "bridge/address.h"

#include "base/number.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static int wrong(struct err *e)
{
    return err_set(
        e, ERR_FATAL,
        "an address is 127.0.0.1:5555, localhost:5555, [::1]:5555 (port 0 to 65535) or the absolute path "
        "of a Unix socket, at most 107 bytes long");
}

static int parse_path(const char *text, struct address *a, struct err *e)
{
    struct sockaddr_un *path = (struct sockaddr_un *)&a->socket;
    size_t length = strlen(text);
    if (length < 2 || length >= sizeof path->sun_path) {
        return wrong(e);
    }
    path->sun_family = AF_UNIX;
    memcpy(path->sun_path, text, length + 1);
    a->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    return 0;
}

static int parse_host(const char *host, bool brackets, in_port_t port, struct address *a)
{
    struct sockaddr_in *four = (struct sockaddr_in *)&a->socket;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&a->socket;
    if (brackets) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        a->length = sizeof *six;
        return inet_pton(AF_INET6, host, &six->sin6_addr) == 1 ? 0 : -1;
    }
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    a->length = sizeof *four;
    return inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &four->sin_addr) == 1 ? 0
                                                                                                         : -1;
}

int address_parse(const char *text, struct address *a, struct err *e)
{
    *a = (struct address){0};
    if (text[0] == '/') {
        return parse_path(text, a, e);
    }
    const char *colon = strrchr(text, ':');
    if (!colon) {
        return wrong(e);
    }
    struct view host = view_make(text, (size_t)(colon - text));
    bool brackets = host.length > 2 && host.at[0] == '[' && host.at[host.length - 1] == ']';
    if (brackets) {
        host = view_make(host.at + 1, host.length - 2);
    }
    char name[INET6_ADDRSTRLEN];
    int64_t port;
    if (host.length >= sizeof name || number_parse(view_of(colon + 1), 0, 65535, &port)) {
        return wrong(e);
    }
    memcpy(name, host.at, host.length);
    name[host.length] = '\0';
    if (parse_host(name, brackets, (in_port_t)port, a)) {
        return wrong(e);
    }
    return 0;
}

bool address_is_local(const struct address *a)
{
    switch (a->socket.ss_family) {
    case AF_UNIX:
        return true;
    case AF_INET:
        return ntohl(((const struct sockaddr_in *)&a->socket)->sin_addr.s_addr) >> 24 == 127;
    case AF_INET6:
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&a->socket)->sin6_addr);
    default:
        return false;
    }
}

int address_port(const struct address *a)
{
    switch (a->socket.ss_family) {
    case AF_INET:
        return ntohs(((const struct sockaddr_in *)&a->socket)->sin_port);
    case AF_INET6:
        return ntohs(((const struct sockaddr_in6 *)&a->socket)->sin6_port);
    default:
        return 0;
    }
}

const char *address_format(const struct address *a, char text[ADDRESS_TEXT_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "";
    switch (a->socket.ss_family) {
    case AF_INET:
        inet_ntop(AF_INET, &((const struct sockaddr_in *)&a->socket)->sin_addr, host, sizeof host);
        snprintf(text, ADDRESS_TEXT_SIZE, "%s:%d", host, address_port(a));
        return text;
    case AF_INET6:
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&a->socket)->sin6_addr, host, sizeof host);
        snprintf(text, ADDRESS_TEXT_SIZE, "[%s]:%d", host, address_port(a));
        return text;
    default:
        break;
    }
    const struct sockaddr_un *path = (const struct sockaddr_un *)&a->socket;
    bool named = a->length > offsetof(struct sockaddr_un, sun_path) && path->sun_path[0];
    snprintf(text, ADDRESS_TEXT_SIZE, "%.*s", (int)sizeof path->sun_path, named ? path->sun_path : "unix");
    return text;
}
