//! What links bring for the components of this node, and what they bring back.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use switchyard_listener::{Delivery, Outbox, PushError};
use switchyard_registry::Incarnation;
use tokio::time::Instant;

use super::admission::Admission;
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
        let Some(outbox) = self.shared.locals.get(to) else {
            delivery.refuse();
            return Outcome::NotHere;
        };
        let admission = outbox
            .access()
            .map_or(Admission::All, |rule| Admission::of(&delivery, &rule));
        match admission {
            Admission::All => self.shared.push_from_peer(&outbox, delivery),
            Admission::None => {
                delivery.refuse();
                Outcome::Denied
            }
            Admission::Some { admitted, denied } => {
                let outcome = self.shared.push_from_peer(&outbox, admitted);
                // What is not taken at all the sender's node answers, these included.
                if !matches!(outcome, Outcome::Accepted | Outcome::Congested) {
                    delivery.refuse();
                    return outcome;
                }
                // The denied stanzas have their outcome now, so this node answers for the others too.
                if let Some(receipt) = delivery.receipt {
                    receipt.written();
                }
                self.shared.answer(denied, Undeliverable::Denied);
                outcome
            }
        }
    }

    fn is_alive(&self, life: Incarnation) -> bool {
        // The lease is exact after the process was stopped, the life may need a moment to follow.
        // A life that has ended is never shown again, and before the lease of the next begins, none
        // is shown.
        self.shared.registry.lease_runs() && *self.shared.life.borrow() == Some(life)
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
    fn push_from_peer(&self, outbox: &Outbox, delivery: Delivery) -> Outcome {
        let count = u64::from(delivery.count);
        match outbox.push_from_peer(delivery) {
            Ok(()) => {
                self.metrics.from_peer.add(count);
                if outbox.is_congested() {
                    Outcome::Congested
                } else {
                    Outcome::Accepted
                }
            }
            Err(PushError::Full(delivery)) => {
                delivery.refuse();
                Outcome::Overloaded
            }
            Err(PushError::Closed(delivery)) => {
                delivery.refuse();
                Outcome::NotHere
            }
        }
    }

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
