//! The command line (contract A3): one file for each command.

mod api_target;
mod args;
mod certs;
mod check_config;
mod cluster;
mod components;
mod demo;
mod exit;
mod health;
mod listener_summary;
mod output;
mod serve;
mod table;
mod writable;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tokio::runtime::Builder;

use args::{Args, Command};
use exit::Failure;

pub(crate) use components::describe_listing;
pub(crate) use output::print;
pub(crate) use table::Table;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::CheckConfig(args) => check_config::run(&args),
        Command::Cluster(command) => cluster::run(&command),
        Command::Components(args) => components::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Serve(args) => serve::run(&args),
    };
    outcome.map_or_else(Failure::report, |()| ExitCode::SUCCESS)
}

/// Runs a command that waits for the network.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(work)
}
