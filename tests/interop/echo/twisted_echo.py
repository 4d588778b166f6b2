"""The echo component of ../README.md by Twisted. Its factory connects again by itself.

    twisted_echo.py HOST PORT DOMAIN SECRET
"""

import sys

from twisted.internet import reactor
from twisted.words.protocols.jabber import component, error, xmlstream
from twisted.words.xish import domish

RETRY_SECONDS = 2


class Echo:
    """What happens on the streams of one factory, which come one after the other."""

    def __init__(self, domain, secret):
        self.authenticated = False
        self.error = ""
        self.factory = component.componentFactory(domain, secret)
        self.factory.maxDelay = RETRY_SECONDS
        for event, handler in (
                (xmlstream.STREAM_AUTHD_EVENT, self.ready),
                (xmlstream.STREAM_ERROR_EVENT, self.failed),
                (xmlstream.STREAM_END_EVENT, self.ended)):
            self.factory.addBootstrap(event, handler)

    def ready(self, stream):
        self.authenticated, self.error = True, ""
        stream.addObserver("/message", self.on_message, stream=stream)
        stream.addObserver("/iq[@type='get']", self.on_get, stream=stream)
        print("connected", flush=True)

    def failed(self, failure):
        self.error = f"{failure.type.__name__} {failure.value}"
        if failure.value.condition == "not-authorized" and reactor.running:
            print(f"refused {self.error}", flush=True)
            self.factory.stopTrying()
            reactor.stop()

    def ended(self, reason):
        if self.authenticated:
            print(f"disconnected {self.error}", flush=True)
        self.authenticated = False

    def on_message(self, message, stream):
        if message.getAttribute("type") == "error":
            return
        body = str(message.body or "")
        if body.startswith("ask "):
            self.ask(stream, message, body.removeprefix("ask "))
        else:
            stream.send(reply_to(message, message.getAttribute("type"), message.children))

    def on_get(self, iq, stream):
        stream.send(reply_to(iq, "result", iq.children))

    def ask(self, stream, message, whom):
        iq = xmlstream.IQ(stream, "get")
        iq["from"] = message["to"]
        iq.addElement(("urn:xmpp:ping", "ping"))

        def answer(text):
            body = domish.Element((message.uri, "body"))
            body.addContent(text)
            stream.send(reply_to(message, "chat", [body]))

        def answer_error(failure):
            failure.trap(error.StanzaError)
            answer(f"error {failure.value.condition}")

        iq.send(whom).addCallbacks(lambda result: answer(result["type"]), answer_error)


def reply_to(stanza, kind, children):
    reply = domish.Element((stanza.uri, stanza.name))
    reply["from"], reply["to"] = stanza["to"], stanza["from"]
    for name, value in (("id", stanza.getAttribute("id")), ("type", kind)):
        if value:
            reply[name] = value
    for child in children:
        reply.addChild(child)
    return reply


def main():
    host, port, domain, secret = sys.argv[1:]
    echo = Echo(domain, secret)
    reactor.connectTCP(host, int(port), echo.factory)
    reactor.run()


if __name__ == "__main__":
    main()
