"""slixmpp components on different nodes, and what they get from each other.

    slixmpp_components.py NODE1 NODE2 NODE3        each HOST:PORT of a component listener
"""

import asyncio
import sys

from slixmpp import ComponentXMPP
from slixmpp.exceptions import IqError
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath

SECRET = "secret"
HOST = "example.org"
PATIENCE = 30
UNICODE = "žluťoučký kůň 🐎 日本語 <&>'\" \u200d\U0001f600"


class Probe(ComponentXMPP):
    """A component that keeps what it receives."""

    def __init__(self, domain, address, secret=SECRET):
        host, port = address.rsplit(":", 1)
        # Without fix_error_ns slixmpp looks for <error/> in jabber:client, where a component's is not.
        super().__init__(domain, secret, host, int(port), fix_error_ns=True)
        self.domain = domain
        self.messages = asyncio.Queue()
        self.presences = asyncio.Queue()
        self.outcome = asyncio.get_running_loop().create_future()
        for plugin in ("xep_0030", "xep_0092", "xep_0199"):
            self.register_plugin(plugin)
        self.plugin["xep_0092"].software_name = f"probe {domain}"
        self.register_handler(
            Callback("every message", StanzaPath("message"), self.messages.put_nowait))
        self.register_handler(
            Callback("every presence", StanzaPath("presence"), self.presences.put_nowait))
        self.add_event_handler("session_start", lambda _: self.decide("started"))
        self.add_event_handler("stream_error", lambda error: self.decide(error["condition"]))
        self.add_event_handler("disconnected", lambda reason: self.decide(f"disconnected: {reason}"))

    def decide(self, outcome):
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    async def attempt(self):
        """Connects. "started", or the condition of the stream error."""
        self.connect()
        return await asyncio.wait_for(asyncio.shield(self.outcome), PATIENCE)

    async def next(self, queue):
        return await asyncio.wait_for(queue.get(), PATIENCE)


class Checks:
    def __init__(self, addresses):
        self.addresses = addresses
        self.probes = []
        self.refused = []

    async def started(self, domain, node):
        probe = Probe(domain, self.addresses[node])
        self.probes.append(probe)
        expect(await probe.attempt(), "started")
        return probe

    async def refuse(self, domain, node, condition, **options):
        probe = Probe(domain, self.addresses[node], **options)
        self.refused.append(probe)
        expect(await probe.attempt(), condition)

    async def run(self):
        self.a = await self.started("a.slixmpp.example", 0)
        self.b = await self.started("b.slixmpp.example", 1)
        self.c = await self.started("c.slixmpp.example", 0)
        failed = 0
        for check in (self.message, self.unicode, self.large, self.same_node, self.order,
                      self.presence, self.iq_both_ways, self.iq_payload, self.disco_info,
                      self.disco_items, self.unknown_domain, self.wrong_password, self.conflict):
            name = check.__name__.replace("_", " ")
            try:
                await asyncio.wait_for(check(), PATIENCE)
                print(f"ok slixmpp: {name}", flush=True)
            except Exception as error:
                failed += 1
                print(f"FAILED slixmpp: {name}: {error!r}", flush=True)
        for probe in self.probes:
            await probe.disconnect()
        await self.end_tasks()
        return failed

    @staticmethod
    async def end_tasks():
        """slixmpp leaves tasks behind for every stream that the other side has closed."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def exchange(self, sender, receiver, body):
        sender.send_message(mto=f"user@{receiver.domain}", mfrom=f"x@{sender.domain}", mbody=body)
        message = await receiver.next(receiver.messages)
        expect((message["body"], message["from"].full), (body, f"x@{sender.domain}"))

    async def message(self):
        await self.exchange(self.a, self.b, "hello")
        await self.exchange(self.b, self.a, "and back")

    async def unicode(self):
        await self.exchange(self.a, self.b, UNICODE)

    async def large(self):
        await self.exchange(self.b, self.a, "ü" * 100_000)

    async def same_node(self):
        await self.exchange(self.a, self.c, "neighbour")

    async def order(self):
        numbers = [str(number) for number in range(1000)]
        for number in numbers:
            self.a.send_message(mto=self.b.domain, mfrom=self.a.domain, mbody=number)
        received = [(await self.b.next(self.b.messages))["body"] for _ in numbers]
        expect(received, numbers)

    async def presence(self):
        self.a.send_presence(pto=f"u@{self.b.domain}", pfrom=f"x@{self.a.domain}", pshow="away", pstatus=UNICODE)
        presence = await self.b.next(self.b.presences)
        expect((presence["type"], presence["status"]), ("away", UNICODE))

    async def iq_both_ways(self):
        for asker, asked in ((self.a, self.b), (self.b, self.a)):
            await asker.plugin["xep_0199"].send_ping(asked.domain, ifrom=asker.domain, timeout=PATIENCE)

    async def iq_payload(self):
        answer = await self.b.plugin["xep_0092"].get_version(self.a.domain, ifrom=self.b.domain)
        expect(answer["software_version"]["name"], f"probe {self.a.domain}")

    async def disco_info(self):
        info = await self.b.plugin["xep_0030"].get_info(HOST, ifrom=self.b.domain)
        identities = {(category, kind) for category, kind, _, _ in info["disco_info"]["identities"]}
        expect(("server", "im") in identities, True, identities)

    async def disco_items(self):
        items = await self.b.plugin["xep_0030"].get_items(HOST, ifrom=self.b.domain)
        listed = {str(jid) for jid, _, _ in items["disco_items"]["items"]}
        expect({probe.domain for probe in self.probes} <= listed, True, listed)

    async def unknown_domain(self):
        try:
            await self.a.plugin["xep_0199"].send_ping("nowhere.example", ifrom=self.a.domain, timeout=PATIENCE)
        except IqError as error:
            expect((error.condition, error.etype), ("remote-server-not-found", "cancel"))
        else:
            raise AssertionError("somebody answered for a domain that nobody has")

    async def wrong_password(self):
        await self.refuse("w.slixmpp.example", 2, "not-authorized", secret="wrong")

    async def conflict(self):
        await self.refuse(self.a.domain, 0, "conflict")
        await self.exchange(self.b, self.a, "still here")


def expect(value, wanted, shown=None):
    if value != wanted:
        raise AssertionError(f"{shown or value!r} instead of {wanted!r}"[:2000])


async def main():
    return 1 if await Checks(sys.argv[1:]).run() else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
