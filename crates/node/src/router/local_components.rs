use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use switchyard_listener::Outbox;
use switchyard_registry::ConnectionId;

use crate::peer::Destination;

/// The components that are connected to this node: one holder for each name (contract R3).
///
/// A name is held from the moment its handshake is found valid, before the cluster has committed
/// the registration: other nodes may learn of it first and send at once, and what they send waits
/// in the outbox until `<handshake/>` has been written.
#[derive(Debug, Default)]
pub(crate) struct LocalComponents {
    holders: DashMap<Destination, Holder>,
    generation: AtomicU64,
}

/// The connection that holds a name.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    /// Which connection it is.
    pub(crate) connection: ConnectionId,
    /// Where its stanzas go.
    pub(crate) outbox: Arc<Outbox>,
}

impl LocalComponents {
    /// Takes `name` for `holder` unless somebody has it.
    ///
    /// # Errors
    ///
    /// With the present holder.
    pub(crate) fn take(&self, name: &Destination, holder: Holder) -> Result<(), Holder> {
        match self.holders.entry(name.clone()) {
            Entry::Occupied(present) => return Err(present.get().clone()),
            Entry::Vacant(vacant) => vacant.insert(holder),
        };
        self.changed();
        Ok(())
    }

    /// Gives `name` to `holder` and returns who had it.
    pub(crate) fn replace(&self, name: &Destination, holder: Holder) -> Option<Holder> {
        let old = self.holders.insert(name.clone(), holder);
        self.changed();
        old
    }

    /// Frees `name` if `connection` still holds it: a late end of an old connection leaves its
    /// successor alone (contract R5).
    pub(crate) fn release(&self, name: &Destination, connection: ConnectionId) {
        if self
            .holders
            .remove_if(name, |_, holder| holder.connection == connection)
            .is_some()
        {
            self.changed();
        }
    }

    /// The outbox of the component that holds `name`.
    pub(crate) fn get(&self, name: &Destination) -> Option<Arc<Outbox>> {
        self.holders
            .get(name)
            .map(|holder| Arc::clone(&holder.outbox))
    }

    /// Grows with every change; equal values mean that nothing changed in between.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// How many names are held.
    pub(crate) fn len(&self) -> usize {
        self.holders.len()
    }

    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }
}
