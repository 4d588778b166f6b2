//! Configuration: TOML in MongooseIM's syntax for what MongooseIM has, in ours for the rest.
//!
//! Two stages: the text is parsed with the places of its keys ([`section::Section`] over them),
//! and each part reads its section into a validated type. Everything wrong with a file is said at
//! once, with file and line; nothing is bound or written before all of it is right.

mod api;
mod cluster;
mod disco;
mod general;
mod host_port;
mod http;
mod listener;
mod load;
mod log_level;
mod member;
mod mongooseim;
mod node;
mod problem;
mod routing_module;
mod section;
mod sockets;
mod suggestion;
mod value;

#[cfg(test)]
mod tests;

pub(crate) use api::{Api, DEFAULT_API_LISTEN};
pub(crate) use cluster::Cluster;
pub(crate) use disco::{Disco, ServerInfo};
pub(crate) use general::General;
pub(crate) use host_port::{HostPort, HostPortError};
pub(crate) use http::{DEFAULT_HTTP_LISTEN, Http};
pub(crate) use listener::{ComponentListener, conflict_behaviour_name};
#[cfg(test)]
pub(crate) use load::parse;
pub(crate) use load::{LoadError, load};
pub(crate) use log_level::LogLevel;
pub(crate) use node::Node;
pub(crate) use problem::ConfigError;
pub(crate) use routing_module::RoutingModule;

use section::Section;

/// A whole configuration, validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// `[general]`
    pub(crate) general: General,
    /// `[node]`
    pub(crate) node: Node,
    /// `[cluster]`; `None`: a cluster of one.
    pub(crate) cluster: Option<Cluster>,
    /// `[api]`
    pub(crate) api: Api,
    /// `[http]`; `None`: not served.
    pub(crate) http: Option<Http>,
    /// `[[listen.component]]`
    pub(crate) listeners: Vec<ComponentListener>,
    /// `[modules.mod_disco]`
    pub(crate) disco: Disco,
}

/// Refuses an address off loopback where neither TLS nor the operator's word protects it
/// (contract A2).
fn refuse_plaintext(section: &Section<'_>, key: &'static str, name: &str) {
    let message = format!(
        "off loopback without TLS, which this version does not have yet: anybody who reaches the \
         port can use it. If the network is protected otherwise, say insecure = true in [{name}]"
    );
    section.error_at_key(key, &message);
}
