use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::DEFAULT_HTTP_LISTEN;

/// A cluster of routers for XMPP components (XEP-0114).
#[derive(Debug, Parser)]
#[command(name = "switchyard", version)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One command of the command line.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a configuration file and show what it means
    CheckConfig(CheckConfigArgs),
    /// Ask a node whether it is ready; exits 0 if it is, 1 if not
    Health(HealthArgs),
    /// Run a node
    Serve(ServeArgs),
}

/// Arguments of `check-config`.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckConfigArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

/// Arguments of `health`.
#[derive(Debug, clap::Args)]
pub(crate) struct HealthArgs {
    /// The node's configuration file, whose [http] section says where to ask
    #[arg(long, value_name = "FILE", conflicts_with = "http")]
    pub(crate) config: Option<PathBuf>,
    /// Where to ask
    #[arg(long, value_name = "ADDR", default_value_t = DEFAULT_HTTP_LISTEN)]
    pub(crate) http: SocketAddr,
}

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// End when standard input ends, that is when the process that holds its other end does
    #[arg(long, hide = true)]
    pub(crate) exit_with_parent: bool,
}
