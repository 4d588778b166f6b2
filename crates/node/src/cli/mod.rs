//! The command line (contract A3): one file for each command.

mod args;
mod check_config;
mod exit;
mod serve;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use exit::Failure;

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::CheckConfig(args) => check_config::run(&args),
        Command::Serve(args) => serve::run(&args),
    };
    outcome.map_or_else(Failure::report, |()| ExitCode::SUCCESS)
}
