/* The echo component of ../README.md by libstrophe.
 *
 *     libstrophe HOST PORT DOMAIN SECRET
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <strophe.h>

#define RETRY_SECONDS 1

/* One question asked on behalf of somebody, until its answer is there. */
struct question {
    char *asker;
    char *self;
    char *id;
};

static int authenticated;
static int refused;

static void send_and_release(xmpp_conn_t *conn, xmpp_stanza_t *stanza)
{
    xmpp_send(conn, stanza);
    xmpp_stanza_release(stanza);
}

/* The reply to a stanza with copies of its children. */
static void echo(xmpp_conn_t *conn, xmpp_stanza_t *stanza, const char *type)
{
    xmpp_stanza_t *reply = xmpp_stanza_reply(stanza);
    xmpp_stanza_t *child;

    xmpp_stanza_set_from(reply, xmpp_stanza_get_to(stanza));
    if (type)
        xmpp_stanza_set_type(reply, type);
    for (child = xmpp_stanza_get_children(stanza); child; child = xmpp_stanza_get_next(child))
        xmpp_stanza_add_child_ex(reply, xmpp_stanza_copy(child), 0);
    send_and_release(conn, reply);
}

static const char *condition_of(xmpp_stanza_t *error, const char *ns)
{
    xmpp_stanza_t *child;

    for (child = error ? xmpp_stanza_get_children(error) : NULL; child;
         child = xmpp_stanza_get_next(child)) {
        const char *found = xmpp_stanza_get_ns(child);
        if (found && !strcmp(found, ns) && strcmp(xmpp_stanza_get_name(child), "text"))
            return xmpp_stanza_get_name(child);
    }
    return "no condition";
}

static int on_answer(xmpp_conn_t *conn, xmpp_stanza_t *iq, void *userdata)
{
    struct question *question = userdata;
    xmpp_ctx_t *ctx = xmpp_conn_get_context(conn);
    xmpp_stanza_t *message = xmpp_message_new(ctx, "chat", question->asker, question->id);
    char text[200];

    if (!strcmp(xmpp_stanza_get_type(iq), "error"))
        snprintf(text, sizeof text, "error %s",
                 condition_of(xmpp_stanza_get_child_by_name(iq, "error"), XMPP_NS_STANZAS_IETF));
    else
        snprintf(text, sizeof text, "%s", xmpp_stanza_get_type(iq));
    xmpp_stanza_set_from(message, question->self);
    xmpp_message_set_body(message, text);
    send_and_release(conn, message);
    free(question->asker);
    free(question->self);
    free(question->id);
    free(question);
    return 0;
}

static void ask(xmpp_conn_t *conn, xmpp_stanza_t *message, const char *whom)
{
    xmpp_ctx_t *ctx = xmpp_conn_get_context(conn);
    struct question *question = malloc(sizeof *question);
    char *id = xmpp_uuid_gen(ctx);
    xmpp_stanza_t *iq = xmpp_iq_new(ctx, "get", id);
    xmpp_stanza_t *ping = xmpp_stanza_new(ctx);

    question->asker = strdup(xmpp_stanza_get_from(message));
    question->self = strdup(xmpp_stanza_get_to(message));
    question->id = strdup(xmpp_stanza_get_id(message));
    xmpp_stanza_set_name(ping, "ping");
    xmpp_stanza_set_ns(ping, "urn:xmpp:ping");
    xmpp_stanza_add_child_ex(iq, ping, 0);
    xmpp_stanza_set_from(iq, question->self);
    xmpp_stanza_set_to(iq, whom);
    xmpp_id_handler_add(conn, on_answer, id, question);
    send_and_release(conn, iq);
    xmpp_free(ctx, id);
}

static int on_message(xmpp_conn_t *conn, xmpp_stanza_t *message, void *userdata)
{
    const char *type = xmpp_stanza_get_type(message);
    char *body;

    (void)userdata;
    if (type && !strcmp(type, "error"))
        return 1;
    body = xmpp_message_get_body(message);
    if (body && !strncmp(body, "ask ", 4))
        ask(conn, message, body + 4);
    else
        echo(conn, message, NULL);
    xmpp_free(xmpp_conn_get_context(conn), body);
    return 1;
}

static int on_get(xmpp_conn_t *conn, xmpp_stanza_t *iq, void *userdata)
{
    (void)userdata;
    echo(conn, iq, "result");
    return 1;
}

static void on_connection(xmpp_conn_t *conn, xmpp_conn_event_t event, int error,
                          xmpp_stream_error_t *stream_error, void *userdata)
{
    (void)userdata;
    if (event == XMPP_CONN_CONNECT) {
        authenticated = 1;
        xmpp_handler_add(conn, on_message, NULL, "message", NULL, NULL);
        xmpp_handler_add(conn, on_get, NULL, "iq", "get", NULL);
        puts("connected");
        return;
    }
    if (authenticated)
        printf("disconnected %s, error %d\n",
               stream_error ? condition_of(stream_error->stanza, XMPP_NS_STREAMS_IETF) : "", error);
    else if (stream_error && stream_error->type == XMPP_SE_NOT_AUTHORIZED) {
        refused = 1;
        printf("refused XMPP_SE_NOT_AUTHORIZED, %s\n", stream_error->text);
    }
    authenticated = 0;
    xmpp_stop(xmpp_conn_get_context(conn));
}

/* libstrophe 0.12.2, that of Debian 12, crashes on the first stanza that a component receives from
 * any server: it looks into the state of stream management, which it makes for clients only. So the
 * connection object is a client's first, which fails: nobody listens on that port. */
static void make_stream_management_state(xmpp_ctx_t *ctx, xmpp_conn_t *conn)
{
    if (xmpp_connect_client(conn, "127.0.0.1", 1, on_connection, NULL) == XMPP_EOK)
        xmpp_run(ctx);
}

int main(int argc, char **argv)
{
    xmpp_ctx_t *ctx;
    xmpp_conn_t *conn;

    if (argc != 5)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    xmpp_initialize();
    ctx = xmpp_ctx_new(NULL, xmpp_get_default_logger(XMPP_LEVEL_WARN));
    conn = xmpp_conn_new(ctx);
    xmpp_conn_set_jid(conn, argv[3]);
    xmpp_conn_set_pass(conn, argv[4]);
    make_stream_management_state(ctx, conn);
    while (!refused) {
        if (xmpp_connect_component(conn, argv[1], atoi(argv[2]), on_connection, NULL) == XMPP_EOK)
            xmpp_run(ctx);
        sleep(RETRY_SECONDS);
    }
    xmpp_conn_release(conn);
    xmpp_ctx_free(ctx);
    xmpp_shutdown();
    return 1;
}
