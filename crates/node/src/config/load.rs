use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::problem::Problems;
use super::section::Section;
use super::sockets::Sockets;
use super::{
    Api, Cluster, ComponentListener, Config, ConfigError, Disco, General, Http, Node, mongooseim,
};

/// A configuration and what should be said about it.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The configuration.
    pub(crate) config: Config,
    /// `FILE:LINE: message`, in the order of lines.
    pub(crate) warnings: Vec<String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", file.display())]
    Unreadable {
        /// The file as the operator named it.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is wrong.
    #[error(transparent)]
    Invalid(#[from] ConfigError),
}

const SKIPPED: &str = "it is MongooseIM's, and a component router has no use for it";

/// Reads and validates `file`.
///
/// # Errors
///
/// When it cannot be read, or with everything that is wrong with it.
pub(crate) fn load(file: &Path) -> Result<Loaded, LoadError> {
    let unreadable = |error| LoadError::Unreadable {
        file: file.to_owned(),
        error,
    };
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    Ok(parse(file, &text)?)
}

/// Validates `text`, the text of `file`.
pub(crate) fn parse(file: &Path, text: &str) -> Result<Loaded, ConfigError> {
    let problems = Problems::new(file, text);
    let (table, syntax_errors) = DeTable::parse_recoverable(text);
    for error in &syntax_errors {
        problems.error(error.span().map(|span| span.start), error.message());
    }
    // After a syntax error anything may be missing: to complain about that would mislead.
    let config = match syntax_errors.is_empty() {
        true => read(Section::root(table.get_ref(), &problems), &problems),
        false => None,
    };
    let warnings = problems.finish()?;
    Ok(Loaded {
        config: config.expect("a part that cannot be read has reported why"),
        warnings,
    })
}

fn read(mut root: Section<'_>, problems: &Problems) -> Option<Config> {
    let mut sockets = Sockets::default();
    let general = root.section("general").map(General::read);
    let node = match root.section("node") {
        Some(section) => Node::read(section),
        None => {
            root.error_at_key("node.name", "missing: every node needs a name of its own");
            None
        }
    };
    let cluster = root.section("cluster").map(|section| {
        let at = section.place_of("listen");
        let cluster = Cluster::read(section, node.as_ref().map(|node| node.name.as_str()))?;
        sockets.add(cluster.listen, "[cluster]", at, problems);
        Some(cluster)
    });
    let api_at = root.place_of("api");
    let api = root.section("api").map(Api::read).unwrap_or_default();
    sockets.add(api.listen, "[api]", api_at, problems);
    let http_at = root.place_of("http");
    let http = root.section("http").map(Http::read);
    if let Some(http) = &http {
        sockets.add(http.listen, "[http]", http_at, problems);
    }
    let listeners = read_listeners(&mut root, &mut sockets, problems);
    let disco = read_modules(&mut root);
    root.refuse_unless("registry", |_| false);
    root.skip(mongooseim::SECTIONS, SKIPPED);
    root.finish();
    let cluster = match cluster {
        Some(cluster) => Some(cluster?),
        None => None,
    };
    Some(Config {
        general: general.unwrap_or_default(),
        node: node?,
        cluster,
        api,
        http,
        listeners,
        disco,
    })
}

/// `[listen]`. A listener that is wrong has been reported and is left out.
fn read_listeners(
    root: &mut Section<'_>,
    sockets: &mut Sockets,
    problems: &Problems,
) -> Vec<ComponentListener> {
    let Some(mut listen) = root.section("listen") else {
        root.warn_at_key(
            "listen",
            "there is no [[listen.component]]: no component can connect",
        );
        return Vec::new();
    };
    let mut listeners = Vec::new();
    for section in listen.sections("component") {
        let at = section.place_of("port");
        if let Some(listener) = ComponentListener::read(section) {
            sockets.add(listener.address, "[[listen.component]]", at, problems);
            listeners.push(listener);
        }
    }
    if listen.value("service").is_some() {
        listen.error_at_key(
            "service",
            "is called listen.component in this version of the syntax",
        );
    }
    listen.skip(mongooseim::LISTENERS, SKIPPED);
    listen.finish();
    listeners
}

/// `[modules]`.
fn read_modules(root: &mut Section<'_>) -> Disco {
    let Some(mut modules) = root.section("modules") else {
        return Disco::default();
    };
    let disco = modules.section("mod_disco").map(Disco::read);
    modules.skip(mongooseim::MODULES, SKIPPED);
    modules.finish();
    disco.unwrap_or_default()
}
