"""The echo component of ../README.md by slixmpp. It connects again when told of the end.

    slixmpp_echo.py HOST PORT DOMAIN SECRET
"""

import asyncio
import copy
import sys

from slixmpp import ComponentXMPP
from slixmpp.exceptions import IqError
from slixmpp.xmlstream.handler import Callback, CoroutineCallback
from slixmpp.xmlstream.matcher import MatchXPath, StanzaPath

ACCEPT = "jabber:component:accept"


class Echo(ComponentXMPP):
    def __init__(self, host, port, domain, secret):
        # Without fix_error_ns slixmpp looks for <error/> in jabber:client, where a component's is not.
        super().__init__(domain, secret, host, int(port), fix_error_ns=True)
        self.condition = ""
        self.authenticated = False
        self.refused = asyncio.get_running_loop().create_future()
        self.register_plugin("xep_0199")
        self.register_handler(CoroutineCallback("messages", StanzaPath("message"), self.on_message))
        self.register_handler(Callback(
            "gets", MatchXPath(f"{{{ACCEPT}}}iq/{{urn:example:interop}}payload"), self.on_get))
        self.add_event_handler("session_start", self.on_start)
        self.add_event_handler("stream_error", self.on_stream_error)
        self.add_event_handler("disconnected", self.on_disconnected)

    def on_start(self, _):
        self.authenticated, self.condition = True, ""
        print("connected", flush=True)

    def on_stream_error(self, stream_error):
        self.condition = stream_error["condition"]
        if self.condition == "not-authorized" and not self.refused.done():
            self.refused.set_result(self.condition)

    def on_disconnected(self, reason):
        if self.authenticated:
            print(f"disconnected {self.condition} {reason}", flush=True)
        self.authenticated = False
        if not self.refused.done():
            self.connect()

    async def on_message(self, message):
        if message["type"] == "error":
            return
        if message["body"].startswith("ask "):
            await self.ask(message, message["body"].removeprefix("ask "))
        else:
            self.echo(message, self.make_message(mto=message["from"], mfrom=message["to"], mtype=message["type"]))

    def on_get(self, iq):
        self.echo(iq, self.make_iq_result(id=iq["id"], ito=iq["from"], ifrom=iq["to"]))

    def echo(self, stanza, reply):
        reply["id"] = stanza["id"]
        for child in stanza.xml:
            reply.xml.append(copy.deepcopy(child))
        reply.send()

    async def ask(self, message, whom):
        try:
            await self.plugin["xep_0199"].send_ping(whom, ifrom=message["to"])
            text = "result"
        except IqError as error:
            text = f"error {error.condition}"
        reply = self.make_message(mto=message["from"], mfrom=message["to"], mbody=text)
        reply["id"] = message["id"]
        reply.send()


async def main():
    echo = Echo(*sys.argv[1:])
    echo.connect()
    print(f"refused {await echo.refused}", flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
