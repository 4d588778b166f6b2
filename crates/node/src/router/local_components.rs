use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use switchyard_listener::Outbox;
use switchyard_registry::{Claim, ConnectionId};

use super::restoring::Restoring;
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
    /// What the registration is called in the component table. Numbered in the order in which
    /// names are asked for, which need not be that of the connections: of two registrations of a
    /// name the table keeps the later one.
    pub(crate) registration: ConnectionId,
    /// Left out of disco#items for users (contract H2).
    pub(crate) hidden: bool,
    /// What it means for other nodes that hold the name (contract R3).
    pub(crate) claim: Claim,
    /// Where its stanzas go.
    pub(crate) outbox: Arc<Outbox>,
    /// Somebody sees to it that the table has the registration again.
    pub(crate) restoring: Arc<Restoring>,
}

/// A later registration has the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Superseded;

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

    /// Gives `name` to `holder` and returns who had it before.
    ///
    /// # Errors
    ///
    /// When a later registration has it.
    pub(crate) fn supersede(
        &self,
        name: &Destination,
        holder: Holder,
    ) -> Result<Option<Holder>, Superseded> {
        let former = match self.holders.entry(name.clone()) {
            Entry::Occupied(present) if present.get().registration > holder.registration => {
                return Err(Superseded);
            }
            Entry::Occupied(mut present) => Some(present.insert(holder)),
            Entry::Vacant(vacant) => {
                vacant.insert(holder);
                None
            }
        };
        self.changed();
        Ok(former)
    }

    /// Frees `name` if `connection` still holds it, and returns by what registration: a late end of
    /// an old connection leaves its successor alone (contract R5).
    pub(crate) fn release(
        &self,
        name: &Destination,
        connection: ConnectionId,
    ) -> Option<ConnectionId> {
        let held = |_: &Destination, holder: &Holder| holder.connection == connection;
        let (_, holder) = self.holders.remove_if(name, held)?;
        self.changed();
        Some(holder.registration)
    }

    /// Frees `name` if it is held by `registration`, and returns who held it.
    pub(crate) fn release_registration(
        &self,
        name: &Destination,
        registration: ConnectionId,
    ) -> Option<Holder> {
        let held = |_: &Destination, holder: &Holder| holder.registration == registration;
        let (_, holder) = self.holders.remove_if(name, held)?;
        self.changed();
        Some(holder)
    }

    /// The outbox of the component that holds `name`.
    pub(crate) fn get(&self, name: &Destination) -> Option<Arc<Outbox>> {
        self.holders
            .get(name)
            .map(|holder| Arc::clone(&holder.outbox))
    }

    /// Whether `connection` holds `name`.
    pub(crate) fn is_held_by(&self, name: &Destination, connection: ConnectionId) -> bool {
        self.holders
            .get(name)
            .is_some_and(|holder| holder.connection == connection)
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

#[cfg(test)]
mod tests {
    use switchyard_listener::OutboxLimits;
    use switchyard_registry::Domain;

    use super::*;

    fn name() -> Destination {
        Destination {
            name: Domain::prepare("a.example").unwrap(),
            is_subdomain: false,
        }
    }

    fn holder(connection: u64, registration: u64) -> Holder {
        Holder {
            connection: ConnectionId(connection),
            registration: ConnectionId(registration),
            hidden: false,
            claim: Claim::Shared,
            outbox: Arc::new(Outbox::new(OutboxLimits::default())),
            restoring: Arc::default(),
        }
    }

    #[test]
    fn contract_r3_of_two_connections_one_gets_the_name() {
        let locals = LocalComponents::default();
        assert!(locals.take(&name(), holder(1, 1)).is_ok());
        let present = locals.take(&name(), holder(2, 2)).unwrap_err();
        assert_eq!(present.connection, ConnectionId(1));
    }

    #[test]
    fn contract_s8_the_later_registration_wins_whatever_the_order_of_connections() {
        let locals = LocalComponents::default();
        locals.take(&name(), holder(2, 1)).unwrap();
        // Connection 1 is older, and asked for the name later.
        let former = locals.supersede(&name(), holder(1, 3)).unwrap();
        assert_eq!(former.unwrap().connection, ConnectionId(2));
        assert_eq!(
            locals.supersede(&name(), holder(3, 2)).unwrap_err(),
            Superseded
        );
        assert!(locals.is_held_by(&name(), ConnectionId(1)));
    }

    #[test]
    fn contract_r5_a_late_end_of_an_old_connection_leaves_its_successor_alone() {
        let locals = LocalComponents::default();
        locals.take(&name(), holder(1, 1)).unwrap();
        locals.supersede(&name(), holder(2, 2)).unwrap();
        let before = locals.generation();
        assert_eq!(locals.release(&name(), ConnectionId(1)), None);
        assert_eq!(locals.generation(), before);
        assert_eq!(
            locals.release(&name(), ConnectionId(2)),
            Some(ConnectionId(2))
        );
        assert_eq!(locals.len(), 0);
        locals.take(&name(), holder(3, 3)).unwrap();
        assert!(
            locals
                .release_registration(&name(), ConnectionId(2))
                .is_none()
        );
        let lost = locals.release_registration(&name(), ConnectionId(3));
        assert_eq!(lost.unwrap().connection, ConnectionId(3));
    }
}
