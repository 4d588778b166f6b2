//! Handing a run of stanzas to what is to deliver it, without waiting.

use std::sync::Arc;

use switchyard_listener::{Delivery, Outbox, PushError};
use switchyard_registry::Route;

use super::admission::Admission;
use super::instance;
use super::place::Place;
use super::shared::Shared;
use super::undeliverable::Undeliverable;
use crate::peer::{Destination, Link, Parcel, Peer, SendError};

/// Who talks to whom: decides between several instances of a domain (contract R2).
#[derive(Debug, Clone, Copy)]
pub(super) struct Conversation<'a> {
    /// The sender's bare JID, prepared.
    pub(super) from: &'a [u8],
    /// How often a link has brought the stanzas back already.
    pub(super) attempts: u8,
}

/// A delivery that was not taken.
pub(super) struct Refused {
    /// What was not taken.
    pub(super) delivery: Delivery,
    /// Why.
    pub(super) reason: Reason,
}

/// Why a delivery was not taken.
pub(super) enum Reason {
    /// No room now.
    Full(Room),
    /// The component is no longer there.
    Gone,
    /// There is no way to its node.
    Unreachable,
}

/// What must have room before a delivery can be tried again.
pub(super) enum Room {
    /// A component on this node.
    Outbox(Arc<Outbox>),
    /// A component on another node, or the link to that node.
    Link(Arc<Link>, Destination),
    /// What came back goes first.
    Turn(Arc<Shared>, Destination),
}

impl Room {
    /// Waits until it is worth trying again.
    pub(super) async fn wait(&self) {
        match self {
            Self::Outbox(outbox) => outbox.wait_for_room().await,
            Self::Link(link, destination) => link.wait_for_room(destination).await,
            Self::Turn(shared, destination) => shared.returning.ended(destination).await,
        }
    }
}

impl From<Reason> for Undeliverable {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Full(_) => Self::Overloaded,
            Reason::Gone => Self::ComponentLost,
            Reason::Unreachable => Self::PeerUnreachable,
        }
    }
}

impl Shared {
    /// Hands `delivery` to a component at `place`. The entity, which takes single stanzas, is not
    /// one: for it the component counts as gone.
    pub(super) fn try_hand_over(
        self: &Arc<Self>,
        place: &Place,
        delivery: Delivery,
        conversation: Conversation<'_>,
    ) -> Result<(), Refused> {
        match place {
            Place::Entity(_) => Err(Refused {
                delivery,
                reason: Reason::Gone,
            }),
            Place::Local(outbox) => self.try_outbox(outbox, delivery),
            Place::Instances {
                destination,
                routes,
            } => match &routes[..] {
                [only] => self.try_instance(destination, only, delivery, conversation.attempts),
                several => {
                    let ranked = instance::by_preference(several, conversation.from, destination);
                    self.try_in_turn(destination, &ranked, delivery, conversation.attempts)
                }
            },
        }
    }

    /// Tries the next instance as long as the one before it cannot be reached or is gone, and has
    /// nothing under way that belongs in front (contract D2).
    fn try_in_turn(
        self: &Arc<Self>,
        destination: &Destination,
        ranked: &[Route],
        delivery: Delivery,
        attempts: u8,
    ) -> Result<(), Refused> {
        let mut refused = Refused {
            delivery,
            reason: Reason::Gone,
        };
        for route in ranked {
            match self.try_instance(destination, route, refused.delivery, attempts) {
                Ok(()) => return Ok(()),
                Err(again) if matches!(again.reason, Reason::Full(_)) => return Err(again),
                Err(again) => refused = again,
            }
            if attempts == 0
                && let Some(turn) = self.turn_after(route, destination)
            {
                refused.reason = Reason::Full(turn);
                return Err(refused);
            }
        }
        Err(refused)
    }

    /// What to wait for before stanzas for `destination` that `route` did not take go elsewhere, if
    /// it hands back others.
    fn turn_after(self: &Arc<Self>, route: &Route, destination: &Destination) -> Option<Room> {
        let link = self.peers.get()?.link(route.node, route.incarnation);
        if let Some(link) = link.filter(|link| link.is_handing_back()) {
            return Some(Room::Link(link, destination.clone()));
        }
        self.returning
            .holds(destination)
            .then(|| Room::Turn(Arc::clone(self), destination.clone()))
    }

    fn try_instance(
        self: &Arc<Self>,
        destination: &Destination,
        route: &Route,
        delivery: Delivery,
        attempts: u8,
    ) -> Result<(), Refused> {
        if route.node == self.own_node() {
            return match self.locals.get(destination) {
                Some(outbox) => self.try_outbox(&outbox, delivery),
                None => Err(Refused {
                    delivery,
                    reason: Reason::Gone,
                }),
            };
        }
        match self.link(route) {
            Some(link) => {
                let parcel = Parcel {
                    to: destination.clone(),
                    delivery,
                    attempts: attempts + 1,
                    node: route.node,
                };
                self.try_link(link, parcel)
            }
            None => Err(Refused {
                delivery,
                reason: Reason::Unreachable,
            }),
        }
    }

    /// The link to the node of `route`. The table may name a node a moment before its link has been
    /// made, and what is sent in that moment must not be lost (contract R7).
    fn link(&self, route: &Route) -> Option<Arc<Link>> {
        let peers = self.peers.get()?;
        peers.link(route.node, route.incarnation).or_else(|| {
            let node = self.registry.routes().node(route.node)?;
            if node.incarnation != route.incarnation {
                return None;
            }
            peers.node_joined(Peer::new(route.node, &node), node.address.to_string());
            peers.link(route.node, route.incarnation)
        })
    }

    /// Hands on what the access rule of the component's listener lets in, and answers the rest
    /// (contract L2): a stanza that one instance denies is not offered to another.
    fn try_outbox(
        self: &Arc<Self>,
        outbox: &Arc<Outbox>,
        delivery: Delivery,
    ) -> Result<(), Refused> {
        let Some(rule) = outbox.access() else {
            return self.push(outbox, delivery);
        };
        match Admission::of(&delivery, &rule) {
            Admission::All => self.push(outbox, delivery),
            Admission::None => {
                self.answer(delivery, Undeliverable::Denied);
                Ok(())
            }
            Admission::Some { admitted, denied } => match self.push(outbox, admitted) {
                Ok(()) => {
                    self.answer(denied, Undeliverable::Denied);
                    Ok(())
                }
                // All of it is tried again, or answered for another reason.
                Err(Refused { reason, .. }) => Err(Refused { delivery, reason }),
            },
        }
    }

    fn push(&self, outbox: &Arc<Outbox>, delivery: Delivery) -> Result<(), Refused> {
        let count = u64::from(delivery.count);
        match outbox.push(delivery) {
            Ok(()) => {
                self.metrics.to_local.add(count);
                Ok(())
            }
            Err(PushError::Full(delivery)) => Err(Refused {
                delivery,
                reason: Reason::Full(Room::Outbox(Arc::clone(outbox))),
            }),
            Err(PushError::Closed(delivery)) => Err(Refused {
                delivery,
                reason: Reason::Gone,
            }),
        }
    }

    fn try_link(&self, link: Arc<Link>, parcel: Parcel) -> Result<(), Refused> {
        let count = u64::from(parcel.delivery.count);
        match link.try_send(parcel) {
            Ok(()) => {
                self.metrics.to_peer.add(count);
                Ok(())
            }
            Err(SendError::Full(parcel) | SendError::Congested(parcel)) => Err(Refused {
                delivery: parcel.delivery,
                reason: Reason::Full(Room::Link(link, parcel.to)),
            }),
            Err(SendError::Unreachable(parcel)) => Err(Refused {
                delivery: parcel.delivery,
                reason: Reason::Unreachable,
            }),
        }
    }
}
