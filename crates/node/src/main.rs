//! `switchyard`: a cluster of routers for XMPP components (XEP-0114).

use std::process::ExitCode;

mod api_client;
mod cli;
mod config;
mod demo;
mod entity;
mod http;
mod http_client;
mod logging;
mod metrics;
mod peer;
mod router;
mod serve;

fn main() -> ExitCode {
    cli::main()
}
