"""A component of nothing but XEP-0114, which takes nothing for granted: all that it receives goes
through expat, and comments, processing instructions and text between stanzas are errors."""

import asyncio
import hashlib
import xml.etree.ElementTree as ET
from xml.sax.saxutils import quoteattr

ACCEPT = "jabber:component:accept"
STREAMS = "http://etherx.jabber.org/streams"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


class Component:
    def __init__(self, domain, answers=None):
        """`answers` has the payload of the result for the namespace of an iq get."""
        self.domain = domain
        self.answers = {"urn:xmpp:ping": ""} | (answers or {})
        self.unclaimed = []
        self.news = asyncio.Event()
        self.ended = None
        self.reader = self.writer = self.task = None

    async def connect(self, address, secret):
        self.address, self.secret = address, secret
        self.reader, self.writer = await asyncio.open_connection(*address)
        self.parser = ET.XMLPullParser(("start", "end", "comment", "pi"))
        self.depth = 0
        self.stream = None
        self.ended = None
        self.send(f"<stream:stream xmlns='{ACCEPT}' xmlns:stream='{STREAMS}' to='{self.domain}'>")
        self.task = asyncio.create_task(self.read())
        await self.until(lambda: self.stream is not None)
        digest = hashlib.sha1((self.stream.get("id") + secret).encode()).hexdigest()
        self.send(f"<handshake>{digest}</handshake>")
        await self.receive(lambda element: element.tag == f"{{{ACCEPT}}}handshake")

    async def close(self):
        self.send("</stream:stream>")
        await asyncio.wait({self.task})
        self.writer.close()

    def send(self, xml):
        self.writer.write(xml.encode())

    def send_error(self, stanza, condition):
        """What a server answers for somebody who is not there."""
        name = stanza.tag.removeprefix(f"{{{ACCEPT}}}")
        self.send(
            f"<{name} type='error' {self.back(stanza)}><error type='cancel'>"
            f"<{condition} xmlns='{STANZAS}'/></error></{name}>")

    async def receive(self, wanted):
        """The first stanza of which `wanted` holds. The others stay for those who want them."""
        while True:
            for position, stanza in enumerate(self.unclaimed):
                if wanted(stanza):
                    return self.unclaimed.pop(position)
            await self.change()

    async def answer(self, identifier):
        return await self.receive(lambda stanza: stanza.get("id") == identifier)

    async def until(self, condition):
        while not condition():
            await self.change()

    async def change(self):
        if self.ended:
            raise ConnectionError(f"the stream of {self.domain} has ended: {self.ended}")
        self.news.clear()
        await self.news.wait()

    async def read(self):
        try:
            while data := await self.reader.read(65536):
                self.parser.feed(data)
                for event, element in self.parser.read_events():
                    self.parsed(event, element)
                self.news.set()
            self.ended = "no more bytes"
        except Exception as error:
            self.ended = repr(error)
        self.news.set()

    def parsed(self, event, element):
        if event in ("comment", "pi"):
            raise ValueError(f"a {event} in the stream")
        if event == "start":
            self.depth += 1
            if self.depth == 1:
                self.stream = element
            return
        self.depth -= 1
        if self.depth == 1:
            if (element.tail or "").strip():
                raise ValueError(f"text between stanzas: {element.tail!r}")
            self.stream.clear()
            self.take(element)

    def take(self, element):
        if element.tag == f"{{{STREAMS}}}error":
            raise ConnectionError(ET.tostring(element, "unicode"))
        if element.tag == f"{{{ACCEPT}}}iq" and element.get("type") == "get":
            self.reply(element)
        else:
            self.unclaimed.append(element)

    def reply(self, iq):
        namespace = iq[0].tag[1:].partition("}")[0]
        if namespace in self.answers:
            self.send(f"<iq type='result' {self.back(iq)}>{self.answers[namespace]}</iq>")
        else:
            self.send_error(iq, "service-unavailable")

    @staticmethod
    def back(stanza):
        attributes = {"from": stanza.get("to"), "to": stanza.get("from"), "id": stanza.get("id")}
        return " ".join(f"{name}={quoteattr(value)}" for name, value in attributes.items() if value)


def condition_of(stanza):
    """Type and condition of its error."""
    error = stanza.find(f"{{{ACCEPT}}}error")
    if stanza.get("type") != "error" or error is None:
        raise AssertionError(f"no error: {ET.tostring(stanza, 'unicode')}")
    conditions = [child.tag.removeprefix(f"{{{STANZAS}}}") for child in error]
    return error.get("type"), next(name for name in conditions if name != "text")
