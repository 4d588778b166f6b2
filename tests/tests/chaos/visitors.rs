use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Error, Result, ensure};
use fastrand::Rng;
use switchyard_tests::{Cluster, Component, Listener, PATIENCE};

use crate::ledger::Ledger;

/// Somebody with components that come and go: some on several nodes at once (contract R2), one that
/// is promised to be alone in the cluster (R3), and new ones that somebody on another node greets as
/// soon as they are connected (R7).
#[derive(Debug)]
pub(crate) struct Visitor {
    number: usize,
    chance: Rng,
    nodes: Vec<Addresses>,
    components: BTreeMap<(String, usize), Connected>,
    count: u64,
}

/// Of one node.
#[derive(Debug, Clone, Copy)]
struct Addresses {
    shared: SocketAddr,
    /// With `conflict_scope = "cluster"`.
    exclusive: SocketAddr,
    /// The same, and kicks.
    takeover: SocketAddr,
}

#[derive(Debug)]
struct Connected {
    component: Component,
    /// In the ledger.
    number: u64,
    /// Of its node when it connected.
    kills: u64,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Delivered,
    /// Answered with an error of this condition.
    Bounced(String),
    /// Neither, for long.
    Open,
}

const MOMENT: Duration = Duration::from_millis(20);
/// How long a greeting may be on its way while nodes are stopped or cut off. What becomes of it then
/// is not followed any further: the traffic of the round accounts for every stanza.
const GREETING: Duration = Duration::from_secs(3);
const SHARED: usize = 3;
/// Components of one visitor at the same time.
const MOST: usize = 12;

/// A name that is to have one owner in the cluster.
pub(crate) fn is_exclusive(domain: &str) -> bool {
    domain.starts_with("exclusive")
}

impl Visitor {
    pub(crate) fn new(number: usize, chance: Rng, cluster: &Cluster) -> Self {
        let addresses = |node: &switchyard_tests::Node| Addresses {
            shared: node.listener(Listener::Disconnect),
            exclusive: node.listener(Listener::Hidden),
            takeover: node.listener(Listener::KickOld),
        };
        Self {
            number,
            chance,
            nodes: cluster.iter().map(addresses).collect(),
            components: BTreeMap::new(),
            count: 0,
        }
    }

    /// Connects and disconnects components until told to stop.
    ///
    /// # Errors
    ///
    /// When something happens that must not, whatever the faults.
    pub(crate) fn visit(&mut self, ledger: &Ledger, is_over: &AtomicBool) -> Result<()> {
        while !is_over.load(Ordering::Relaxed) {
            let node = self.chance.usize(..self.nodes.len());
            match self.chance.u8(..8) {
                0..4 => {
                    let which = self.chance.usize(..SHARED);
                    let domain = format!("shared{}.{which}.example", self.number);
                    self.toggle(&domain, node, ledger)?;
                }
                4..6 => {
                    let domain = format!("exclusive{}.example", self.number);
                    self.toggle(&domain, node, ledger)?;
                }
                6 => self.introduce(node, ledger)?,
                _ => self.leave_one(ledger),
            }
            thread::sleep(Duration::from_millis(self.chance.u64(..60)));
        }
        Ok(())
    }

    fn toggle(&mut self, domain: &str, node: usize, ledger: &Ledger) -> Result<()> {
        let key = (domain.to_owned(), node);
        if self.components.contains_key(&key) {
            self.leave(&key, ledger);
            return Ok(());
        }
        self.connect(domain, node, ledger).map(drop)
    }

    /// Connects a component that is new in the cluster, and greets it from another node.
    fn introduce(&mut self, node: usize, ledger: &Ledger) -> Result<()> {
        self.count += 1;
        let domain = format!("new{}.{}.example", self.number, self.count);
        let other = (node + self.chance.usize(1..self.nodes.len())) % self.nodes.len();
        let greeter = format!("greeter{}.example", self.number);
        let key = (greeter.clone(), other);
        if !self.components.contains_key(&key) && !self.connect(&greeter, other, ledger)? {
            return Ok(());
        }
        if !self.connect(&domain, node, ledger)? {
            return Ok(());
        }
        let new = (domain, node);
        let outcome = self.send(&key, &new, GREETING, ledger)?;
        let unknown = Outcome::Bounced("remote-server-not-found".to_owned());
        ensure!(
            outcome != unknown || ledger.is_disturbed(node),
            "contract R7: {} is connected to node{}, where nothing has happened, and unknown on node{}",
            new.0,
            node + 1,
            other + 1
        );
        Ok(())
    }

    /// False: refused, or the node does not answer.
    fn connect(&mut self, domain: &str, node: usize, ledger: &Ledger) -> Result<bool> {
        if self.components.len() >= MOST {
            self.leave_one(ledger);
        }
        let kills = ledger.kills(node);
        let addresses = self.nodes[node];
        let address = match (is_exclusive(domain), self.chance.bool()) {
            (false, _) => addresses.shared,
            (true, false) => addresses.exclusive,
            (true, true) => addresses.takeover,
        };
        // Refused for want of a quorum, because somebody has the name, or not at all.
        let Ok(component) = Component::connect(address, domain) else {
            return Ok(false);
        };
        let number = ledger.connected(domain, node, kills);
        let connected = Connected {
            component,
            number,
            kills,
        };
        self.components.insert((domain.to_owned(), node), connected);
        Ok(true)
    }

    fn leave_one(&mut self, ledger: &Ledger) {
        let keys: Vec<_> = self.components.keys().cloned().collect();
        if let Some(key) = self.chance.choice(&keys) {
            self.leave(key, ledger);
        }
    }

    fn leave(&mut self, key: &(String, usize), ledger: &Ledger) {
        let Some(mut connected) = self.components.remove(key) else {
            return;
        };
        ledger.ends(connected.number);
        if self.chance.bool() {
            // Its node may be stopped: nobody waits for the answer.
            let _ = connected.component.send("</stream:stream>");
        }
    }

    /// Sends a message from one of the components to another, and waits for what becomes of it.
    /// Components that turn out to have ended are dropped.
    fn send(
        &mut self,
        from: &(String, usize),
        to: &(String, usize),
        patience: Duration,
        ledger: &Ledger,
    ) -> Result<Outcome> {
        self.count += 1;
        let id = format!("{}.{}", self.number, self.count);
        let deadline = Instant::now() + patience;
        let Some(sender) = self.components.get_mut(from) else {
            return Ok(Outcome::Open);
        };
        // A stream that has ended is noticed when it is read.
        let _ = sender.component.send_message(&to.0, &id);
        while Instant::now() < deadline {
            for key in [to, from] {
                let Some(connected) = self.components.get_mut(key) else {
                    return Ok(Outcome::Open);
                };
                match connected.component.receive_within(MOMENT) {
                    Ok(Some(stanza)) if stanza.attribute("id") == id => {
                        return Ok(match stanza.stanza_error() {
                            None => Outcome::Delivered,
                            Some((condition, _)) => Outcome::Bounced(condition.to_owned()),
                        });
                    }
                    Ok(_) => {}
                    Err(error) => self.lose(key, error, ledger)?,
                }
            }
        }
        Ok(Outcome::Open)
    }

    /// A stream has ended: its node was killed, or it has lost its name to another node.
    fn lose(&mut self, key: &(String, usize), error: Error, ledger: &Ledger) -> Result<()> {
        let Some(connected) = self.components.remove(key) else {
            return Ok(());
        };
        ledger.ends(connected.number);
        if is_exclusive(&key.0) || connected.kills != ledger.kills(key.1) {
            return Ok(());
        }
        Err(error.context(format!("{key:?} was disconnected")))
    }

    /// What is connected: everything through which a message comes back that is sent to itself.
    ///
    /// # Errors
    ///
    /// When a connection has ended that should not, or a message neither comes back nor is answered.
    pub(crate) fn connected(&mut self, ledger: &Ledger) -> Result<Vec<(String, usize)>> {
        let keys: Vec<_> = self.components.keys().cloned().collect();
        for key in keys {
            let Some(connected) = self.components.get(&key) else {
                continue;
            };
            if connected.kills != ledger.kills(key.1) {
                ledger.ends(connected.number);
                self.components.remove(&key);
                continue;
            }
            // The one on the same node is preferred (contract R2).
            let outcome = self.send(&key, &key, PATIENCE, ledger)?;
            let is_gone = !self.components.contains_key(&key);
            ensure!(
                outcome == Outcome::Delivered || is_gone,
                "to itself: {key:?} {outcome:?}"
            );
        }
        Ok(self.components.keys().cloned().collect())
    }

    /// Sends from every node to everything that is connected.
    ///
    /// # Errors
    ///
    /// When something does not arrive.
    pub(crate) fn greet(&mut self, ledger: &Ledger) -> Result<()> {
        let connected = self.connected(ledger)?;
        let greeter = format!("greeter{}.example", self.number);
        for node in 0..self.nodes.len() {
            let from = (greeter.clone(), node);
            if !self.components.contains_key(&from) {
                ensure!(self.connect(&greeter, node, ledger)?, "refused on {node}");
            }
            for to in &connected {
                if connected
                    .iter()
                    .filter(|(domain, _)| *domain == to.0)
                    .count()
                    > 1
                {
                    // Any of several may get it.
                    continue;
                }
                if to.0 == greeter || !self.components.contains_key(to) {
                    continue;
                }
                self.greet_one(&from, to, ledger)?;
            }
        }
        Ok(())
    }

    /// A link that was down is tried again after a moment, and until then the stanza is answered as
    /// contract D3 says.
    fn greet_one(
        &mut self,
        from: &(String, usize),
        to: &(String, usize),
        ledger: &Ledger,
    ) -> Result<()> {
        let unreachable = Outcome::Bounced("remote-server-timeout".to_owned());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let outcome = self.send(from, to, PATIENCE, ledger)?;
            if outcome == Outcome::Delivered || !self.components.contains_key(to) {
                return Ok(());
            }
            let is_late = Instant::now() >= deadline;
            ensure!(
                outcome == unreachable && !is_late,
                "from {from:?} to {to:?}: {outcome:?}"
            );
        }
    }
}
