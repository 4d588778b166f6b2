//! Configuration: TOML in MongooseIM's syntax for what MongooseIM has, in ours for the rest.
//!
//! Two stages: the text is parsed with the places of its keys ([`section::Section`] over them),
//! and each part reads its section into a validated type. Everything wrong with a file is said at
//! once, with file and line; nothing is bound or written before all of it is right.

mod access;
mod acl;
mod api;
mod api_tls;
mod changes;
mod cluster;
mod cluster_timings;
mod cluster_tls;
mod disco;
mod file_of_key;
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
mod registry;
mod routing_module;
mod secret_file;
mod secrets;
mod section;
mod shaper;
mod sockets;
mod suggestion;
mod tls;
mod value;

#[cfg(test)]
mod tests;

pub(crate) use api::{Api, DEFAULT_API_LISTEN};
pub(crate) use changes::Changes;
pub(crate) use cluster::{Cluster, Entry};
pub(crate) use cluster_timings::ClusterTimings;
pub(crate) use cluster_tls::ClusterTls;
pub(crate) use disco::{Disco, ServerInfo};
pub(crate) use general::General;
pub(crate) use host_port::{HostPort, HostPortError};
pub(crate) use http::{DEFAULT_HTTP_LISTEN, Http};
pub(crate) use listener::{ComponentListener, conflict_behaviour_name};
pub(crate) use load::{LoadError, load, parse};
pub(crate) use log_level::LogLevel;
pub(crate) use node::{Node, is_name};
pub(crate) use problem::ConfigError;
pub(crate) use registry::Registry;
pub(crate) use routing_module::RoutingModule;
pub(crate) use secrets::ListenerSecrets;
pub(crate) use tls::ComponentTls;

use std::sync::Arc;

use switchyard_listener::ListenerConfig;

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
    /// `[registry]`
    pub(crate) registry: Registry,
    /// `[api]`
    pub(crate) api: Api,
    /// `[http]`; `None`: not served.
    pub(crate) http: Option<Http>,
    /// `[[listen.component]]`
    pub(crate) listeners: Vec<ComponentListener>,
    /// `[modules.mod_disco]`
    pub(crate) disco: Disco,
}

impl Config {
    /// What the listener crate needs to serve each of the listeners.
    pub(crate) fn listener_configs(&self) -> impl Iterator<Item = ListenerConfig> {
        let hosts: Arc<[_]> = self.general.hosts.clone().into();
        let listeners = self.listeners.iter();
        listeners.map(move |listener| listener.listener_config(Arc::clone(&hosts)))
    }

    /// Takes what cannot change while a node runs from `running`.
    pub(crate) fn keep_what_needs_a_restart(&mut self, running: &Self) {
        let General {
            hosts,
            loglevel: _,
            routing_modules,
        } = running.general.clone();
        self.general.hosts = hosts;
        self.general.routing_modules = routing_modules;
        self.node = running.node.clone();
        let tls = self.cluster.take().and_then(|cluster| cluster.tls);
        self.cluster = running.cluster.clone();
        if let Some(cluster) = &mut self.cluster
            && cluster.tls.is_some()
            && tls.is_some()
        {
            cluster.tls = tls;
        }
        self.registry = running.registry.clone();
        if !self.api.has_port_of(&running.api) {
            self.api = running.api.clone();
        }
        self.http = running.http.clone();
    }
}

/// Refuses an address off loopback where neither TLS nor the operator's word protects it
/// (contract A2).
fn refuse_plaintext(section: &Section<'_>, key: &'static str, name: &str) {
    let message = format!(
        "off loopback without TLS: anybody who reaches the port can use it. Give it a \
         certificate in [{name}.tls], or, if the network is protected otherwise, say \
         insecure = true in [{name}]"
    );
    section.error_at_key(key, &message);
}
