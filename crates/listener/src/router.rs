use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use switchyard_registry::ConnectionId;

use crate::{Component, Delivery, Outbox, Stanza};

/// The sending side of an authenticated connection.
#[derive(Debug, Clone)]
pub struct Sender {
    /// Who sends.
    pub component: Component,
    /// Over which connection.
    pub connection: ConnectionId,
    /// Where error replies to it go.
    pub outbox: Arc<Outbox>,
}

/// Whole, valid stanzas of one connection, in the order in which they were read.
#[derive(Debug, Clone, Copy)]
pub struct StanzaBatch<'a> {
    /// The bytes into which the spans of `stanzas` point.
    pub bytes: &'a Bytes,
    /// Ascending and not overlapping. Neighbours are often, not always, adjacent in `bytes`.
    pub stanzas: &'a [Stanza],
}

/// Takes stanzas to where they belong. Implemented by the node.
pub trait Router: Send + Sync + 'static {
    /// Routing state of one connection.
    type Session: RouteSession;

    /// Starts routing for an authenticated connection.
    fn session(&self, sender: Sender) -> Self::Session;

    /// Answers for what an outbox still held when its connection ended (contract D1, D3): every
    /// stanza in `deliveries` was accepted and has not been written to the component. What came from
    /// another node has its receipt still.
    fn undelivered(&self, deliveries: Vec<Delivery>);
}

/// Routing state of one connection, such as the last few destinations.
pub trait RouteSession: Send + 'static {
    /// Routes `batch`. Every stanza of it has been handed on or answered when the future is ready;
    /// the time it takes is back-pressure, during which the connection is not read.
    ///
    /// ### To ensure correctness
    ///
    /// Dropping the future half-way would lose the stanzas not yet handed on: the caller must run
    /// it to its end.
    fn route(&mut self, batch: StanzaBatch<'_>) -> impl Future<Output = ()> + Send;
}
