"""The clients, and what each of them does of its own (../README.md)."""

from . import packages
from .biboumi import Biboumi
from .echo import Echo

ECHO = packages.HERE / "echo"

# For libraries that decode each read on its own: a read may end within a character.
ASCII = "u" * 100_000

CLIENTS = (
    Echo(
        "slixmpp", lambda _: [packages.python(), ECHO / "slixmpp_echo.py"],
        reconnects="the application", shutdown="system-shutdown", refused="not-authorized"),
    Echo(
        "tokio-xmpp", lambda _: [packages.cargo_binary("echo")],
        reconnects="the application", shutdown="", refused="ComponentFail"),
    Echo(
        "twisted", lambda _: [packages.python(), ECHO / "twisted_echo.py"],
        reconnects="the library", shutdown="StreamError.*system-shutdown", refused="StreamError.*not-authorized"),
    Echo(
        "libstrophe", lambda scratch: [packages.compile_with(["cc"], "libstrophe.c", "libstrophe", scratch)],
        reconnects="the application", shutdown="system-shutdown", refused="XMPP_SE_NOT_AUTHORIZED",
        packages=("libstrophe-dev", "gcc", "pkg-config")),
    Echo(
        "gloox", lambda scratch: [packages.compile_with(["c++"], "gloox.cpp", "gloox", scratch)],
        reconnects="the application", shutdown="StreamErrorSystemShutdown", refused="StreamErrorNotAuthorized",
        packages=("libgloox-dev", "g++", "pkg-config")),
    Echo(
        "xmpp4r", lambda _: ["/usr/bin/ruby", ECHO / "xmpp4r.rb"],
        reconnects="the application", shutdown="system-shutdown", refused="Jabber::ComponentAuthenticationFailure",
        packages=("ruby-xmpp4r",),
        # It takes escaped ones for malformed text, and sends these raw where they have to be escaped.
        unreadable="<&>"),
    Echo(
        "net-jabber", lambda _: ["/usr/bin/perl", ECHO / "net_jabber.pl"],
        reconnects="its supervisor", shutdown="", refused="Bad handshake",
        packages=("libnet-jabber-perl",), long_text=ASCII),
    Echo(
        "anyevent-xmpp", lambda _: ["/usr/bin/perl", ECHO / "anyevent_xmpp.pl"],
        reconnects="the application", shutdown="system-shutdown", refused="not-authorized",
        packages=("libanyevent-xmpp-perl",), long_text=ASCII),
    Biboumi(),
)


def choose(names):
    known = {client.name: client for client in CLIENTS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"no client {unknown[0]!r}: there are {', '.join(known)}")
    return [known[name] for name in names] or list(CLIENTS)


def own_checks(client):
    """The commands of programs that check more of a library, on all of the nodes at once."""
    if client.name == "slixmpp":
        yield [packages.python(), packages.HERE / "slixmpp_components.py"]
    if client.name == "tokio-xmpp":
        yield [packages.cargo_binary("tokio-xmpp-components")]
