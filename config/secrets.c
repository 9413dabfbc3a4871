/* config/secrets.c - secrets in files of their own, and the refusal of secrets that the world can read.
 *
 * No message here holds a byte of a secret. A secret's file is opened once; its mode is what stat(2) said
 * just before.
 */
#include "base/file.h"
#include "base/utf8.h"
#include "base/wipe.h"
#include "config/ini.h"
#include "config/state.h"

#include <errno.h>
#include <sys/stat.h>

static const char *secret_path(struct config *c, const char *written)
{
    if (written[0] == '/' || !c->credentials) {
        return config_resolve(c, written);
    }
    return config_print(c, "%s/%s", c->credentials, written);
}

/* What is wrong with a secret's bytes, without the bytes; NULL: nothing. */
static const char *secret_problem(const struct config_key *key, struct view secret)
{
    if (!secret.length) {
        return "is empty: it holds the secret and nothing else";
    }
    if (!utf8_valid(secret)) {
        return "holds bytes that are not UTF-8: it holds the secret as text and nothing else";
    }
    if (memchr(secret.at, '\0', secret.length)) {
        return "holds a NUL byte: it holds the secret as text and nothing else";
    }
    if (key->type == CONFIG_SECRET && memchr(secret.at, '\n', secret.length)) {
        return "holds more than one line: it holds one secret and nothing else";
    }
    return NULL;
}

static void store(struct config *c, const struct config_key *key, const char *name, struct view bytes,
                  const char *path, struct config_place place, void *settings)
{
    struct view bom = VIEW("\xEF\xBB\xBF");
    struct view secret = bytes;
    if (view_starts(secret, bom)) {
        secret = view_from(secret, bom.length);
    }
    while (secret.length && strchr(" \t\r\n\v\f", secret.at[secret.length - 1])) {
        secret.length--;
    }
    const char *problem = secret_problem(key, secret);
    if (problem) {
        config_mistake(c, place, "%s: %s %s", name, path, problem);
        return;
    }
    char *text = config_string(c, secret);
    struct err why = {.text = "this value cannot be used"};
    if (text && key->check && key->check(text, &why)) {
        config_mistake(c, place, "%s: what %s holds is wrong: %s", name, path, why.text);
        return;
    }
    *(char **)((char *)settings + key->offset) = text;
}

void secret_read_file(struct config *c, const struct config_key *key, const struct config_entry *entry,
                      void *settings)
{
    struct config_place place = config_place_of(c, entry->line);
    char *written = arena_alloc(c->memory, entry->raw.length + 1);
    if (!written || !ini_unquote(entry->raw, written)) {
        return;
    }
    const char *name = config_print(c, "%s_file", key->name);
    const char *path = secret_path(c, written);
    struct stat status;
    if (!path) {
        return;
    }
    if (stat(path, &status)) {
        const char *base = written[0] == '/' ? ""
                           : c->credentials  ? " (a relative name begins in $CREDENTIALS_DIRECTORY)"
                                             : " (a relative name begins in the configuration's folder)";
        config_mistake(c, place, "%s: cannot read %s: %s: name a file that holds the secret%s", name, path,
                       strerror(errno), base);
        return;
    }
    if (S_ISREG(status.st_mode) && (status.st_mode & S_IROTH)) {
        config_mistake(
            c, place,
            "%s: %s can be read by every user of this machine (mode %04o): chmod o-r takes that away", name,
            path, (unsigned)(status.st_mode & 07777));
    }
    struct buffer bytes = BUFFER(CONFIG_SECRET_MAXIMUM);
    buffer_reserve(&bytes, CONFIG_SECRET_MAXIMUM); /* one that grows would leave copies behind */
    struct err e;
    if (file_read(path, &bytes, &e)) {
        config_mistake(c, place,
                       "%s: %s: name a file that holds the secret and that the service's user can read", name,
                       e.text);
    } else {
        store(c, key, name, buffer_view(&bytes), path, place, settings);
    }
    wipe_buffer(&bytes);
}

void secret_note_inline(struct config *c, struct config_place place)
{
    if (!c->inline_secret.line || place.line < c->inline_secret.line) {
        c->inline_secret = place;
    }
}

void config_secret(struct config *c, const struct config_section *s, const char *key)
{
    const struct config_entry *entry = config_entry_find(s, view_of(key));
    if (entry && entry->raw.length) {
        secret_note_inline(c, config_place_of(c, entry->line));
    }
}

void secret_check_exposed(struct config *c)
{
    if (c->inline_secret.line && (c->mode & S_IROTH)) {
        config_mistake(
            c, c->inline_secret,
            "here stands a secret, and every user of this machine can read the file (mode %04o): chmod o-r "
            "takes that away, or a file of its own holds the secret (KEY_file)",
            (unsigned)(c->mode & 07777));
    }
}
