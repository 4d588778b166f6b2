"""An IRC server for biboumi, and somebody who sits in its channel."""

import asyncio
import os
import re

from .cluster import bindable

# The port without TLS that biboumi tries by itself.
PORT = 6667
CHANNEL = "#switchyard"


class Server:
    """Debian's ngircd on an address of the loopback network that nobody else uses."""

    def __init__(self, scratch):
        self.address = free_address()
        self.config = scratch / "ngircd.conf"
        self.log = scratch / "ngircd.log"
        self.process = None
        self.config.write_text(
            f"[Global]\nName = irc.interop.example\nInfo = -\nListen = {self.address}\nPorts = {PORT}\n"
            "ServerUID = nobody\nServerGID = nogroup\n"
            "[Limits]\nMaxConnectionsIP = 0\nMaxNickLength = 20\nMaxPenaltyTime = 0\n"
            "[Options]\nDNS = no\nIdent = no\nPAM = no\n")

    async def start(self):
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                "/usr/sbin/ngircd", "--nodaemon", "--config", self.config,
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log)

    async def stop(self):
        if self.process and self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()


class User:
    """Somebody on IRC."""

    def __init__(self, nick):
        self.nick = nick
        self.reader = self.writer = None

    async def join(self, server):
        while True:
            try:
                self.reader, self.writer = await asyncio.open_connection(server.address, PORT)
                break
            except ConnectionRefusedError:
                if server.process.returncode is not None:
                    raise
                await asyncio.sleep(0.05)
        self.send(f"NICK {self.nick}", f"USER {self.nick} 0 * :-", f"JOIN {CHANNEL}")
        await self.expect(f" 366 {self.nick} {CHANNEL} ")

    def send(self, *lines):
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())

    async def expect(self, pattern):
        """The next line that matches. Those before it are passed over."""
        while line := await self.reader.readline():
            text = line.decode(errors="replace").rstrip("\r\n")
            if text.startswith("PING "):
                self.send(text.replace("PING", "PONG", 1))
            elif found := re.search(pattern, text):
                return found
        raise ConnectionError("the IRC server has closed the connection")

    def leave(self):
        if self.writer:
            self.writer.close()


def free_address():
    start = os.getpid() % 250
    candidates = (f"127.73.{start}.{last}" for last in range(1, 250))
    return next(address for address in candidates if bindable(PORT, address))
