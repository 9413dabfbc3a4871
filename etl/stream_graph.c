/* etl/stream_graph.c - definitions, and the chains they are compiled to. */
#include "etl/stream_graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int stream_fail(struct stream_context *c, enum stream_fault fault, struct err *e, const char *format, ...)
{
    char text[ERR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&c->lock);
    c->fault = fault;
    pthread_mutex_unlock(&c->lock);
    return err_set(e, fault == STREAM_ENGINE_ERROR ? ERR_RETRY : ERR_FATAL, "%s", text);
}

int stream_may_define(struct stream_context *c, struct err *e)
{
    enum stream_state state = stream_context_state(c);
    if (state == STREAM_INITIALIZED) {
        return 0;
    }
    return stream_fail(
        c, STREAM_ILLEGAL_STATE, e,
        "Adding new inputs, transformations, and output operations after %s a context is not supported",
        state == STREAM_ACTIVE ? "starting" : "stopping");
}

/* A description with `count` parents (0 for sources), linked into the context. */
static struct dstream *description(struct stream_context *c, enum stream_operation operation,
                                   struct dstream *const *parents, size_t count, struct err *e)
{
    if (stream_may_define(c, e) != 0) {
        return NULL;
    }
    struct dstream *s = calloc(1, sizeof *s);
    struct dstream **list = calloc(count ? count : 1, sizeof(struct dstream *));
    if (!s || !list) {
        free(s);
        free((void *)list);
        stream_fail(c, STREAM_ENGINE_ERROR, e, "out of memory for the description of a stream");
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        list[i] = parents[i];
    }
    *s = (struct dstream){
        .next = c->streams, .context = c, .operation = operation, .parents = list, .parent_count = count};
    s->slide_ms = count ? parents[0]->slide_ms : c->settings.batch_interval_ms;
    c->streams = s;
    return s;
}

struct dstream *stream_source(struct stream_context *c, const struct stream_source_operations *operations,
                              void *source, struct err *e)
{
    struct dstream **sources =
        reallocarray((void *)c->sources, c->source_count + 1, sizeof(struct dstream *));
    if (!sources) {
        stream_fail(c, STREAM_ENGINE_ERROR, e, "out of memory for an input stream");
        return NULL;
    }
    c->sources = sources;
    struct dstream *s = description(c, STREAM_SOURCE, NULL, 0, e);
    if (!s) {
        return NULL;
    }
    s->function.source = operations;
    s->user = source;
    s->source = c->source_count;
    c->sources[c->source_count++] = s;
    return s;
}

static struct dstream *narrow(struct dstream *parent, enum stream_operation operation,
                              union stream_function function, void *user, struct err *e)
{
    struct dstream *s = parent ? description(parent->context, operation, &parent, 1, e) : NULL;
    if (s) {
        s->function = function;
        s->user = user;
    }
    return s;
}

struct dstream *stream_map(struct dstream *parent, stream_map_function *f, void *user, struct err *e)
{
    return narrow(parent, STREAM_MAP, (union stream_function){.map = f}, user, e);
}

struct dstream *stream_filter(struct dstream *parent, stream_filter_function *f, void *user, struct err *e)
{
    return narrow(parent, STREAM_FILTER, (union stream_function){.filter = f}, user, e);
}

struct dstream *stream_flat_map(struct dstream *parent, stream_flat_map_function *f, void *user,
                                struct err *e)
{
    return narrow(parent, STREAM_FLAT_MAP, (union stream_function){.flat_map = f}, user, e);
}

int stream_output_add(struct dstream *parent, stream_output_function *f, void *user,
                      void (*free_user)(void *user), size_t most, struct err *e)
{
    struct output *output = NULL;
    if (!parent || stream_may_define(parent->context, e) != 0) {
        goto fail;
    }
    struct stream_context *c = parent->context;
    output = calloc(1, sizeof *output);
    if (!output) {
        stream_fail(c, STREAM_ENGINE_ERROR, e, "out of memory for an output operation");
        goto fail;
    }
    *output =
        (struct output){.stream = parent, .function = f, .user = user, .free_user = free_user, .most = most};
    *c->outputs_end = output;
    c->outputs_end = &output->next;
    c->output_count++;
    return 0;
fail:
    if (free_user) {
        free_user(user);
    }
    return -1;
}

int stream_foreach_batch(struct dstream *parent, stream_output_function *f, void *user, struct err *e)
{
    return stream_output_add(parent, f, user, NULL, STREAM_ALL_RECORDS, e);
}

/* The steps from the source to the output's stream: found backwards, stored forwards. */
static int compile_chain(struct output *output, struct err *e)
{
    size_t count = 0;
    for (const struct dstream *s = output->stream; s->operation != STREAM_SOURCE; s = s->parents[0]) {
        count++;
    }
    output->chain.steps = calloc(count ? count : 1, sizeof *output->chain.steps);
    if (!output->chain.steps) {
        return stream_fail(output->stream->context, STREAM_ENGINE_ERROR, e,
                           "out of memory for a chain of %zu steps", count);
    }
    output->chain.count = count;
    const struct dstream *s = output->stream;
    for (; s->operation != STREAM_SOURCE; s = s->parents[0]) {
        output->chain.steps[--count] = (struct step){s->operation, s->function, s->user};
    }
    output->chain.source = s->source;
    return 0;
}

int stream_compile(struct stream_context *c, struct err *e)
{
    if (!c->outputs) {
        return stream_fail(c, STREAM_ILLEGAL_ARGUMENT, e,
                           "No output operations registered, so nothing to execute");
    }
    for (struct output *output = c->outputs; output; output = output->next) {
        if (compile_chain(output, e) != 0) {
            return -1;
        }
    }
    return 0;
}

void stream_graph_free(struct stream_context *c)
{
    for (struct output *o = c->outputs, *next; o; o = next) {
        next = o->next;
        if (o->free_user) {
            o->free_user(o->user);
        }
        free(o->chain.steps);
        free(o);
    }
    for (size_t i = 0; i < c->source_count; i++) {
        c->sources[i]->function.source->free(c->sources[i]->user);
    }
    free((void *)c->sources);
    for (struct dstream *s = c->streams, *next; s; s = next) {
        next = s->next;
        free((void *)s->parents);
        free(s);
    }
}
