use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::config::Config;
use crate::core::Core;
use crate::data_dir::{DataDir, OpenError, corrupted, snapshot_error};
use crate::environment::Environment;
use crate::identity::Identity;
use crate::quorum::Quorum;
use crate::raft::{Channels, LogStore, Network, Raft, StateMachine};
use crate::replica::Replica;

impl Core {
    /// Opens the data directory and starts Raft from it, without standing for election.
    pub(crate) async fn open(
        config: Config,
        environment: Arc<dyn Environment>,
    ) -> Result<Self, OpenError> {
        let path = config.data_dir.clone();
        let io_error = |error| OpenError::Io {
            path: path.clone(),
            error,
        };
        // The registry does nothing else yet, so there is nobody whom blocking would hold up.
        let dir = DataDir::open(&path, &config.cluster, &config.node, &*environment)?;
        let saved = dir.log.cluster();
        let saved = saved.map_err(|error| corrupted(&path, error.to_string()))?;
        let cluster = Arc::new(AtomicU64::new(saved.unwrap_or(0)));
        let purged = dir.log.purged();
        let replica = Arc::new(Replica::new());
        let machine = StateMachine::open(
            Arc::clone(&replica),
            dir.snapshot,
            Arc::clone(&cluster),
            Arc::clone(&environment),
        )
        .map_err(|error| snapshot_error(&path, error))?;
        if purged > replica.read(|state| state.applied) {
            let detail = "it is older than the log, or missing";
            return Err(corrupted(&path.join("snapshot"), detail));
        }
        let store = if environment.has_threads() {
            LogStore::start(dir.log, dir.lock).map_err(io_error)?
        } else {
            LogStore::inline(dir.log, dir.lock)
        };
        let identity = Arc::new(Identity::new(dir.node, cluster, store.clone()));
        let channels = Arc::new(Channels::new(Arc::clone(&config.dialer)));
        let network = Network::new(
            Arc::clone(&channels),
            Arc::clone(&identity),
            Arc::clone(&replica),
        );
        let peers = network.peers();
        let raft_config = raft_config(&config).map_err(|detail| OpenError::Start {
            path: path.clone(),
            detail,
        })?;
        let raft = Raft::new(dir.node.0, raft_config, network, store.clone(), machine).await;
        let raft = raft.map_err(|error| OpenError::Start {
            path: path.clone(),
            detail: error.to_string(),
        })?;
        Ok(Self {
            identity,
            replica,
            quorum: Quorum::new(raft.clone(), config.timings, Arc::clone(&peers)),
            config: Arc::new(config),
            environment,
            raft,
            channels,
            store,
            hint: Arc::default(),
            peers,
            drained: Arc::default(),
            fatal: Arc::default(),
        })
    }
}

fn raft_config(config: &Config) -> Result<Arc<openraft::Config>, String> {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let timings = config.timings;
    let raft = openraft::Config {
        cluster_name: config.cluster.clone(),
        heartbeat_interval: millis(timings.heartbeat),
        election_timeout_min: millis(timings.election_min),
        election_timeout_max: millis(timings.election_max),
        install_snapshot_timeout: millis(timings.snapshot),
        snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(timings.snapshot_entries),
        max_in_snapshot_log_to_keep: timings.snapshot_entries / 5,
        // A follower that lags further gets a snapshot instead of entries.
        replication_lag_threshold: timings.snapshot_entries.saturating_mul(2),
        // Until `join`.
        enable_elect: false,
        ..openraft::Config::default()
    };
    raft.validate()
        .map(Arc::new)
        .map_err(|error| error.to_string())
}
