"""The life of components on a node that is restarted: what is checked of every one of them."""

import asyncio
import itertools
import signal

from .component import Component, condition_of
from .report import expect

SECRET = "secret"
PEER = "peer.interop.example"
VERSION = "<query xmlns='jabber:iq:version'><name>Peer</name><version>1</version><os>none</os></query>"


async def live(clients, nodes, report):
    """All of the clients together on the first node, their peer on the second."""
    node, beside, third = nodes
    peer = Component(PEER, {"jabber:iq:version": VERSION})
    await peer.connect(beside.component, SECRET)
    try:
        present = await meet(clients, node, peer, report)
        await restart(present, node, peer, report, signal.SIGTERM)
        await restart(present, node, peer, report, signal.SIGKILL)
        for client in clients:
            await client.stop()
        for client in clients:
            await report.check(client.name, "is told of a wrong secret", client.is_refused(third.component))
        await report.check("peer", "has kept its stream, and read nothing but XML on it", alive(peer))
    finally:
        for client in clients:
            await client.stop()
    await peer.close()


async def alive(peer):
    expect(peer.ended, None)


async def meet(clients, node, peer, report):
    """Those that have connected."""
    present = [client for client in clients if await report.check(client.name, "connects", arrive(client, node))]
    for client in present:
        await converse(client, peer, report, "")
    return present


async def converse(client, peer, report, occasion):
    """Its exchanges up to the first that fails: those that follow would but wait for nothing."""
    for what, exchange in client.conversation(peer, occasion):
        if not await report.check(client.name, f"{occasion}{what}", exchange()):
            return


async def restart(present, node, peer, report, how):
    """Ends the node and starts it again. Those that do not return are no longer among the present."""
    name = how.name
    ended = await asyncio.to_thread(node.stop, how)
    if how == signal.SIGTERM and ended != 0:
        report.fail("switchyard", f"ends well after {name}", ended)
    for client in present:
        if how == signal.SIGTERM:
            what = "is told of the shutdown" if client.shutdown else "notices the shutdown"
            await report.check(client.name, what, client.told_of_shutdown())
            await report.check(client.name, "its peer is told that it is away", away(client, peer))
        else:
            await report.check(client.name, f"notices {name}", client.disconnected())
    node.start()
    await asyncio.to_thread(node.wait_ready)
    for client in list(present):
        if not await report.check(client.name, f"is back after {name} by {client.reconnects}",
                                  back(client, node)):
            present.remove(client)
            continue
        await converse(client, peer, report, f"after {name}, ")


async def arrive(client, node):
    await client.start(node.component)
    await client.connected()


async def back(client, node):
    await client.ready_to_return(node.component)
    await client.connected()


async def away(client, peer):
    """The node of the peer may need a moment until it knows that the other has left."""
    for attempt in itertools.count():
        identifier = f"{client.name} away {attempt}"
        peer.send(
            f"<message from='user@{peer.domain}' to='bot@{client.domain}' id='{identifier}'><body>?</body></message>")
        answer = condition_of(await peer.answer(identifier))
        if answer != ("wait", "remote-server-timeout"):
            break
    expect(answer, ("cancel", "remote-server-not-found"))
