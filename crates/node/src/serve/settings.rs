//! From the configuration file to what each part takes.

use std::sync::Arc;
use std::time::Duration;

use switchyard_registry::{DEFAULT_VOTERS, Dialer, Founder, Registry, Timings};

use crate::config::{ClusterTimings, Config, Entry};
use crate::peer::PeersConfig;
use crate::router::{Chain, SwitchConfig};

/// How long a sender waits for a slow destination (contract D3).
const PATIENCE: Duration = Duration::from_secs(10);

/// The name of a cluster of one.
const ALONE: &str = "standalone";

/// What the registry must know.
pub(super) fn registry(config: &Config, dialer: Arc<dyn Dialer>) -> switchyard_registry::Config {
    let cluster = config.cluster.as_ref();
    let (members, seeds) = match cluster.map(|cluster| &cluster.entry) {
        None => (&[][..], None),
        Some(Entry::Members(members)) => (&members[..], None),
        Some(Entry::Seeds(seeds)) => (&[][..], Some(seeds)),
    };
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
        seeds: seeds.map(|seeds| seeds.iter().map(ToString::to_string).collect()),
        voters: cluster.map_or(DEFAULT_VOTERS, |cluster| cluster.voters),
        data_dir: config.node.data_dir.clone(),
        timings: cluster.map_or_else(Timings::default, |cluster| timings(&cluster.timings)),
        dialer,
        on_no_quorum: config.registry.on_no_quorum,
    }
}

/// Raft is silent for its longest timeout first, and then for a random time between the two.
fn timings(timings: &ClusterTimings) -> Timings {
    let election_max = timings.election_max / 2;
    Timings {
        lease: timings.lease,
        heartbeat: timings.heartbeat,
        election_min: timings.election_min.saturating_sub(election_max),
        election_max,
        ..Timings::default()
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
pub(super) fn peers(config: &Config, registry: &Registry, dialer: Arc<dyn Dialer>) -> PeersConfig {
    let cluster = cluster_name(config);
    PeersConfig {
        dialer,
        names: Some(registry.name_check()),
        ..PeersConfig::new(cluster, registry.node_id(), config.node.name.clone())
    }
}

fn cluster_name(config: &Config) -> String {
    config
        .cluster
        .as_ref()
        .map_or_else(|| ALONE.to_owned(), |cluster| cluster.name.clone())
}
