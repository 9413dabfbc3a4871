#include "simulator/tls.h"

#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

enum { DAY_S = 86400 };

struct tls {
    SSL_CTX *context;
    BIO_METHOD *method;
};

struct tls_session {
    SSL *ssl;
    int fd;
    size_t pending; /* bytes of a send that must be tried again */
};

/* ---- the socket below, without SIGPIPE ---- */

static int bio_fd(BIO *bio)
{
    const struct tls_session *session = BIO_get_data(bio);
    return session->fd;
}

static int bio_write(BIO *bio, const char *bytes, int n)
{
    ssize_t sent = send(bio_fd(bio), bytes, (size_t)n, MSG_NOSIGNAL);
    BIO_clear_retry_flags(bio);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_write(bio);
    }
    return (int)sent;
}

static int bio_read(BIO *bio, char *into, int n)
{
    ssize_t got = recv(bio_fd(bio), into, (size_t)n, 0);
    BIO_clear_retry_flags(bio);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_read(bio);
    }
    return (int)got;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *new_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "roost socket");
    if (m) {
        BIO_meth_set_write(m, bio_write);
        BIO_meth_set_read(m, bio_read);
        BIO_meth_set_ctrl(m, bio_control);
    }
    return m;
}

/* ---- certificates ---- */

static int failed(struct err *e, const char *what)
{
    char text[200] = "memory is out";
    unsigned long code = ERR_get_error();
    if (code) {
        ERR_error_string_n(code, text, sizeof text);
    }
    ERR_clear_error();
    return err_set(e, ERR_FATAL, "%s: %s", what, text);
}

static int add_extension(X509 *certificate, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    int added = extension ? X509_add_ext(certificate, extension, -1) : 0;
    X509_EXTENSION_free(extension);
    return added == 1 ? 0 : -1;
}

/* An address may be asked for that OpenSSL does not take as one: then it is left out. */
static int add_names(X509 *certificate, const char *host)
{
    static const char always[] = "DNS:localhost,IP:127.0.0.1,IP:::1";
    char names[200];
    ASN1_OCTET_STRING *address = host ? a2i_IPADDRESS(host) : NULL;
    snprintf(names, sizeof names, "%s%s%s", always, address ? ",IP:" : "", address ? host : "");
    ASN1_OCTET_STRING_free(address);
    return add_extension(certificate, NID_subject_alt_name, names);
}

static X509 *make_certificate(EVP_PKEY *key, const char *host)
{
    static const unsigned char name[] = "roost simulate";
    X509 *c = X509_new();
    X509_NAME *subject = c ? X509_get_subject_name(c) : NULL;
    if (!c || !X509_set_version(c, 2) || !ASN1_INTEGER_set(X509_get_serialNumber(c), 1) ||
        !X509_gmtime_adj(X509_getm_notBefore(c), -(long)DAY_S) ||
        !X509_gmtime_adj(X509_getm_notAfter(c), 365L * DAY_S) || !X509_set_pubkey(c, key) ||
        !X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, name, -1, -1, 0) ||
        !X509_set_issuer_name(c, subject) || add_names(c, host) < 0 ||
        add_extension(c, NID_basic_constraints, "critical,CA:TRUE") < 0 || !X509_sign(c, key, EVP_sha256())) {
        X509_free(c);
        return NULL;
    }
    return c;
}

static int use_own(struct tls *tls, const char *host, struct err *e)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = key ? make_certificate(key, host) : NULL;
    int result = certificate && SSL_CTX_use_certificate(tls->context, certificate) == 1 &&
                         SSL_CTX_use_PrivateKey(tls->context, key) == 1
                     ? 0
                     : failed(e, "making a certificate");
    X509_free(certificate);
    EVP_PKEY_free(key);
    return result;
}

static int use_files(struct tls *tls, const char *certificate, const char *key, struct err *e)
{
    if (SSL_CTX_use_certificate_chain_file(tls->context, certificate) != 1) {
        return failed(e, certificate);
    }
    if (SSL_CTX_use_PrivateKey_file(tls->context, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(tls->context) != 1) {
        return failed(e, key);
    }
    return 0;
}

static int write_certificate(const struct tls *tls, const char *path, struct err *e)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *bytes = NULL;
    long length = memory && PEM_write_bio_X509(memory, SSL_CTX_get0_certificate(tls->context)) == 1
                      ? BIO_get_mem_data(memory, &bytes)
                      : 0;
    int result = length > 0 ? file_replace(path, view_make(bytes, (size_t)length), 0644, e)
                            : failed(e, "writing the certificate");
    BIO_free(memory);
    return result;
}

struct tls *tls_new(const char *certificate, const char *key, const char *host, const char *write_to,
                    struct err *e)
{
    struct tls *tls = calloc(1, sizeof *tls);
    if (!tls) {
        err_set(e, ERR_RETRY, "memory is out");
        return NULL;
    }
    tls->context = SSL_CTX_new(TLS_server_method());
    tls->method = new_method();
    if (!tls->context || !tls->method) {
        failed(e, "TLS");
        goto fail;
    }
    SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* Without tickets nothing is sent behind the handshake that a client does not wait for. */
    SSL_CTX_set_num_tickets(tls->context, 0);
    if ((certificate ? use_files(tls, certificate, key, e) : use_own(tls, host, e)) < 0 ||
        (write_to && write_certificate(tls, write_to, e) < 0)) {
        goto fail;
    }
    return tls;
fail:
    tls_free(tls);
    return NULL;
}

/* ---- a connection ---- */

struct tls_session *tls_session_new(struct tls *tls, int fd)
{
    struct tls_session *s = calloc(1, sizeof *s);
    BIO *bio = s ? BIO_new(tls->method) : NULL;
    if (!bio) {
        free(s);
        return NULL;
    }
    s->ssl = SSL_new(tls->context);
    if (!s->ssl) {
        BIO_free(bio);
        free(s);
        return NULL;
    }
    s->fd = fd;
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio);
    SSL_set_accept_state(s->ssl);
    return s;
}

/* What an operation that moved nothing means, in errno's words. */
static ssize_t explain(struct tls_session *s, int result)
{
    switch (SSL_get_error(s->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        ERR_clear_error();
        errno = EPROTO;
        return -1;
    }
}

ssize_t tls_receive(struct tls_session *session, void *into, size_t n)
{
    size_t got = 0;
    int result = SSL_read_ex(session->ssl, into, n, &got);
    return result == 1 ? (ssize_t)got : explain(session, result);
}

ssize_t tls_send(struct tls_session *session, const void *bytes, size_t n)
{
    size_t sent = 0;
    n = n < session->pending ? session->pending : n;
    int result = SSL_write_ex(session->ssl, bytes, n, &sent);
    if (result == 1) {
        session->pending = 0;
        return (ssize_t)sent;
    }
    ssize_t explained = explain(session, result);
    session->pending = explained < 0 && errno == EAGAIN ? n : 0;
    return explained == 0 ? -1 : explained;
}

void tls_end(struct tls_session *session)
{
    SSL_shutdown(session->ssl);
    ERR_clear_error();
}

void tls_session_free(struct tls_session *session)
{
    if (session) {
        SSL_free(session->ssl);
        free(session);
    }
}

void tls_free(struct tls *tls)
{
    if (tls) {
        SSL_CTX_free(tls->context);
        BIO_meth_free(tls->method);
        free(tls);
    }
}
