//! `switchyard`: a cluster of routers for XMPP components (XEP-0114).

use std::process::ExitCode;

mod cli;
mod config;
mod logging;
mod serve;

fn main() -> ExitCode {
    cli::main()
}
