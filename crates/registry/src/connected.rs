use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::command::Name;
use crate::{Claim, ConnectionId};

/// What the components of this node hold, or are asking for: registered anew in each life.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connected {
    names: Arc<Mutex<BTreeMap<Name, Entry>>>,
}

/// A connection of this node, and how it is registered anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) connection: ConnectionId,
    pub(crate) hidden: bool,
    pub(crate) claim: Claim,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    holder: Holder,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its handshake waits for the answer.
    Asking,
    /// As [`Self::Asking`], and another node was found to have the name.
    Refused,
    /// Its handshake has been, or is being, accepted.
    Held,
}

/// The name is not this connection's any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lost;

impl Connected {
    /// Notes that `holder` asks for `name`.
    pub(crate) fn insert(&self, name: Name, holder: Holder) {
        let mut names = self.names.lock();
        let asking = Entry {
            holder,
            stage: Stage::Asking,
        };
        let present = names.entry(name).or_insert(asking);
        if present.holder.connection <= holder.connection {
            *present = asking;
        }
    }

    /// Notes that `connection` is accepted as the holder of `name`; `in_table` if the table has it.
    pub(crate) fn accept(
        &self,
        name: &Name,
        connection: ConnectionId,
        in_table: bool,
    ) -> Result<(), Lost> {
        let mut names = self.names.lock();
        let entry = names.get_mut(name).ok_or(Lost)?;
        if entry.holder.connection != connection {
            // A newer connection of this node asks: it decides what becomes of this one.
            return Ok(());
        }
        if entry.stage == Stage::Refused && !in_table {
            names.remove(name);
            return Err(Lost);
        }
        entry.stage = Stage::Held;
        Ok(())
    }

    /// Notes that `connection` does not hold `name` any longer.
    pub(crate) fn remove(&self, name: &Name, connection: ConnectionId) {
        let mut names = self.names.lock();
        let entry = names.get(name);
        if entry.is_some_and(|entry| entry.holder.connection == connection) {
            names.remove(name);
        }
    }

    /// Notes that another node has `name`. True if `connection` had been accepted: it has lost the
    /// name. If it is still asking, its handshake will be told.
    pub(crate) fn refuse(&self, name: &Name, connection: ConnectionId) -> bool {
        let mut names = self.names.lock();
        let Some(entry) = names.get_mut(name) else {
            return false;
        };
        if entry.holder.connection != connection {
            return false;
        }
        let was_held = entry.stage == Stage::Held;
        if was_held {
            names.remove(name);
        } else {
            entry.stage = Stage::Refused;
        }
        was_held
    }

    /// Whether `connection` holds `name`, or asks for it.
    pub(crate) fn has(&self, name: &Name, connection: ConnectionId) -> bool {
        let names = self.names.lock();
        let entry = names.get(name);
        entry.is_some_and(|entry| entry.holder.connection == connection)
    }

    /// How many names the components of this node hold or ask for.
    pub(crate) fn len(&self) -> usize {
        self.names.lock().len()
    }

    /// Everything that should be in the table.
    pub(crate) fn wanted(&self) -> Vec<(Name, Holder)> {
        let names = self.names.lock();
        let wanted = names.iter().filter(|(_, e)| e.stage != Stage::Refused);
        wanted
            .map(|(name, entry)| (name.clone(), entry.holder))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Domain;

    const OLD: ConnectionId = ConnectionId(1);
    const NEW: ConnectionId = ConnectionId(2);

    fn name() -> Name {
        Name {
            domain: Domain::prepare("a.example").unwrap(),
            is_subdomain: false,
        }
    }

    fn asking(connection: ConnectionId) -> Connected {
        let connected = Connected::default();
        ask(&connected, connection);
        connected
    }

    fn ask(connected: &Connected, connection: ConnectionId) {
        let holder = Holder {
            connection,
            hidden: false,
            claim: Claim::Exclusive,
        };
        connected.insert(name(), holder);
    }

    #[test]
    fn contract_r5_an_older_connection_does_not_take_the_place_of_a_newer_one() {
        let connected = asking(NEW);
        ask(&connected, OLD);
        assert!(connected.has(&name(), NEW));
        connected.remove(&name(), OLD);
        assert!(connected.has(&name(), NEW));
    }

    #[test]
    fn contract_s8_who_was_accepted_loses_the_name_and_who_asks_is_told() {
        let connected = asking(OLD);
        assert_eq!(connected.accept(&name(), OLD, true), Ok(()));
        assert!(connected.refuse(&name(), OLD), "it was accepted");
        assert!(!connected.has(&name(), OLD));
        assert_eq!(connected.accept(&name(), OLD, true), Err(Lost));

        let connected = asking(OLD);
        assert!(!connected.refuse(&name(), OLD), "it is asking");
        assert_eq!(connected.wanted(), []);
        assert_eq!(connected.accept(&name(), OLD, false), Err(Lost));

        let connected = asking(OLD);
        connected.refuse(&name(), OLD);
        assert_eq!(
            connected.accept(&name(), OLD, true),
            Ok(()),
            "it has it now"
        );
        assert_eq!(connected.wanted().len(), 1);
    }
}
