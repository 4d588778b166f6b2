use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use switchyard_registry::Domain;

use crate::api_client::{ApiAddress, parse_address};
use crate::config::{DEFAULT_HTTP_LISTEN, HostPort, is_name};

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
    /// Look at the cluster, or change its nodes
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
    /// Take a node in that waits at an address, as a learner
    Add(AddArgs),
    /// Make certificates for TLS between nodes: an authority for tests and small clusters
    Certs(CertsArgs),
    /// Take a node out of service until it is started again; it remains a member
    Drain(NodeArgs),
    /// Make a voter of a learner
    Promote(NodeArgs),
    /// Remove a node for good: it can come back as a new node only, without its data
    Remove(NodeArgs),
    /// Show the nodes of the cluster
    Status(ApiArgs),
}

/// Arguments of `cluster add`.
#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// Its node.name
    #[arg(value_name = "NODE")]
    pub(crate) node: String,
    /// Its cluster.advertise
    #[arg(value_name = "HOST:PORT")]
    pub(crate) address: HostPort,
    /// Whom to ask, and how to print
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

/// Arguments of commands that change one node of the cluster.
#[derive(Debug, clap::Args)]
pub(crate) struct NodeArgs {
    /// The node, by name or id
    #[arg(value_name = "NODE")]
    pub(crate) node: String,
    /// Whom to ask, and how to print
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

/// Arguments of `cluster certs`.
#[derive(Debug, clap::Args)]
pub(crate) struct CertsArgs {
    /// Where the files are, or will be: ca.pem, ca.key, and a .pem and a .key for each certificate
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The node.name of a node that gets a certificate, unless it has one
    #[arg(long = "node", value_name = "NAME", required = true, value_parser = parse_node_name)]
    pub(crate) nodes: Vec<String>,
    /// A DNS name or IP address at which clients of the API reach these nodes, besides localhost
    #[arg(long = "host", value_name = "HOST")]
    pub(crate) hosts: Vec<String>,
    /// How long the certificates are valid
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) days: u32,
}

/// Reads a `node.name` that a certificate can carry.
fn parse_node_name(text: &str) -> Result<String, String> {
    match is_name(text) {
        true => Ok(text.to_owned()),
        false => Err("expected 1 to 63 letters, digits, hyphens, underscores and dots".to_owned()),
    }
}

/// Arguments of commands that ask a node.
#[derive(Debug, clap::Args)]
pub(crate) struct ApiArgs {
    /// The API of any node of the cluster, HOST:PORT or https://HOST:PORT [default: 127.0.0.1:7381]
    #[arg(long, value_name = "ADDR", env = "SWITCHYARD_API", value_parser = parse_address)]
    pub(crate) api: Option<ApiAddress>,
    /// With https: who issued the node's certificate, PEM
    #[arg(long, value_name = "FILE", env = "SWITCHYARD_CACERT")]
    pub(crate) cacert: Option<PathBuf>,
    /// With https: a client certificate, PEM
    #[arg(long, value_name = "FILE", env = "SWITCHYARD_CERT", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", env = "SWITCHYARD_KEY", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// A file with a token; without it, the token in SWITCHYARD_TOKEN, if there is one
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The configuration file of a node on this machine: says what the other options do not
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
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
