//! Links between nodes: stanzas for components of other nodes, each exactly once and in order for
//! as long as both nodes live (contract D1, D2). `docs/links.md` has the whole picture.
//!
//! Sending: [`Peers`] keeps a [`Link`] to every peer; its state machine decides what happens to
//! the parcels in its window, a driver task keeps it connected. Receiving: [`server::LinkService`] serves
//! the links of peers and hands what is new to [`LocalDelivery`].

mod backoff;
mod batch;
mod config;
mod counters;
mod driver;
mod flows;
mod held;
mod hello;
mod incoming;
mod link;
mod link_error;
mod link_state;
mod local_delivery;
mod outgoing;
mod parcel;
mod peers;
mod proto;
mod receiver;
mod receivers;
mod returns;
mod server;
mod settlements;
mod transport;
mod window;

pub(crate) use config::{Life, PeersConfig, Timings};
pub(crate) use counters::LinkCounters;
pub(crate) use link::{Link, LinkStatus, Peer, SendError};
pub(crate) use local_delivery::{LocalDelivery, Outcome};
pub(crate) use parcel::{Destination, Parcel};
pub(crate) use peers::Peers;
pub(crate) use returns::{ReturnReason, Returns};
pub(crate) use transport::tune;
pub(crate) use window::WindowLimits;

#[cfg(test)]
mod tests;
