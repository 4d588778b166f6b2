//! What links bring for the components of this node, and what they bring back.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use switchyard_listener::{Delivery, Outbox, PushError};
use tokio::time::Instant;

use super::hand_over::{Conversation, Reason};
use super::place::{Directory, Place};
use super::shared::Shared;
use super::switch::Switch;
use super::undeliverable::Undeliverable;
use crate::peer::{Destination, LocalDelivery, Outcome, Parcel, ReturnReason, Returns};

/// How often one parcel is sent to a node before its stanzas are answered: a component that moves
/// from node to node faster than that is as good as lost.
const MOST_ATTEMPTS: u8 = 3;

impl LocalDelivery for Switch {
    fn deliver(&self, to: &Destination, delivery: Delivery) -> Outcome {
        // Once this node's lease has run out its peers may have given it up and answered what it
        // had not acknowledged. A process that was stopped finds such batches in its socket
        // buffers, and reads them before it hears of its end (contract D1: never two outcomes).
        if !self.shared.registry.lease_runs() {
            return Outcome::NotHere;
        }
        let Some(outbox) = self.shared.locals.get(to) else {
            return Outcome::NotHere;
        };
        let count = u64::from(delivery.count);
        match outbox.push_from_peer(delivery) {
            Ok(()) => {
                self.shared.metrics.from_peer.add(count);
                if outbox.is_congested() {
                    Outcome::Congested
                } else {
                    Outcome::Accepted
                }
            }
            Err(PushError::Full(_)) => Outcome::Overloaded,
            Err(PushError::Closed(_)) => Outcome::NotHere,
        }
    }

    fn relieved(&self, to: &Destination) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let outbox: Option<Arc<Outbox>> = self.shared.locals.get(to);
        Box::pin(async move {
            if let Some(outbox) = outbox {
                outbox.wait_for_room().await;
            }
        })
    }
}

impl Returns for Switch {
    fn returned(&self, parcels: Vec<Parcel>, reason: ReturnReason) {
        let shared = &self.shared;
        // What could not be sent waits for nobody: it would be overtaken once the link is back.
        let is_elsewhere = |to: &Destination| match reason {
            ReturnReason::NotHere => true,
            ReturnReason::Unreachable => shared.has_alternative(to),
            _ => false,
        };
        let (again, lost): (Vec<_>, Vec<_>) = parcels
            .into_iter()
            .partition(|parcel| parcel.attempts < MOST_ATTEMPTS && is_elsewhere(&parcel.to));
        let lost = lost.into_iter().map(|parcel| parcel.delivery);
        self.shared.answer_all(lost, reason.into());
        if !again.is_empty() {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move { shared.send_elsewhere(again, reason.into()).await });
        }
    }
}

impl Shared {
    /// Sends parcels that their node provably never delivered to where their component is now, or
    /// answers them with `why` if it is nowhere.
    async fn send_elsewhere(self: &Arc<Self>, parcels: Vec<Parcel>, why: Undeliverable) {
        let current = self.confirm().await;
        for parcel in parcels {
            match current {
                Ok(()) => self.send_on(parcel, why).await,
                Err(_) => self.answer(parcel.delivery, why),
            }
        }
    }

    async fn send_on(self: &Arc<Self>, parcel: Parcel, why: Undeliverable) {
        let Parcel {
            to,
            mut delivery,
            attempts,
        } = parcel;
        let patience = Instant::now() + self.patience();
        while let Some(place) = self.find(&to) {
            let conversation = Conversation {
                from: b"",
                attempts,
            };
            let refused = match self.try_hand_over(&place, delivery, conversation) {
                Ok(()) => return,
                Err(refused) => refused,
            };
            delivery = refused.delivery;
            let Reason::Full(room) = refused.reason else {
                break;
            };
            if tokio::time::timeout_at(patience, room.wait())
                .await
                .is_err()
            {
                return self.answer(delivery, Undeliverable::Overloaded);
            }
        }
        self.answer(delivery, why);
    }

    /// Whether more than one node holds `name`.
    fn has_alternative(&self, name: &Destination) -> bool {
        self.anywhere(name).is_some_and(|routes| routes.len() > 1)
    }

    /// Who holds `name` now, on this node first.
    fn find(&self, name: &Destination) -> Option<Place> {
        if let Some(local) = self.local(name) {
            return Some(Place::Local(local));
        }
        let routes = self.anywhere(name)?;
        Some(Place::Instances {
            destination: name.clone(),
            routes,
        })
    }
}
