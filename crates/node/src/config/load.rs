use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::access::AccessRules;
use super::acl::Acl;
use super::problem::Problems;
use super::section::Section;
use super::shaper::Shapers;
use super::sockets::Sockets;
use super::{
    Api, Cluster, ComponentListener, Config, ConfigError, Disco, General, Http, Node, Registry,
    mongooseim,
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
        match error.span() {
            Some(span) => problems.error(Some(span.start), syntax_error(error, text.get(span))),
            // Such as tables within tables without end.
            None => problems.error(
                None,
                format!("the TOML cannot be read: {}", error.message()),
            ),
        }
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

/// What the parser has to say, with the key where it leaves out which. It does not quote values, which
/// may be secrets.
fn syntax_error(error: &toml::de::Error, at: Option<&str>) -> String {
    match (error.message(), at) {
        (message @ "duplicate key", Some(key)) => format!("{message} {key}"),
        (message, _) => message.to_owned(),
    }
}

fn read(mut root: Section<'_>, problems: &Problems) -> Option<Config> {
    let mut sockets = Sockets::default();
    let general = root.section("general").map(General::read);
    // A file that is empty, as one that is being written may be for a moment, is no configuration:
    // a reload would close every port.
    let may_lack_name = root.has("listen") && !root.has("cluster");
    let node = Node::read(&mut root, may_lack_name);
    let cluster = root.section("cluster").map(|section| {
        let at = section.place_of("listen");
        let cluster = Cluster::read(section, node.as_ref().map(|node| node.name.as_str()))?;
        sockets.add(cluster.listen, "[cluster]", at, problems);
        Some(cluster)
    });
    let registry = root.section("registry").map(Registry::read);
    let api_at = root.place_of("api");
    let api = root.section("api").map(Api::read).unwrap_or_default();
    sockets.add(api.listen, "[api]", api_at, problems);
    let http_at = root.place_of("http");
    let http = root.section("http").map(Http::read);
    if let Some(http) = &http {
        sockets.add(http.listen, "[http]", http_at, problems);
    }
    let hosts = general.as_ref().map_or(&[][..], |general| &general.hosts);
    let acl = Acl::read(root.section("acl"), hosts);
    let rules = AccessRules::read(root.section("access"), &acl, problems);
    let shapers = Shapers::read(root.section("shaper"));
    let listeners = read_listeners(&mut root, &rules, &shapers, &mut sockets, problems);
    acl.warn_of_what_is_left_out(problems);
    let disco = read_modules(&mut root);
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
        registry: registry.unwrap_or_default(),
        api,
        http,
        listeners,
        disco,
    })
}

/// `[listen]`. A listener that is wrong has been reported and is left out.
fn read_listeners(
    root: &mut Section<'_>,
    rules: &AccessRules<'_>,
    shapers: &Shapers<'_>,
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
        if let Some(listener) = ComponentListener::read(section, rules, shapers) {
            let name = "[[listen.component]]";
            match listener.reuse_port {
                true => sockets.add_shared(listener.address, name, at, problems),
                false => sockets.add(listener.address, name, at, problems),
            }
            listeners.push(listener);
        }
    }
    // As MongooseIM on Linux, `[::]` takes IPv4 as well, unless that belongs to something else.
    for listener in &mut listeners {
        listener.ipv6_only = sockets.has_ipv4_on(listener.address.port());
    }
    listen.refuse_with(
        "service",
        "was the name before MongooseIM 6.4: write [[listen.component]]",
    );
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
