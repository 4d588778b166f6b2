//! Where a stanza goes: MongooseIM's ordered chain of routing modules, one file each, and the
//! switch that joins components, links and the registry.
//!
//! The life of a stanza is in `session.rs` (choosing), `hand_over.rs` (handing on) and `answer.rs`
//! (answering when that fails; `mail.rs` brings the answers home). What links bring back goes through
//! `returns.rs`.

mod admission;
mod answer;
mod chain;
mod confirm;
mod dynamic_domains;
mod external;
mod external_localnode;
mod global;
mod hand_over;
mod instance;
mod kick_damper;
mod local_components;
mod localdomain;
mod losses;
mod mail;
mod metrics;
mod peer_glue;
mod place;
mod place_cache;
mod registrar;
mod restoring;
mod returning;
mod returns;
mod session;
mod shared;
mod switch;
mod undeliverable;

pub(crate) use chain::Chain;
pub(crate) use losses::follow as follow_losses;
pub(crate) use metrics::{Count, RouterMetrics};
pub(crate) use switch::{Switch, SwitchConfig};
