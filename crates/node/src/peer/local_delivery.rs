use std::future::Future;
use std::pin::Pin;

use switchyard_listener::Delivery;
use switchyard_registry::Incarnation;

use super::Destination;

/// Hands stanzas that came over a link to the components of this node.
///
/// ### To ensure correctness
///
/// - After `Accepted` and `Congested` the receipt of the delivery says what becomes of it: until it
///   does, the sender keeps the stanzas (contract D1).
/// - After any other outcome nothing of the delivery may reach the component, and it was refused with
///   [`Delivery::refuse`]: the sender answers it with errors.
pub(crate) trait LocalDelivery: Send + Sync + 'static {
    /// Puts `delivery` into the outbox of the component that holds `to` on this node. Called in the
    /// order of stanzas; must not block.
    fn deliver(&self, to: &Destination, delivery: Delivery) -> Outcome;

    /// Whether this node is in that life of its own, and nobody can have given it up: if not, peers
    /// may have answered what they sent to it. Cheap; asked before every write.
    fn is_alive(&self, life: Incarnation) -> bool;

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
    Denied,
    /// No component of this node holds the destination.
    NotHere,
    /// The component's outbox is at its hard limit.
    Overloaded,
}
