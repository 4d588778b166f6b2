//! Components on real sockets, with a router of one node in memory behind the listener.

#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

mod client;
mod delivery;
mod ending;
mod fixture;
mod negotiation;
mod stanzas;
mod switch;
