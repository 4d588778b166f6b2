//! From the configuration file to what each part takes.

use std::time::Duration;

use switchyard_registry::{Founder, Registry, Timings};

use crate::config::Config;
use crate::peer::PeersConfig;
use crate::router::{Chain, SwitchConfig};

/// How long a sender waits for a slow destination (contract D3).
const PATIENCE: Duration = Duration::from_secs(10);

/// The name of a cluster of one.
const ALONE: &str = "standalone";

/// What the registry must know.
pub(super) fn registry(config: &Config) -> switchyard_registry::Config {
    let cluster = config.cluster.as_ref();
    let members = cluster.map_or(&[][..], |cluster| &cluster.members);
    switchyard_registry::Config {
        cluster: cluster_name(config),
        node: config.node.name.clone(),
        advertise: cluster
            .map(|cluster| cluster.advertise.to_string())
            .unwrap_or_default(),
        members: members
            .iter()
            .map(|member| Founder {
                name: member.name.clone(),
                address: member.address.to_string(),
            })
            .collect(),
        data_dir: config.node.data_dir.clone(),
        timings: Timings::default(),
    }
}

/// What the switch must know.
pub(super) fn switch(config: &Config) -> SwitchConfig {
    let chain = Chain::new(config.general.routing_modules.clone());
    SwitchConfig {
        hosts: config.general.hosts.clone().into(),
        chain,
        patience: PATIENCE,
    }
}

/// What the links must know.
pub(super) fn peers(config: &Config, registry: &Registry) -> PeersConfig {
    let cluster = cluster_name(config);
    PeersConfig::new(cluster, registry.node_id(), config.node.name.clone())
}

fn cluster_name(config: &Config) -> String {
    config
        .cluster
        .as_ref()
        .map_or_else(|| ALONE.to_owned(), |cluster| cluster.name.clone())
}
