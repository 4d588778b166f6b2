use std::net::SocketAddr;
use std::sync::Arc;

use switchyard_listener::{ListenerMetrics, StreamCondition};

use super::Metrics;

/// The listeners that there are now: where each listens, and what it counts.
type Listeners = Arc<dyn Fn() -> Vec<(SocketAddr, Arc<ListenerMetrics>)> + Send + Sync>;

type Read = fn(&ListenerMetrics) -> u64;

/// Values that only grow: name, help, how to read it.
const COUNTERS: [(&str, &str, Read); 14] = [
    (
        "connections_accepted",
        "Connections accepted",
        ListenerMetrics::accepted,
    ),
    (
        "accept_errors",
        "Connections that the system failed to accept",
        ListenerMetrics::accept_errors,
    ),
    (
        "accept_pauses",
        "Times that accepting paused because there were as many connections as there may be",
        ListenerMetrics::full,
    ),
    (
        "proxy_headers_refused",
        "Connections without a valid PROXY protocol header where one must be",
        ListenerMetrics::proxy_refused,
    ),
    (
        "auth_failures",
        "Streams ended with not-authorized",
        ListenerMetrics::auth_failures,
    ),
    (
        "auth_failures_delayed",
        "Such streams whose end was held back because their source had failed often",
        ListenerMetrics::refusals_delayed,
    ),
    (
        "tls_handshake_failures",
        "Connections that ended because TLS could not be negotiated",
        ListenerMetrics::tls_handshake_failures,
    ),
    (
        "stanzas_in",
        "Stanzas read from components",
        ListenerMetrics::stanzas_in,
    ),
    (
        "bytes_in",
        "Bytes read from components",
        ListenerMetrics::bytes_in,
    ),
    (
        "stanzas_out",
        "Stanzas written to components",
        ListenerMetrics::stanzas_out,
    ),
    (
        "bytes_out",
        "Bytes written to components",
        ListenerMetrics::bytes_out,
    ),
    (
        "stanzas_invalid",
        "Stanzas that failed validation and were answered with an error",
        ListenerMetrics::stanza_errors,
    ),
    (
        "stanzas_invalid_unanswered",
        "Stanzas that failed validation and could not be answered",
        ListenerMetrics::faults_unanswered,
    ),
    (
        "stanzas_undelivered",
        "Stanzas queued for a component when its connection ended",
        ListenerMetrics::undelivered,
    ),
];

/// Values of the moment.
const GAUGES: [(&str, &str, Read); 3] = [
    (
        "connections",
        "Connections there are now",
        ListenerMetrics::connections,
    ),
    (
        "components",
        "Components connected to this node now",
        ListenerMetrics::components,
    ),
    (
        "shaper_paused_connections",
        "Connections that are not read now because of the shaper",
        ListenerMetrics::paused,
    ),
];

/// Adds what `listeners` count, labelled with where each listens.
pub(crate) fn add_listeners(
    metrics: &mut Metrics,
    listeners: impl Fn() -> Vec<(SocketAddr, Arc<ListenerMetrics>)> + Send + Sync + 'static,
) {
    let listeners: Listeners = Arc::new(listeners);
    for (name, help, read) in COUNTERS {
        metrics.counters(name, help, "listener", read_all(&listeners, read));
    }
    for (name, help, read) in GAUGES {
        metrics.gauges(name, help, "listener", read_all(&listeners, read));
    }
    let paused = Arc::clone(&listeners);
    metrics.seconds(
        "shaper_paused_seconds",
        "Time that connections were not read because of the shaper, added up",
        "listener",
        move || {
            let listeners = paused().into_iter();
            listeners
                .map(|(address, counted)| (address.to_string(), counted.paused_time()))
                .collect()
        },
    );
    let help = "Streams that a listener ended with an error";
    metrics.counters("stream_errors", help, "condition", move || {
        let listeners = listeners();
        let ended = |condition| {
            listeners
                .iter()
                .map(move |(_, l)| l.stream_errors(condition))
        };
        let conditions = StreamCondition::ALL.into_iter();
        conditions
            .map(|condition| (condition.as_str().to_owned(), ended(condition).sum()))
            .collect()
    });
}

fn read_all(
    listeners: &Listeners,
    read: Read,
) -> impl Fn() -> Vec<(String, u64)> + Send + Sync + 'static {
    let listeners = Arc::clone(listeners);
    move || {
        let values = listeners().into_iter();
        values
            .map(|(address, counted)| (address.to_string(), read(&counted)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listener_has_its_own_values() {
        let mut metrics = Metrics::new();
        let listener = |address: &str| (address.parse().unwrap(), Arc::default());
        add_listeners(&mut metrics, move || {
            ["127.0.0.1:8888", "[::1]:8888"].map(listener).into()
        });
        let page = metrics.encode().unwrap();
        for line in [
            "switchyard_stanzas_in_total{listener=\"127.0.0.1:8888\"} 0",
            "switchyard_components{listener=\"[::1]:8888\"} 0",
            "switchyard_shaper_paused_seconds_total{listener=\"[::1]:8888\"} 0.0",
            "switchyard_stream_errors_total{condition=\"not-well-formed\"} 0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }
}
