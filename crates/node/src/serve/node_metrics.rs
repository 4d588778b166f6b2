//! What a node tells Prometheus about itself (contract A4).

use std::sync::Arc;

use switchyard_registry::Registry;

use super::component_ports::ComponentPorts;
use super::reload_counters::ReloadCounters;
use crate::api_access::Gate;
use crate::metrics::{Metrics, add_listeners};
use crate::peer::{LinkCounters, LinkStatus, Peers, ReturnReason};
use crate::router::{Count, RouterMetrics, Switch};

/// Every metric of the node but those of its listeners and its configuration.
pub(super) fn all(switch: &Switch, registry: &Registry, peers: &Arc<Peers>) -> Metrics {
    let mut metrics = Metrics::new();
    stanzas(&mut metrics, switch);
    names(&mut metrics, switch, registry);
    links(&mut metrics, peers);
    metrics
}

/// The metrics of the listeners that there are when they are read.
pub(super) fn listeners(metrics: &mut Metrics, ports: &Arc<ComponentPorts>) {
    let ports = Arc::clone(ports);
    add_listeners(metrics, move || {
        let handles = ports.handles().into_iter();
        handles
            .map(|handle| (handle.local_addr(), handle.metrics()))
            .collect()
    });
}

/// The metrics of the configuration.
pub(super) fn reloads(metrics: &mut Metrics, counters: &Arc<ReloadCounters>) {
    let reloads = Arc::clone(counters);
    metrics.counters(
        "config_reloads",
        "Times that the configuration was read again",
        "outcome",
        move || reloads.by_outcome(),
    );
    let reloads = Arc::clone(counters);
    metrics.gauge(
        "config_last_success_timestamp_seconds",
        "Unix time at which the present configuration was read",
        move || reloads.last_success(),
    );
}

pub(super) fn api(metrics: &mut Metrics, gate: &Arc<Gate>) {
    let gate = Arc::clone(gate);
    let help = "Calls of the API that were refused for who made them";
    metrics.counters("api_refused", help, "reason", move || gate.refused());
}

fn stanzas(metrics: &mut Metrics, switch: &Switch) {
    let mut count = |name, help, read: fn(&RouterMetrics) -> &Count| {
        let switch = switch.clone();
        metrics.counter(name, help, move || read(switch.metrics()).get());
    };
    count(
        "stanzas_to_local",
        "Stanzas handed to components of this node",
        |m| &m.to_local,
    );
    count(
        "stanzas_to_peer",
        "Stanzas handed to links to other nodes",
        |m| &m.to_peer,
    );
    count(
        "stanzas_from_peer",
        "Stanzas of other nodes handed to components here",
        |m| &m.from_peer,
    );
    count(
        "stanzas_to_entity",
        "Stanzas for the router's own entity",
        |m| &m.to_entity,
    );
    count(
        "stanzas_dropped",
        "Undeliverable stanzas that must not be answered",
        |m| &m.dropped,
    );
    count(
        "route_confirmations",
        "Unknown domains confirmed with the registry",
        |m| &m.confirmations,
    );
    count(
        "damped_kicks",
        "Connections that waited to kick another",
        |m| &m.damped_kicks,
    );
    count(
        "names_lost",
        "Components closed because another node has their name",
        |m| &m.names_lost,
    );
    let switch = switch.clone();
    let bounces = move || {
        let bounces = switch.metrics().bounces();
        bounces
            .map(|(why, count)| (why.label().to_owned(), count))
            .collect()
    };
    metrics.counters(
        "stanzas_bounced",
        "Stanzas answered with an error",
        "reason",
        bounces,
    );
}

fn names(metrics: &mut Metrics, switch: &Switch, registry: &Registry) {
    let switch = switch.clone();
    metrics.gauge(
        "local_names",
        "Names held by components of this node",
        move || switch.local_components() as u64,
    );
    let registrar = registry.clone();
    metrics.gauge(
        "unpublished_names",
        "Names of this node's components that the cluster does not know yet",
        move || registrar.unpublished() as u64,
    );
    let incarnation = registry.incarnation();
    metrics.gauge(
        "incarnation",
        "Log index of this node's present life; 0: not joined",
        move || incarnation.borrow().map_or(0, |incarnation| incarnation.0),
    );
    let routes = Arc::clone(registry.routes());
    metrics.gauge(
        "cluster_registrations",
        "Registrations on all nodes",
        move || routes.count() as u64,
    );
}

fn links(metrics: &mut Metrics, peers: &Arc<Peers>) {
    let mut by_peer = |name, help, read: fn(&LinkStatus) -> u64| {
        let peers = Arc::clone(peers);
        metrics.gauges(name, help, "peer", move || {
            peers
                .status()
                .iter()
                .map(|link| (link.peer.name.clone(), read(link)))
                .collect()
        });
    };
    by_peer(
        "link_open",
        "1 while the link to a peer is connected",
        |link| u64::from(link.open),
    );
    by_peer(
        "link_parcels",
        "Runs of stanzas that a peer has not taken yet",
        |link| link.parcels as u64,
    );
    by_peer(
        "link_bytes",
        "Bytes that a peer has not taken yet",
        |link| link.bytes as u64,
    );
    by_peer(
        "link_held_parcels",
        "Runs of stanzas that a peer has taken and not written to components yet",
        |link| link.held_parcels as u64,
    );
    by_peer(
        "link_held_bytes",
        "Bytes that a peer has taken and not written to components yet, kept for its death",
        |link| link.held_bytes as u64,
    );
    let counters = Arc::clone(peers);
    metrics.counter(
        "links_opened",
        "Links opened to peers, again included",
        move || counters.counters().opened(),
    );
    let mut traffic = |name, help, read: fn(&LinkCounters) -> u64| {
        let counters = Arc::clone(peers.counters());
        metrics.counter(name, help, move || read(&counters));
    };
    traffic(
        "link_stanzas_sent",
        "Stanzas sent to peers, again included",
        |c| c.sent().stanzas(),
    );
    traffic("link_bytes_sent", "Bytes of these", |c| c.sent().bytes());
    traffic(
        "link_stanzas_received",
        "Stanzas from peers, again included",
        |c| c.received().stanzas(),
    );
    traffic("link_bytes_received", "Bytes of these", |c| {
        c.received().bytes()
    });
    let counters = Arc::clone(peers);
    let returned = move || {
        let of = |reason| counters.counters().returned(reason);
        ReturnReason::ALL
            .into_iter()
            .map(|reason| (reason.label().to_owned(), of(reason)))
            .collect()
    };
    let help = "Stanzas that links brought back, to be sent elsewhere or answered";
    metrics.counters("link_stanzas_returned", help, "reason", returned);
}
