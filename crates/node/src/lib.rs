//! What the program `switchyard` is made of: a cluster of routers for XMPP components (XEP-0114).
//!
//! A library for the sake of its own tests and fuzz targets alone. What others can build upon is
//! `switchyard-listener` and `switchyard-registry`.

mod api_access;
mod api_client;
mod certificates;
mod cli;
mod config;
mod demo;
mod entity;
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod http_client;
mod logging;
mod metrics;
mod peer;
mod router;
mod serve;
mod tls;

pub use cli::main;
