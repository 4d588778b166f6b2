//! XMPP components on a socket (XEP-0114): XML, streams, stanzas, JIDs, and one task pair for each
//! connected component.
//!
//! The crate knows XMPP and one connection. What lies behind a connection it is handed as two
//! traits: [`Registrar`], to register a component's name, and [`Router`], to route its stanzas. It
//! knows nothing of Raft, gRPC or other nodes.

mod accept;
mod bind_error;
mod close_reason;
mod component;
mod config;
mod connection;
mod delivery;
mod farewell;
mod handshake;
pub mod jid;
mod metrics;
mod outbox;
mod registrar;
mod router;
mod secret;
mod sender_rule;
mod stanza;
mod stanza_condition;
mod stanza_error;
mod stream;
mod stream_error;
pub mod xml;

pub use accept::Listener;
pub use bind_error::BindError;
pub use close_reason::CloseReason;
pub use component::Component;
pub use config::ListenerConfig;
pub use delivery::Delivery;
pub use metrics::ListenerMetrics;
pub use outbox::{Outbox, OutboxCounters, OutboxLimits, PushError};
pub use registrar::{ConflictBehaviour, RegisterError, RegisterRequest, Registrar};
pub use router::{RouteSession, Router, Sender, StanzaBatch};
pub use secret::Secret;
pub use sender_rule::{SenderRule, StanzaFault};
pub use stanza::{Span, Stanza, StanzaKind};
pub use stanza_condition::StanzaCondition;
pub use stanza_error::{error_reply, may_be_answered};
pub use stream_error::StreamCondition;
