//! Components on real sockets, with a router of one node in memory behind the listener.

#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

mod accepting;
mod client;
mod delivery;
mod ending;
mod fixture;
mod negotiation;
mod pki;
mod reload;
mod stanzas;
mod switch;
mod tls;
mod tls_client;
