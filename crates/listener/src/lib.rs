//! XMPP components on a socket (XEP-0114): XML, streams, stanzas, JIDs, and one task pair for each
//! connected component.
//!
//! The crate knows XMPP and one connection. What lies behind a connection it is handed as two
//! traits: [`Registrar`], to register a component's name, and [`Router`], to route its stanzas. It
//! knows nothing of Raft, gRPC or other nodes.

mod component;
mod outbox;
mod registrar;
mod router;
mod stanza;
pub mod xml;

pub use component::Component;
pub use outbox::{Delivery, Outbox};
pub use registrar::{ConflictBehaviour, RegisterError, RegisterRequest, Registrar};
pub use router::{RouteSession, Router, Sender, StanzaBatch};
pub use stanza::{Span, Stanza, StanzaKind};
