use std::fmt::{self, Display};
use std::path::Path;

use super::args::CheckConfigArgs;
use super::exit::Failure;
use super::listener_summary::ListenerSummary;
use super::output::print;
use super::writable::why_not_writable;
use crate::config::{self, Config, Entry};

/// Checks a configuration file and shows what would be served.
pub(crate) fn run(args: &CheckConfigArgs) -> Result<(), Failure> {
    let loaded = config::load(&args.config)?;
    for warning in &loaded.warnings {
        eprintln!("{warning}");
    }
    let file = &args.config;
    let config = &loaded.config;
    // No error: the node may run as another user, on another machine.
    if let Some(why) = why_not_writable(&config.node.data_dir) {
        eprintln!("{}: \"node.data_dir\": {why}", file.display());
    }
    Ok(print(&Summary { file, config }.to_string())?)
}

/// What a configuration means, in words; no secrets.
struct Summary<'a> {
    file: &'a Path,
    config: &'a Config,
}

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { general, node, .. } = self.config;
        writeln!(f, "{} is valid", self.file.display())?;
        line(
            f,
            "node",
            format_args!("{}, data in {}", node.name, node.data_dir.display()),
        )?;
        self.cluster(f)?;
        let api = &self.config.api;
        let carrier = if api.tls.is_some() {
            "TLS"
        } else {
            "plain text"
        };
        let who = match api.access.is_open() {
            true => "for everybody who reaches it",
            false => "for readers and administrators",
        };
        line(f, "api", format_args!("{}, {carrier}, {who}", api.listen))?;
        if let Some(http) = &self.config.http {
            line(f, "http", format_args!("{}", http.listen))?;
        }
        line(f, "hosts", or_none(&joined(&general.hosts, ", ")))?;
        line(
            f,
            "routing",
            or_none(&joined(&general.routing_modules, " > ")),
        )?;
        for listener in &self.config.listeners {
            line(
                f,
                "components",
                format_args!("{}", ListenerSummary(listener)),
            )?;
        }
        Ok(())
    }
}

impl Summary<'_> {
    fn cluster(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(cluster) = &self.config.cluster else {
            return line(f, "cluster", "none, this node is alone");
        };
        let peers = format_args!("{}, peers on {}", cluster.name, cluster.listen);
        line(
            f,
            "cluster",
            format_args!(
                "{peers}, advertised as {}, {}",
                cluster.advertise,
                match cluster.tls {
                    Some(_) => "TLS",
                    None => "plain text",
                }
            ),
        )?;
        match &cluster.entry {
            Entry::Members(members) => line(f, "members", joined(members, ", "))?,
            Entry::Seeds(seeds) if seeds.is_empty() => {
                line(f, "seeds", "none: waits for \"switchyard cluster add\"")?;
            }
            Entry::Seeds(seeds) => line(f, "seeds", joined(seeds, ", "))?,
        }
        line(f, "voters", cluster.voters)
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, value: impl Display) -> fmt::Result {
    writeln!(f, "  {name:<11} {value}")
}

fn joined<T: Display>(items: &[T], separator: &str) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    items.join(separator)
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}
