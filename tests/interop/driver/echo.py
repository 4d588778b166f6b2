"""The echo components (../README.md) as processes, and what is asked of them."""

import asyncio
import dataclasses
import re
import sys
import typing
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

from .component import ACCEPT
from .report import expect

TEXT = "žluťoučký kůň 🐎 日本語 <&>'\"]]> \u200d\U0001f600"
LONG = "ü" * 100_000
INTEROP = "urn:example:interop"


@dataclasses.dataclass
class Echo:
    """One library's echo component."""
    name: str
    # What runs it, without its four arguments. Called with the scratch directory.
    prepare: typing.Callable
    # Who connects again after the end of a stream: "the library", "the application" or, for one
    # that ends with its stream, "its supervisor".
    reconnects: str
    # What the library says of a stream error system-shutdown (nothing: it does not tell), and of a
    # wrong secret.
    shutdown: str
    refused: str
    packages: tuple = ()
    # Characters of a text that it cannot read.
    unreadable: str = ""
    long_text: str = LONG
    command: list = None
    process: asyncio.subprocess.Process = None
    stderr: typing.Any = None

    @property
    def domain(self):
        return f"{self.name}.interop.example"

    def make_ready(self, scratch):
        self.command = [str(part) for part in self.prepare(scratch)]
        self.stderr = scratch / f"{self.name}.stderr"

    async def start(self, address, secret="secret", domain=None):
        host, port = address
        with self.stderr.open("ab") as stderr:
            self.process = await asyncio.create_subprocess_exec(
                *self.command, host, str(port), domain or self.domain, secret,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=stderr)

    async def stop(self):
        if self.process and self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()

    def show_errors(self):
        if self.stderr.exists() and (text := self.stderr.read_text(errors="replace")[-3000:]):
            print(f"--- what {self.name} said besides\n{text}", file=sys.stderr)

    async def expect_event(self, kind, words=""):
        """The next line of its output is an event of this kind and matches `words`."""
        line = (await self.process.stdout.readline()).decode(errors="replace").rstrip("\n")
        if line.split(" ")[0] != kind or not re.search(words, line):
            raise AssertionError(f"{line!r} instead of {kind!r} {words!r}")

    async def connected(self):
        await self.expect_event("connected")

    async def told_of_shutdown(self):
        await self.expect_event("disconnected", self.shutdown)

    async def disconnected(self):
        await self.expect_event("disconnected")

    async def is_refused(self, address):
        await self.start(address, secret="wrong", domain=f"wrong.{self.domain}")
        try:
            await self.expect_event("refused", self.refused)
        finally:
            await self.stop()

    async def ready_to_return(self, address):
        """After the end of its stream; the node is about to be there again."""
        if self.reconnects == "its supervisor":
            await self.process.wait()
            await self.start(address)

    def conversation(self, peer, occasion):
        """What is said between it and the peer: a name and a coroutine function for each exchange."""
        talk = Talk(self, peer, occasion)
        return (
            ("a message comes back with its text and a foreign payload", talk.message),
            ("a message of 100 000 characters comes back", talk.long_message),
            ("an iq get is answered with its payload", talk.iq),
            ("its own iq get is answered", talk.question_answered),
            ("a domain that nobody has", talk.question_bounced),
        )


class Talk:
    """The exchanges of one conversation. Identifiers differ from those of the others."""

    def __init__(self, echo, peer, occasion):
        self.peer = peer
        self.me = f"user@{peer.domain}/ü"
        self.it = f"bot@{echo.domain}"
        self.prefix = f"{echo.name} {occasion}"
        self.long = echo.long_text
        self.text = "".join(character for character in TEXT if character not in echo.unreadable)
        self.payload = (
            f"<payload xmlns='{INTEROP}' kind={quoteattr(self.text)}>"
            f"<item xmlns='urn:example:other' number='1'>{escape(self.text)}</item><item/></payload>")

    async def say(self, what, name, attributes, content):
        identifier = f"{self.prefix}-{what}"
        self.peer.send(f"<{name} from='{self.me}' to='{self.it}' id='{identifier}' {attributes}>{content}</{name}>")
        answer = await self.peer.answer(identifier)
        expect((answer.tag, answer.get("from"), answer.get("to")), (f"{{{ACCEPT}}}{name}", self.it, self.me))
        return answer

    async def message(self):
        answer = await self.say("text", "message", "type='chat'", f"<body>{escape(self.text)}</body>{self.payload}")
        expect(answer.get("type"), "chat")
        expect(answer.findtext(f"{{{ACCEPT}}}body"), self.text)
        self.expect_payload(answer)

    async def long_message(self):
        answer = await self.say("long", "message", "type='chat'", f"<body>{self.long}</body>")
        body = answer.findtext(f"{{{ACCEPT}}}body") or ""
        expect((len(body), body == self.long), (len(self.long), True))

    async def iq(self):
        answer = await self.say("get", "iq", "type='get'", self.payload)
        expect(answer.get("type"), "result")
        self.expect_payload(answer)

    async def question_answered(self):
        await self.question(self.peer.domain, "result")

    async def question_bounced(self):
        await self.question("nowhere.example", "error remote-server-not-found")

    async def question(self, whom, outcome):
        answer = await self.say(f"ask-{whom}", "message", "type='chat'", f"<body>ask {whom}</body>")
        expect(answer.findtext(f"{{{ACCEPT}}}body"), outcome)

    def expect_payload(self, stanza):
        payload = stanza.find(f"{{{INTEROP}}}payload")
        expect(None if payload is None else canonical(payload), canonical(ET.fromstring(self.payload)))


def canonical(element):
    copy = ET.fromstring(ET.tostring(element))
    copy.tail = None
    return ET.canonicalize(ET.tostring(copy), rewrite_prefixes=True)
