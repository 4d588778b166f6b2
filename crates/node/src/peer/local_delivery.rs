use std::future::Future;
use std::pin::Pin;

use switchyard_listener::Delivery;

use super::Destination;

/// Hands stanzas that came over a link to the components of this node.
///
/// ### To ensure correctness
///
/// - `Accepted` and `Congested` make this node responsible for the stanzas: the sender is told that
///   they have arrived and forgets them (contract D1).
/// - After any other outcome nothing of the delivery may reach the component: the sender answers
///   it with errors.
pub(crate) trait LocalDelivery: Send + Sync + 'static {
    /// Puts `delivery` into the outbox of the component that holds `to` on this node. Called in the
    /// order of stanzas; must not block.
    fn deliver(&self, to: &Destination, delivery: Delivery) -> Outcome;

    /// Ready when the outbox of `to` has room again, or no component holds `to` any more. Asked
    /// once after [`Outcome::Congested`].
    fn relieved(&self, to: &Destination) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// What became of a delivery on the receiving node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is in the component's outbox.
    Accepted,
    /// It is in the component's outbox, which is above its soft limit: senders should hold back.
    Congested,
    /// The access rules of the component's listener forbid it (contract L2).
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "listeners have no access rules yet")
    )]
    Denied,
    /// No component of this node holds the destination.
    NotHere,
    /// The component's outbox is at its hard limit.
    Overloaded,
}
