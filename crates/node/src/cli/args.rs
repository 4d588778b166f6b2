use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use switchyard_registry::Domain;

use crate::api_client::parse_address;
use crate::config::{DEFAULT_API_LISTEN, DEFAULT_HTTP_LISTEN, HostPort};

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
    /// Look at the cluster
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// List the components of the cluster
    Components(ComponentsArgs),
    /// Run three nodes on this machine and two components that exchange messages
    Demo(DemoArgs),
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

/// One command of `cluster`.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Show the nodes of the cluster
    Status(ApiArgs),
}

/// Arguments of commands that ask a node.
#[derive(Debug, clap::Args)]
pub(crate) struct ApiArgs {
    /// The API of any node of the cluster
    #[arg(
        long,
        value_name = "ADDR",
        env = "SWITCHYARD_API",
        default_value_t = HostPort::from(DEFAULT_API_LISTEN),
        value_parser = parse_address,
    )]
    pub(crate) api: HostPort,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `components`.
#[derive(Debug, clap::Args)]
pub(crate) struct ComponentsArgs {
    /// Only this domain
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) domain: Option<Domain>,
    /// Only those that are connected to this node
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// Let the node ask the leader first whether its table is current
    #[arg(long)]
    pub(crate) linearizable: bool,
    /// Whom to ask, and how to print
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// End after so many seconds; exit with 0 only if every message arrived once and in order
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) seconds: Option<u64>,
}

/// Arguments of `health`.
#[derive(Debug, clap::Args)]
pub(crate) struct HealthArgs {
    /// The node's configuration file, whose `http` section says where to ask
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
