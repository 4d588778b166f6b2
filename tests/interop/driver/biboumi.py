"""biboumi, a gateway to IRC, between users of the peer and a real IRC server."""

import asyncio
import re
import sys
from xml.sax.saxutils import escape

from .component import ACCEPT, Component
from .irc import CHANNEL, Server, User
from .report import expect

MUC = "http://jabber.org/protocol/muc"
INFO = "http://jabber.org/protocol/disco#info"
TEXT = "žluťoučký kůň 🐎 日本語 <&>'\"]]>"


class Biboumi:
    """The process, with the interface of an Echo. What it says in its log are its events."""
    name = "biboumi"
    domain = "biboumi.interop.example"
    reconnects = "the library"
    shutdown = "Stream error received from the XMPP server: .*shutting down"
    refused = "Stream error received from the XMPP server: .*check the secret"
    packages = ("biboumi", "ngircd")

    def make_ready(self, scratch):
        self.scratch = scratch
        self.server = Server(scratch)
        self.program = self.irc = None

    async def start(self, address):
        await self.server.start()
        self.irc = User("witness")
        await self.irc.join(self.server)
        self.program = await self.run(address, "secret", self.domain)

    async def run(self, address, secret, domain):
        host, port = address
        config = self.scratch / f"{domain}.cfg"
        config.write_text(
            f"hostname={domain}\npassword={secret}\nxmpp_server_ip={host}\nport={port}\n"
            f"db_name={self.scratch / domain}.sqlite\nidentd_port=0\nlog_level=0\n")
        program = Program()
        await program.start("/usr/bin/biboumi", str(config))
        return program

    async def stop(self):
        if self.program:
            await self.program.stop()
        if self.irc:
            self.irc.leave()
        await self.server.stop()

    def show_errors(self):
        if self.program:
            print("--- the end of what biboumi said", *self.program.log[-40:], sep="\n", file=sys.stderr)

    async def connected(self):
        await self.program.says("Authenticated with the XMPP server")

    async def told_of_shutdown(self):
        await self.program.says(self.shutdown)
        await self.disconnected()

    async def disconnected(self):
        await self.program.says("XMPP server closed connection")

    async def is_refused(self, address):
        program = await self.run(address, "wrong", f"wrong.{self.domain}")
        try:
            await program.says(self.refused)
        finally:
            await program.stop()

    async def ready_to_return(self, address):
        pass

    def conversation(self, peer, occasion):
        talk = Talk(self, peer, occasion)
        return (
            ("an iq get for disco#info is answered", talk.disco_info),
            ("a user joins a channel", talk.join),
            ("a text of the user comes to IRC", talk.to_irc),
            ("a text from IRC comes to the user", talk.from_irc),
            ("its own iq get is answered", talk.version),
            ("the user leaves the channel", talk.leave),
            ("a domain that nobody has any more", talk.gone),
        )


class Talk:
    def __init__(self, biboumi, peer, occasion):
        self.biboumi = biboumi
        self.irc = biboumi.irc
        self.peer = peer
        self.occasion = occasion
        self.user = f"user@{peer.domain}/ü"
        self.room = f"{CHANNEL}%{biboumi.server.address}@{biboumi.domain}"
        self.nick = "guest"
        self.asked = 0

    def send(self, name, attributes, content=""):
        self.peer.send(f"<{name} from='{self.user}' {attributes}>{content}</{name}>")

    async def disco_info(self):
        self.asked += 1
        identifier = f"disco {self.occasion} {self.asked}"
        self.send("iq", f"to='{self.biboumi.domain}' type='get' id='{identifier}'", f"<query xmlns='{INFO}'/>")
        answer = await self.peer.answer(identifier)
        expect(answer.get("type"), "result")
        identities = [(found.get("category"), found.get("type")) for found in answer.iter(f"{{{INFO}}}identity")]
        expect(identities, [("conference", "irc")])

    async def join(self):
        self.send("presence", f"to='{self.room}/{self.nick}'", f"<x xmlns='{MUC}'/>")
        await self.peer.receive(lambda stanza: self.is_own_presence(stanza, None))
        await self.irc.expect(f"^:{self.nick}!.* JOIN ")

    async def to_irc(self):
        self.send("message", f"to='{self.room}' type='groupchat'", f"<body>{escape(TEXT)}</body>")
        expect((await self.irc.expect(f"^:{self.nick}!.* PRIVMSG {CHANNEL} :(.*)"))[1], TEXT)

    async def from_irc(self):
        self.irc.send(f"PRIVMSG {CHANNEL} :{TEXT}")
        message = await self.peer.receive(
            lambda stanza: stanza.get("from") == f"{self.room}/{self.irc.nick}"
            and stanza.find(f"{{{ACCEPT}}}body") is not None)
        expect((message.get("to"), message.findtext(f"{{{ACCEPT}}}body")), (self.user, TEXT))

    async def version(self):
        """Asked for on IRC, biboumi asks the user's client."""
        self.irc.send(f"PRIVMSG {self.nick} :\x01VERSION\x01")
        answer = await self.irc.expect(f"^:{self.nick}!.* NOTICE .* :(.*)")
        expect(answer[1], "\x01VERSION Peer (through the biboumi gateway) 1 none\x01")

    async def leave(self):
        self.send("presence", f"to='{self.room}/{self.nick}' type='unavailable'")
        await self.peer.receive(lambda stanza: self.is_own_presence(stanza, "unavailable"))

    async def gone(self):
        """Somebody joins whose domain disappears. (biboumi takes the last child of the error for
        its condition, which is the text: otherwise it would part for that user.)"""
        other = Component("gone.interop.example")
        await other.connect(self.peer.address, self.peer.secret)
        try:
            other.send(
                f"<presence from='user@{other.domain}/x' to='{self.room}/gone'><x xmlns='{MUC}'/></presence>")
            await other.receive(lambda stanza: self.is_own_presence(stanza, None))
            await self.irc.expect("^:gone!.* JOIN ")
        finally:
            await other.close()
        condition = "remote-server-timeout"
        while condition == "remote-server-timeout":
            # biboumi's node may need a moment until it knows that nobody has the domain any more.
            self.irc.send(f"PRIVMSG {CHANNEL} :{TEXT}")
            found = await self.biboumi.program.says(
                f"XMPP RECEIVING: <message from='user@{other.domain}/x'.* type='error'.*<error [^>]*><([a-z-]*) ")
            condition = found[1]
        expect(condition, "remote-server-not-found")
        self.irc.send(f"KICK {CHANNEL} gone")
        await self.disco_info()

    def is_own_presence(self, stanza, kind):
        codes = [status.get("code") for status in stanza.iter(f"{{{MUC}#user}}status")]
        return stanza.tag == f"{{{ACCEPT}}}presence" and stanza.get("type") == kind and "110" in codes


class Program:
    """A process and what it says, which is read as it comes."""

    def __init__(self):
        self.log = []
        self.unread = 0
        self.news = asyncio.Event()
        self.process = self.task = None

    async def start(self, *command):
        self.process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        self.task = asyncio.create_task(self.read())

    async def read(self):
        while line := await self.process.stdout.readline():
            self.log.append(line.decode(errors="replace").rstrip())
            self.news.set()
        self.news.set()

    async def says(self, pattern):
        """The next line that matches. Those before it are passed over."""
        while True:
            while self.unread < len(self.log):
                self.unread += 1
                if found := re.search(pattern, self.log[self.unread - 1]):
                    return found
            if self.task.done():
                raise AssertionError(f"it ended without {pattern!r}")
            self.news.clear()
            await self.news.wait()

    async def stop(self):
        if self.process.returncode is None:
            self.process.terminate()
        await asyncio.wait({self.task})
        await self.process.wait()
