//! What links bring for the components of this node.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use switchyard_listener::{Delivery, Outbox, PushError};
use switchyard_registry::Incarnation;

use super::admission::Admission;
use super::shared::Shared;
use super::switch::Switch;
use super::undeliverable::Undeliverable;
use crate::peer::{Destination, LocalDelivery, Outcome};

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
}
