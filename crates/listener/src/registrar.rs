use std::future::Future;
use std::sync::Arc;

use switchyard_registry::ConnectionId;
use tokio::time::Instant;

use crate::{Component, Outbox};

/// What happens when a name is taken already (contract S8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConflictBehaviour {
    /// The newcomer gets `conflict`.
    #[default]
    Disconnect,
    /// The connection that holds the name gets `conflict`, the newcomer is accepted.
    KickOld,
}

/// Where a name may be taken once (contract R3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConflictScope {
    /// Once on each node.
    #[default]
    Node,
    /// Once in the cluster.
    Cluster,
}

/// One authenticated component that asks for its name.
#[derive(Debug, Clone)]
pub struct RegisterRequest {
    /// The name asked for.
    pub component: Component,
    /// The connection that asks.
    pub connection: ConnectionId,
    /// What its listener does about conflicts.
    pub conflict: ConflictBehaviour,
    /// Where its listener has conflicts.
    pub scope: ConflictScope,
    /// When it is given up, unless it is registered by then (contract S7).
    pub deadline: Instant,
    /// Where stanzas for it go; closing it ends the connection.
    pub outbox: Arc<Outbox>,
}

/// Why a name was not registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// The name is taken → stream error `conflict`. The text says by what.
    #[error("{0}")]
    Conflict(String),
    /// No answer from the cluster → stream error `resource-constraint` (contract R6).
    #[error("{0}")]
    Unavailable(String),
}

/// Registers names of components. Implemented by the node.
pub trait Registrar: Send + Sync + 'static {
    /// Registers the name. When this returns `Ok`, the registration is committed in the cluster
    /// and stanzas may already be in the outbox.
    ///
    /// # Errors
    ///
    /// When the name is taken or the cluster cannot answer.
    ///
    /// ### To ensure correctness
    ///
    /// - Of two requests for one name on one node exactly one succeeds (contract R3), unless the
    ///   later one may kick the earlier.
    /// - If the future is dropped before it is ready, the caller calls [`Self::unregister`].
    fn register(
        &self,
        request: RegisterRequest,
    ) -> impl Future<Output = Result<(), RegisterError>> + Send;

    /// Gives up what `connection` registered, if it still holds it (contract R5). Returns when no
    /// further stanza will be pushed to its outbox from this node.
    fn unregister(
        &self,
        component: &Component,
        connection: ConnectionId,
    ) -> impl Future<Output = ()> + Send;
}
