use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::undeliverable::Undeliverable;
use crate::peer::{Destination, Parcel};

/// What links have brought back and is to be sent elsewhere: a queue for each destination, which one
/// task works off. Newer stanzas for a destination wait as long as it has a queue, or they would
/// overtake (contract D2). Bounded by the windows of the links that the parcels come from.
#[derive(Debug, Default)]
pub(super) struct Returning {
    /// How many there are, to be looked at without the lock.
    destinations: AtomicUsize,
    queues: Mutex<HashMap<Destination, VecDeque<Returned>>>,
    /// Notified when a queue ends.
    ended: Notify,
}

/// A parcel, and what it is answered with if there is nowhere else to send it.
pub(super) type Returned = (Parcel, Undeliverable);

impl Returning {
    /// Queues parcels behind those that came back before. Returns the destinations that had no queue:
    /// the caller sees to it that [`Self::take`] is called for each until its queue has ended.
    pub(super) fn add(
        &self,
        parcels: impl IntoIterator<Item = Parcel>,
        why: Undeliverable,
    ) -> Vec<Destination> {
        let mut begun = Vec::new();
        let mut queues = self.queues.lock();
        for parcel in parcels {
            match queues.entry(parcel.to.clone()) {
                Entry::Occupied(mut queue) => queue.get_mut().push_back((parcel, why)),
                Entry::Vacant(none) => {
                    begun.push(parcel.to.clone());
                    none.insert([(parcel, why)].into());
                }
            }
        }
        self.destinations.store(queues.len(), Ordering::Release);
        begun
    }

    /// What has come back for `to`, in order, when all that was taken before has been dealt with.
    /// `None` ends the queue.
    pub(super) fn take(&self, to: &Destination) -> Option<VecDeque<Returned>> {
        let mut queues = self.queues.lock();
        let taken = queues.get_mut(to).map(std::mem::take);
        let taken = taken.filter(|taken| !taken.is_empty());
        if taken.is_none() {
            queues.remove(to);
            self.destinations.store(queues.len(), Ordering::Release);
            drop(queues);
            self.ended.notify_waiters();
        }
        taken
    }

    /// No destination has a queue. Costs one look at an atomic.
    pub(super) fn is_empty(&self) -> bool {
        self.destinations.load(Ordering::Acquire) == 0
    }

    /// Whether `to` has a queue.
    pub(super) fn holds(&self, to: &Destination) -> bool {
        !self.is_empty() && self.queues.lock().contains_key(to)
    }

    /// Ready when `to` has no queue.
    pub(super) async fn ended(&self, to: &Destination) {
        loop {
            let mut ended = pin!(self.ended.notified());
            // Registered before the look, so that no end between the two is missed.
            ended.as_mut().enable();
            if !self.holds(to) {
                return;
            }
            ended.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use switchyard_listener::Delivery;
    use switchyard_registry::{Domain, NodeId};

    use super::*;

    fn to(name: &str) -> Destination {
        Destination {
            name: Domain::prepare(name).unwrap(),
            is_subdomain: false,
        }
    }

    fn parcel(name: &str, body: &'static str) -> Parcel {
        Parcel {
            to: to(name),
            delivery: Delivery {
                bytes: Bytes::from_static(body.as_bytes()),
                count: 1,
                origin: None,
                receipt: None,
            },
            attempts: 1,
            node: NodeId(1),
        }
    }

    fn taken(returning: &Returning, name: &str) -> Option<Vec<Bytes>> {
        let taken = returning.take(&to(name))?;
        Some(taken.into_iter().map(|(it, _)| it.delivery.bytes).collect())
    }

    #[test]
    fn contract_d2_one_task_has_all_that_came_back_for_a_destination_in_order() {
        let why = Undeliverable::ComponentLost;
        let returning = Returning::default();
        let begun = returning.add([parcel("a.example", "1"), parcel("b.example", "x")], why);
        assert_eq!(begun, [to("a.example"), to("b.example")]);
        assert_eq!(returning.add([parcel("a.example", "2")], why), []);
        assert_eq!(taken(&returning, "a.example").unwrap(), ["1", "2"]);

        // What has been taken is still under way: nothing may overtake it, and what comes back
        // meanwhile is for the same task.
        assert!(returning.holds(&to("a.example")));
        assert_eq!(returning.add([parcel("a.example", "3")], why), []);
        assert_eq!(taken(&returning, "a.example").unwrap(), ["3"]);
        assert_eq!(taken(&returning, "a.example"), None);
        assert!(!returning.holds(&to("a.example")) && returning.holds(&to("b.example")));
        assert_eq!(
            returning.add([parcel("a.example", "4")], why),
            [to("a.example")]
        );
        assert!(taken(&returning, "a.example").is_some());
        assert!(taken(&returning, "b.example").is_some());
        assert_eq!(taken(&returning, "a.example"), None);
        assert_eq!(taken(&returning, "b.example"), None);
        assert!(returning.is_empty());
    }
}
