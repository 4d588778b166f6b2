use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{Context, Result};
use parking_lot::{Condvar, Mutex};

use crate::socket_owner::owner_of;

/// The network between the nodes of a [`Cluster`](crate::Cluster): every connection from one to
/// another leads through here, and can be held up or broken for each ordered pair of nodes.
///
/// Each node advertises the address of a relay, which passes on what comes to where the node listens.
/// All founders must name the same addresses, so there cannot be a relay for each pair; which node
/// has connected, the relay learns from the system, which knows the process that has the other end of
/// the connection. That needs no privileges, but Linux.
///
/// Nodes are given by their indexes in the cluster.
#[derive(Debug)]
pub struct Links {
    relays: Vec<SocketAddr>,
    network: Arc<Network>,
}

/// What is wrong with the way from one node to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// What the one sends does not arrive, not even that a connection has ended: as if packets were
    /// dropped. It arrives when the way is mended, since TCP sends it again. The other way is open, also
    /// for answers on the same connection.
    Silent,
    /// Connections that the one has made to the other end at once, and new ones are refused.
    Broken,
}

#[derive(Debug, Default)]
struct Network {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Of each node, while it runs.
    processes: Vec<Arc<AtomicU32>>,
    /// By sender and receiver; those that are not here are open.
    cuts: Vec<(Way, Cut)>,
    connections: Vec<Arc<Connection>>,
    is_over: bool,
}

/// From one node to another.
type Way = (usize, usize);

#[derive(Debug)]
struct Connection {
    /// From who has made it to whom.
    way: Way,
    dialler: TcpStream,
    target: TcpStream,
}

// === impl Links ===

impl Links {
    /// The network between nodes that listen for their peers at these addresses. All ways are open.
    ///
    /// # Errors
    ///
    /// When a port is not to be had.
    pub(crate) fn to(targets: impl IntoIterator<Item = SocketAddr>) -> Result<Self> {
        let network = Arc::new(Network::default());
        let relay = |(to, target)| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = listener.local_addr()?;
            let network = Arc::clone(&network);
            thread::spawn(move || network.relay(&listener, to, target));
            Ok(address)
        };
        let relays = targets.into_iter().enumerate().map(relay);
        Ok(Self {
            relays: relays.collect::<Result<_>>()?,
            network,
        })
    }

    /// As which processes the nodes run (0: it does not), which is known once there are nodes.
    pub(crate) fn attach(&self, processes: Vec<Arc<AtomicU32>>) {
        self.network.state.lock().processes = processes;
    }

    /// What the node should advertise.
    #[must_use]
    pub fn address(&self, node: usize) -> SocketAddr {
        self.relays[node]
    }

    /// Cuts the way from one node to another.
    pub fn cut(&self, from: usize, to: usize, cut: Cut) {
        self.network.set((from, to), Some(cut));
    }

    /// Cuts all ways between `node` and the others, both there and back.
    pub fn isolate(&self, node: usize, cut: Cut) {
        for other in (0..self.relays.len()).filter(|other| *other != node) {
            self.cut(node, other, cut);
            self.cut(other, node, cut);
        }
    }

    /// Mends the way from one node to another.
    pub fn heal(&self, from: usize, to: usize) {
        self.network.set((from, to), None);
    }

    /// Mends everything.
    pub fn heal_all(&self) {
        self.network.state.lock().cuts.clear();
        self.network.changed.notify_all();
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        let mut state = self.network.state.lock();
        state.is_over = true;
        state.connections.iter().for_each(|c| c.shut());
        drop(state);
        self.network.changed.notify_all();
        // Wakes the threads that accept; one that is gone needs none.
        for relay in &self.relays {
            let _ = TcpStream::connect(relay);
        }
    }
}

// === impl Network ===

impl Network {
    fn set(&self, way: Way, cut: Option<Cut>) {
        let mut state = self.state.lock();
        state.cuts.retain(|(other, _)| *other != way);
        state.cuts.extend(cut.map(|cut| (way, cut)));
        if cut == Some(Cut::Broken) {
            let broken = state.connections.iter().filter(|c| c.way == way);
            broken.for_each(|connection| connection.shut());
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Passes on what comes for the node `to`, until everything is over.
    fn relay(self: &Arc<Self>, listener: &TcpListener, to: usize, target: SocketAddr) {
        for dialler in listener.incoming() {
            if self.state.lock().is_over {
                return;
            }
            let Ok(dialler) = dialler else { continue };
            let network = Arc::clone(self);
            thread::spawn(move || network.serve(dialler, to, target));
        }
    }

    /// One connection, up to its end. Whoever cannot be served finds it closed.
    fn serve(self: &Arc<Self>, dialler: TcpStream, to: usize, target: SocketAddr) {
        let Ok(Some(connection)) = self.open(dialler, to, target) else {
            return;
        };
        let (from, to) = connection.way;
        let back = {
            let (network, connection) = (Arc::clone(self), Arc::clone(&connection));
            thread::spawn(move || {
                network.copy(&connection.target, &connection.dialler, (to, from));
                connection.shut();
            })
        };
        self.copy(&connection.dialler, &connection.target, (from, to));
        connection.shut();
        // A panic there has been reported.
        let _ = back.join();
        let mut state = self.state.lock();
        state.connections.retain(|c| !Arc::ptr_eq(c, &connection));
    }

    /// None: the way is broken, or whoever has connected is gone.
    fn open(
        &self,
        dialler: TcpStream,
        to: usize,
        target: SocketAddr,
    ) -> Result<Option<Arc<Connection>>> {
        let Some(from) = owner_of(&dialler, &self.processes())? else {
            return Ok(None);
        };
        let way = (from, to);
        self.wait_until_open(way);
        if self.is_broken(way) {
            return Ok(None);
        }
        let target = TcpStream::connect(target).context("the node does not listen")?;
        dialler.set_nodelay(true)?;
        target.set_nodelay(true)?;
        let connection = Arc::new(Connection {
            way,
            dialler,
            target,
        });
        // First it is known, so that whoever breaks the way from now on breaks it as well.
        self.state.lock().connections.push(Arc::clone(&connection));
        if self.is_broken(way) {
            connection.shut();
        }
        Ok(Some(connection))
    }

    fn processes(&self) -> Vec<u32> {
        let state = self.state.lock();
        let processes = state.processes.iter();
        processes.map(|p| p.load(Ordering::Relaxed)).collect()
    }

    fn is_broken(&self, way: Way) -> bool {
        let state = self.state.lock();
        state.is_over || state.cut(way) == Some(Cut::Broken)
    }

    /// Passes bytes on from `source` to `sink`, which is the way `way`, until either ends. Returns
    /// when the other side may learn of that.
    fn copy(&self, mut source: &TcpStream, mut sink: &TcpStream, way: Way) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = source.read(&mut buffer).unwrap_or(0);
            self.wait_until_open(way);
            if count == 0 {
                return;
            }
            if sink.write_all(&buffer[..count]).is_err() {
                let (from, to) = way;
                return self.wait_until_open((to, from));
            }
        }
    }

    /// Waits while nothing gets through on `way`.
    fn wait_until_open(&self, way: Way) {
        let mut state = self.state.lock();
        while state.cut(way) == Some(Cut::Silent) && !state.is_over {
            self.changed.wait(&mut state);
        }
    }
}

impl State {
    fn cut(&self, way: Way) -> Option<Cut> {
        let cut = self.cuts.iter().find(|(other, _)| *other == way);
        cut.map(|(_, cut)| *cut)
    }
}

impl Connection {
    fn shut(&self) {
        // What has ended already is as good.
        let _ = self.dialler.shutdown(Shutdown::Both);
        let _ = self.target.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use std::process;
    use std::time::Duration;

    use super::*;
    use crate::PATIENCE;

    /// Two nodes, the first of which is this process: its links, and where the second listens.
    fn two_nodes() -> (Links, TcpListener) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let target = listener.local_addr().unwrap();
        let me = Arc::new(AtomicU32::new(process::id()));
        let links = Links::to([target, target]).unwrap();
        links.attach(vec![me, Arc::default()]);
        (links, listener)
    }

    /// A connection from node 0 to node 1, and its other end.
    fn connect(links: &Links, listener: &TcpListener) -> (TcpStream, TcpStream) {
        let near = TcpStream::connect(links.address(1)).unwrap();
        let (far, _) = listener.accept().unwrap();
        for end in [&near, &far] {
            end.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        (near, far)
    }

    /// Sends `byte` over one end and expects it at the other.
    fn pass(mut from: &TcpStream, mut to: &TcpStream, byte: u8) {
        from.write_all(&[byte]).unwrap();
        let mut received = [0];
        to.read_exact(&mut received).unwrap();
        assert_eq!(received, [byte]);
    }

    #[test]
    fn a_silent_cut_holds_one_direction_up_until_it_is_healed() {
        let (links, listener) = two_nodes();
        let (mut near, mut far) = connect(&links, &listener);
        pass(&near, &far, 1);
        links.cut(0, 1, Cut::Silent);
        near.write_all(&[2]).unwrap();
        pass(&far, &near, 3);
        far.set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        far.read_exact(&mut [0]).unwrap_err();
        links.heal(0, 1);
        far.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut received = [0];
        far.read_exact(&mut received).unwrap();
        assert_eq!(received, [2]);
    }

    #[test]
    fn a_broken_way_ends_connections_and_refuses_new_ones() {
        let (links, listener) = two_nodes();
        let (mut near, _far) = connect(&links, &listener);
        links.isolate(1, Cut::Broken);
        assert_eq!(near.read(&mut [0]).unwrap_or(0), 0);
        let mut refused = TcpStream::connect(links.address(1)).unwrap();
        refused.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(refused.read(&mut [0]).unwrap_or(0), 0);
        links.heal_all();
        let (near, far) = connect(&links, &listener);
        pass(&near, &far, 1);
    }
}
