//! What links bring back: it is sent elsewhere or answered, and nothing newer overtakes it (contract
//! D1, D2).

use std::sync::Arc;
use std::time::Duration;

use switchyard_listener::{Delivery, Span, jid};
use switchyard_registry::{Domain, NodeId, Route};
use tokio::time::{Instant, timeout_at};

use super::answer::stanzas_in;
use super::dynamic_domains::prefixes;
use super::hand_over::{Conversation, Reason, Room};
use super::place::{Directory, Place};
use super::shared::Shared;
use super::switch::Switch;
use super::undeliverable::Undeliverable;
use crate::peer::{Destination, Link, Parcel, Peer, ReturnReason, Returns};

/// How often one parcel is sent to a node before its stanzas are answered: a component that moves
/// from node to node faster than that is as good as lost.
const MOST_ATTEMPTS: u8 = 3;

impl Returns for Switch {
    fn returned(&self, parcels: Vec<Parcel>, reason: ReturnReason) {
        let shared = &self.shared;
        // What could not be sent waits for nobody: it would be overtaken once the link is back.
        let is_elsewhere = |parcel: &Parcel| match reason {
            ReturnReason::NotHere => true,
            ReturnReason::Unreachable => shared.has_other(&parcel.to, parcel.node),
            _ => false,
        };
        let (again, lost): (Vec<_>, Vec<_>) = parcels
            .into_iter()
            .partition(|parcel| parcel.attempts < MOST_ATTEMPTS && is_elsewhere(parcel));
        let lost = lost.into_iter().map(|parcel| parcel.delivery);
        self.shared.answer_all(lost, reason.into());
        for to in self.shared.returning.add(again, reason.into()) {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move { shared.send_returning(&to).await });
        }
    }
}

impl Shared {
    /// Sends what has come back for `to`, and was provably not delivered, to where the component is
    /// now, or answers it if that is nowhere.
    ///
    /// In order: before anything is sent again, all that is under way has come back or is taken. So
    /// what is rejected once more cannot be overtaken by what came back after it.
    async fn send_returning(self: &Arc<Self>, to: &Destination) {
        let mut patience = self.patience();
        loop {
            self.await_answers(to).await;
            let Some(returned) = self.returning.take(to) else {
                return;
            };
            let current = self.confirm().await;
            for (parcel, why) in returned {
                match current {
                    Ok(()) => self.send_elsewhere(parcel, why, &mut patience).await,
                    Err(_) => self.answer(parcel.delivery, why),
                }
            }
        }
    }

    /// Several instances each get what the conversations that are theirs have in the parcel.
    async fn send_elsewhere(
        self: &Arc<Self>,
        parcel: Parcel,
        why: Undeliverable,
        patience: &mut Duration,
    ) {
        for (from, delivery) in by_sender(&parcel.delivery) {
            let conversation = Conversation {
                from: from.as_bytes(),
                attempts: parcel.attempts,
            };
            let refused = self.send_on(&parcel, delivery, conversation, *patience);
            // Who has lost patience once does not wait again before something has been taken.
            *patience = match refused.await {
                None => self.patience(),
                Some((delivery, true)) => {
                    self.answer(delivery, Undeliverable::Overloaded);
                    Duration::ZERO
                }
                Some((delivery, false)) => {
                    self.answer(delivery, why);
                    *patience
                }
            };
        }
    }

    /// Waits until the peers have answered for what is under way to `to`. They are connected, or nobody
    /// waits for them; patience is for one that hangs.
    async fn await_answers(&self, to: &Destination) {
        let busy = self
            .peers
            .get()
            .map_or_else(Vec::new, |peers| peers.busy_links());
        let patience = Instant::now() + self.patience();
        let _ = timeout_at(patience, settled(&busy, to)).await;
    }

    /// Hands a part of a parcel to whoever holds its name now. Gives back what was not taken, and
    /// whether that is for want of room.
    async fn send_on(
        self: &Arc<Self>,
        parcel: &Parcel,
        mut delivery: Delivery,
        conversation: Conversation<'_>,
        patience: Duration,
    ) -> Option<(Delivery, bool)> {
        let patience = Instant::now() + patience;
        while let Some(place) = self.find_other(&parcel.to, parcel.node) {
            let refused = match self.try_hand_over(&place, delivery, conversation) {
                Ok(()) => return None,
                Err(refused) => refused,
            };
            delivery = refused.delivery;
            let Reason::Full(room) = refused.reason else {
                break;
            };
            if timeout_at(patience, room.wait()).await.is_err() {
                return Some((delivery, true));
            }
        }
        Some((delivery, false))
    }

    /// What stanzas for the raw domain `to` have to wait for, if older ones have come back.
    pub(super) fn turn(self: &Arc<Self>, to: &[u8]) -> Option<Room> {
        if self.returning.is_empty() {
            return None;
        }
        let domain = jid::prepared_domain(to).ok()?;
        let mut names = self.names_of(&domain);
        let returning = names.find(|name| self.returning.holds(name))?;
        Some(Room::Turn(Arc::clone(self), returning))
    }

    /// Before a connection sends to `domain` at `place`, where it has not sent before as far as it
    /// remembers: waits until the nodes to which something for it is under way have answered. So what
    /// they do not take comes back first.
    pub(super) async fn leave_others(&self, domain: &Domain, place: &Place) {
        // One link keeps its own order.
        let stays = |peer: &Peer| match place {
            Place::Instances { routes, .. } => matches!(
                routes[..],
                [only] if (only.node, only.incarnation) == (peer.node, peer.incarnation)
            ),
            Place::Entity(_) | Place::Local(_) => false,
        };
        let mut busy = self
            .peers
            .get()
            .map_or_else(Vec::new, |peers| peers.busy_links());
        busy.retain(|link| !stays(link.peer()));
        if busy.is_empty() {
            return;
        }
        let patience = Instant::now() + self.patience();
        for name in self.names_of(domain) {
            let _ = timeout_at(patience, settled(&busy, &name)).await;
        }
    }

    /// What a component of `domain` may be registered as.
    fn names_of<'a>(&'a self, domain: &'a Domain) -> impl Iterator<Item = Destination> {
        let own = std::iter::once((domain.clone(), false));
        let prefixes = prefixes(domain, &self.hosts).map(|prefix| (prefix, true));
        own.chain(prefixes)
            .map(|(name, is_subdomain)| Destination { name, is_subdomain })
    }

    /// Whether `name` is held anywhere but on the node `tried`.
    fn has_other(&self, name: &Destination, tried: NodeId) -> bool {
        let is_other = |route: &Route| route.node != tried;
        let routes = self.anywhere(name);
        self.local(name).is_some() || routes.is_some_and(|routes| routes.iter().any(is_other))
    }

    /// Who holds `name` now, on this node first, and on the node `tried` only if nobody else does: that
    /// may know before the table that its component has gone.
    fn find_other(&self, name: &Destination, tried: NodeId) -> Option<Place> {
        if let Some(local) = self.local(name) {
            return Some(Place::Local(local));
        }
        let routes = self.anywhere(name)?;
        let is_other = |route: &&Route| route.node != tried;
        let others: Arc<[Route]> = routes.iter().filter(is_other).copied().collect();
        Some(Place::Instances {
            destination: name.clone(),
            routes: if others.is_empty() { routes } else { others },
        })
    }
}

async fn settled(links: &[Arc<Link>], to: &Destination) {
    for link in links {
        link.settled(to).await;
    }
}

/// The parts of a delivery that one bare JID has sent, prepared, in order.
fn by_sender(delivery: &Delivery) -> Vec<(String, Delivery)> {
    let mut parts: Vec<(String, Span, u32)> = Vec::new();
    for stanza in stanzas_in(&delivery.bytes) {
        let from = stanza.from.map_or(&[][..], |from| from.of(&delivery.bytes));
        let from = jid::bare_prepared(from).unwrap_or_default();
        match parts.last_mut() {
            Some((last, span, count)) if *last == from => {
                span.end = stanza.span.end;
                *count += 1;
            }
            _ => parts.push((from.into_owned(), stanza.span, 1)),
        }
    }
    let part = |(from, span, count): (String, Span, u32)| {
        let part = Delivery {
            bytes: delivery.bytes.slice(span.start as usize..span.end as usize),
            count,
            origin: delivery.origin.clone(),
            receipt: None,
        };
        (from, part)
    };
    parts.into_iter().map(part).collect()
}
