//! Open files: how many the process may have, and how many of them connections may take.

use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::tls::MostConnections;

/// What is kept for everything else, at most: the data directory, links, and the other ports.
const RESERVE: u64 = 4096;
/// A smaller part of the limit is kept where the limit is low: one in so many.
const RESERVED_PART: u64 = 4;

/// How many connections there may be at once.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    /// Of components, on all listeners together.
    pub(super) components: Arc<Semaphore>,
    /// On `cluster.listen`.
    pub(super) peers: MostConnections,
    /// On `api.listen`.
    pub(super) api: MostConnections,
    /// On `http.listen`.
    pub(super) http: usize,
}

impl Budget {
    /// Raises the limit of open files as far as the process may, and shares it out. Says so where
    /// components get fewer connections than the configuration allows.
    pub(super) fn new(config: &Config) -> Self {
        let limit = raise();
        let budget = Self::within(limit);
        let connections = budget.components.available_permits();
        tracing::info!(open_files = ?limit, connections, "Connections that components may have in all");
        let wanted = config.listeners.iter().filter_map(|of| of.max_connections);
        let wanted = wanted.fold(0, usize::saturating_add);
        if wanted > connections {
            tracing::warn!(
                max_connections = wanted,
                connections,
                "The limit of open files allows fewer connections than max_connections: raise it \
                 (LimitNOFILE in systemd, ulimit -n)"
            );
        }
        budget
    }

    fn within(limit: Option<u64>) -> Self {
        let reserve = limit.map_or(RESERVE, |limit| (limit / RESERVED_PART).min(RESERVE));
        let components = limit.map_or(u64::MAX, |limit| limit - reserve);
        let part = |divisor| count(reserve / divisor).max(1);
        // Three sixteenths are left for the data directory and the links that this node opens.
        let port = MostConnections {
            ready: part(4),
            handshakes: part(8),
        };
        Self {
            components: Arc::new(Semaphore::new(count(components))),
            peers: port,
            api: port,
            http: part(16),
        }
    }
}

fn count(connections: u64) -> usize {
    usize::try_from(connections)
        .unwrap_or(usize::MAX)
        .min(Semaphore::MAX_PERMITS)
}

/// The hard limit, which is the soft one from here on; `None`: no limit.
fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "The limit of open files cannot be raised");
            limit.current
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components(limit: Option<u64>) -> usize {
        Budget::within(limit).components.available_permits()
    }

    #[test]
    fn connections_leave_descriptors_for_everything_else() {
        assert_eq!(components(Some(1024)), 768);
        assert_eq!(components(Some(20_000)), 15_904);
        assert_eq!(components(Some(u64::MAX)), Semaphore::MAX_PERMITS);
        assert_eq!(components(None), Semaphore::MAX_PERMITS);
    }

    #[test]
    fn the_other_ports_stay_within_what_is_kept_for_them() {
        for (limit, reserve) in [(1024, 256), (65_536, 4096), (u64::MAX, 4096)] {
            let Budget {
                peers, api, http, ..
            } = Budget::within(Some(limit));
            let of = |port: MostConnections| port.ready + port.handshakes;
            let all = of(peers) + of(api) + http;
            assert_eq!(all, reserve / 16 * 13, "{limit}");
        }
        let unlimited = Budget::within(None);
        assert_eq!((unlimited.api.ready, unlimited.http), (1024, 256));
    }
}
