//! XMPP components on a socket (XEP-0114): XML, streams, stanzas, JIDs, and one task pair for each
//! connected component.
//!
//! The crate knows XMPP and one connection. What lies behind a connection it is handed as two
//! traits: [`Registrar`], to register a component's name, and [`Router`], to route its stanzas. It
//! knows nothing of Raft, gRPC or other nodes.

mod accept;
mod access;
mod authenticated;
mod bind_error;
mod close_reason;
mod compactor;
mod component;
mod config;
mod connection;
mod delivery;
mod farewell;
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod handshake;
pub mod jid;
mod live_config;
mod metrics;
mod outbox;
mod peer_log;
mod printable;
mod proxy_protocol;
mod receipt;
mod refusal_delays;
mod registrar;
mod router;
mod secret;
mod secrets;
mod sender_rule;
mod shaper;
mod slots;
mod sockets;
mod source_network;
mod stanza;
mod stanza_condition;
mod stanza_error;
mod stop;
mod stream;
mod stream_error;
pub mod tls;
pub mod xml;

pub use accept::Listener;
pub use access::{
    AccessClass, AccessClause, AccessPattern, AccessRule, AccessScope, Decision, GlobError,
    JidPart, PartTest, RegexpError,
};
pub use bind_error::BindError;
pub use close_reason::CloseReason;
pub use compactor::Compactor;
pub use component::Component;
pub use config::ListenerConfig;
pub use delivery::Delivery;
pub use handle::{ListenerHandle, ReloadError};
pub use live_config::LiveConfig;
pub use metrics::ListenerMetrics;
pub use outbox::{Outbox, OutboxCounters, OutboxLimits, PushError};
pub use receipt::{Consignor, Progress, Receipt};
pub use registrar::{ConflictBehaviour, ConflictScope, RegisterError, RegisterRequest, Registrar};
pub use router::{RouteSession, Router, Sender, StanzaBatch};
pub use secret::Secret;
pub use secrets::{SecretSet, Secrets};
pub use sender_rule::{SenderRule, StanzaFault};
pub use stanza::{Span, Stanza, StanzaKind};
pub use stanza_condition::StanzaCondition;
pub use stanza_error::{error_reply, may_be_answered};
pub use stream_error::StreamCondition;
