//! `switchyard`: a cluster of routers for XMPP components (XEP-0114).

#![allow(
    dead_code,
    unused_imports,
    reason = "the parts are put together by `serve`, which comes next"
)]

use std::process::ExitCode;

mod api_client;
mod cli;
mod config;
mod demo;
mod http;
mod http_client;
mod logging;
mod metrics;
mod peer;
mod serve;

fn main() -> ExitCode {
    cli::main()
}
