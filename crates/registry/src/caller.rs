use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tonic::{Extensions, Status};

use crate::NodeId;
use crate::log_limit::LogLimit;
use crate::replica::Replica;

/// Where a request comes from. Whoever accepts connections puts it into the extensions of their
/// requests, as the `ConnectInfo` of tonic.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The other end of the connection.
    pub address: Option<SocketAddr>,
    /// The DNS names in the certificate by which the other end has proved who it is. `None`: it
    /// has not, on a port of plain text for example.
    pub names: Option<Arc<[String]>>,
}

/// Sees that a peer with a certificate speaks as the node that the certificate names, and as no
/// other (contract A2).
#[derive(Clone)]
pub struct NameCheck {
    replica: Arc<Replica>,
    log: Arc<LogLimit>,
}

// === impl Caller ===

impl Caller {
    /// That of a request with these extensions. Without one, nothing is known of it.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }
}

// === impl NameCheck ===

impl NameCheck {
    pub(crate) fn new(replica: Arc<Replica>) -> Self {
        Self {
            replica,
            log: Arc::default(),
        }
    }

    /// Refuses a caller whose certificate is not that of the node `name`.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED`, with both names.
    pub fn check_name(&self, caller: &Caller, name: &str) -> Result<(), Status> {
        match &caller.names {
            Some(names) if !carries(names, name) => Err(self.refuse(caller, names, name)),
            _ => Ok(()),
        }
    }

    /// Refuses a caller whose certificate is not that of the node `id`. A node that this one does
    /// not know can be anybody: it has nothing that another could take.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED`, with both names.
    pub fn check_id(&self, caller: &Caller, id: NodeId) -> Result<(), Status> {
        if caller.names.is_none() {
            return Ok(());
        }
        match self.replica.name_of(id) {
            Some(name) => self.check_name(caller, &name),
            None => Ok(()),
        }
    }

    fn refuse(&self, caller: &Caller, names: &[String], claimed: &str) -> Status {
        let names = names.join(", ");
        if let Some(suppressed) = self.log.admit() {
            let address = caller.address.map(tracing::field::display);
            let certificate = names.escape_debug();
            let claimed = claimed.escape_debug();
            tracing::warn!(
                address,
                %certificate,
                %claimed,
                suppressed,
                "Peer refused: its certificate is not that of the node it speaks as"
            );
        }
        Status::permission_denied(format!(
            "the certificate is that of {names}, and may not speak as {claimed}"
        ))
    }
}

impl fmt::Debug for NameCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameCheck")
    }
}

/// Whether a node called `name` may show a certificate with `names`: one of them is its name, in
/// any case as names in DNS are. There are no wildcards: each node has a certificate of its own.
#[must_use]
pub fn carries(names: &[String], name: &str) -> bool {
    names
        .iter()
        .any(|carried| carried.eq_ignore_ascii_case(name))
}
