use std::sync::atomic::{AtomicU64, Ordering};

use super::undeliverable::Undeliverable;

/// A count that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// Adds `n`.
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The count so far.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the router did with the stanzas of this node's components. Every stanza ends up in exactly
/// one of these (contract D1), or in a peer's, once a link has taken it.
#[derive(Debug, Default)]
pub(crate) struct RouterMetrics {
    /// Handed to a component on this node.
    pub(crate) to_local: Count,
    /// Handed to the link of another node.
    pub(crate) to_peer: Count,
    /// Handed to a component on this node by another node.
    pub(crate) from_peer: Count,
    /// Answered or taken by the router's own entity.
    pub(crate) to_entity: Count,
    bounced: [Count; Undeliverable::ALL.len()],
    /// Not delivered and, being errors or iq results, not to be answered, or with nobody left to
    /// answer to.
    pub(crate) dropped: Count,
    /// Misses that were confirmed with the registry before an answer (contract R7).
    pub(crate) confirmations: Count,
    /// Kicks that had to wait because two connections fight for a name (contract S8).
    pub(crate) damped_kicks: Count,
    /// Components whose name another node has taken (contract S8).
    pub(crate) names_lost: Count,
}

impl RouterMetrics {
    /// Counts stanzas that were answered with an error.
    pub(crate) fn bounced(&self, why: Undeliverable, stanzas: u64) {
        if let Some(count) = self.bounced.get(why as usize) {
            count.add(stanzas);
        }
    }

    /// How many stanzas were answered with an error, by reason.
    pub(crate) fn bounces(&self) -> impl Iterator<Item = (Undeliverable, u64)> {
        Undeliverable::ALL
            .into_iter()
            .zip(self.bounced.iter().map(Count::get))
    }
}
