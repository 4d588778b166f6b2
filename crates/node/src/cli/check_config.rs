use std::fmt::{self, Display};
use std::path::Path;

use super::args::CheckConfigArgs;
use super::exit::Failure;
use super::output::print;
use crate::config::{self, ComponentListener, Config, conflict_behaviour_name};

/// Checks a configuration file and shows what would be served.
pub(crate) fn run(args: &CheckConfigArgs) -> Result<(), Failure> {
    let loaded = config::load(&args.config)?;
    for warning in &loaded.warnings {
        eprintln!("{warning}");
    }
    let file = &args.config;
    let config = &loaded.config;
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
        line(f, "api", format_args!("{}", self.config.api.listen))?;
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
            format_args!("{peers}, advertised as {}", cluster.advertise),
        )?;
        line(f, "members", joined(&cluster.members, ", "))
    }
}

struct ListenerSummary<'a>(&'a ComponentListener);

impl Display for ListenerSummary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listener = self.0;
        let conflict = conflict_behaviour_name(listener.conflict_behaviour);
        write!(f, "{}, on conflict {conflict}", listener.address)?;
        match listener.max_stanza_size {
            Some(size) => write!(f, ", stanzas up to {size} bytes")?,
            None => write!(f, ", stanzas of any size")?,
        }
        if !listener.check_from {
            write!(f, ", any from")?;
        }
        if listener.hidden_components {
            write!(f, ", hidden")?;
        }
        Ok(())
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
