use std::collections::BTreeSet;

use openraft::RaftMetrics;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Chronicle, News, View, news};
use crate::core::Core;
use crate::raft::Member;
use crate::{Incarnation, NodeId};

type Metrics = RaftMetrics<u64, Member>;

/// Writes the chronicle from this node's first life on: what it catches up with before that is no
/// news. Ends with the table.
pub(crate) async fn follow(core: Core, mut alive: watch::Receiver<Option<Incarnation>>) {
    let Ok(Some(incarnation)) = alive.wait_for(Option::is_some).await.map(|alive| *alive) else {
        return;
    };
    let mut metrics = core.raft.metrics();
    let mut quorum = core.quorum.subscribe();
    let (joined, mut deltas) = core.replica.read_and_subscribe(|state| {
        let nodes = state.table.nodes();
        let joined = nodes.filter(|(_, row)| row.incarnation.is_some());
        joined.map(|(id, _)| id).collect()
    });
    let mut key = Key::of(&core, &metrics.borrow_and_update());
    let view = view(&core, &metrics.borrow());
    log_overview(core.id(), incarnation, &view, &joined);
    let mut chronicle = Chronicle::new(core.id(), view, joined);
    loop {
        let news = tokio::select! {
            delta = deltas.recv() => match delta {
                Ok(delta) => chronicle.see_table(&delta),
                Err(RecvError::Lagged(_)) => Vec::new(),
                Err(RecvError::Closed) => return,
            },
            changed = either(&mut metrics, &mut quorum) => {
                if changed.is_err() {
                    return;
                }
                let metrics = metrics.borrow_and_update().clone();
                let now = Key::of(&core, &metrics);
                if now == key {
                    continue;
                }
                key = now;
                chronicle.see_cluster(self::view(&core, &metrics), Instant::now())
            }
        };
        news.iter().for_each(News::log);
    }
}

async fn either(
    metrics: &mut watch::Receiver<Metrics>,
    quorum: &mut watch::Receiver<bool>,
) -> Result<(), RecvError> {
    let changed = tokio::select! {
        changed = metrics.changed() => changed,
        changed = quorum.changed() => changed,
    };
    changed.map_err(|_| RecvError::Closed)
}

/// What there is to tell changes with this alone; metrics change with every entry of the log.
#[derive(PartialEq, Eq)]
struct Key {
    leader: Option<u64>,
    term: u64,
    membership: Option<openraft::LogId<u64>>,
    is_quorum_lost: bool,
}

impl Key {
    fn of(core: &Core, metrics: &Metrics) -> Self {
        Self {
            leader: metrics.current_leader,
            term: metrics.current_term,
            membership: *metrics.membership_config.log_id(),
            is_quorum_lost: core.quorum.is_lost(),
        }
    }
}

fn view(core: &Core, metrics: &Metrics) -> View {
    let membership = metrics.membership_config.membership();
    let voters: BTreeSet<NodeId> = membership.voter_ids().map(NodeId).collect();
    let is_silent = |id: &NodeId| *id != core.id() && core.peers.is_unreachable(id.0);
    let leader = metrics.current_leader.map(NodeId);
    View {
        names: membership
            .nodes()
            .map(|(id, member)| (NodeId(*id), member.name.as_str().into()))
            .collect(),
        silent: voters.iter().copied().filter(is_silent).collect(),
        voters,
        leader: leader.map(|leader| (leader, metrics.current_term)),
        is_quorum_lost: core.quorum.is_lost(),
    }
}

fn log_overview(own: NodeId, incarnation: Incarnation, view: &View, joined: &BTreeSet<NodeId>) {
    let leader = view.leader.map(|(id, _)| view.name(id));
    let up = view.names_of(joined.iter());
    let down = view.names.keys().filter(|id| !joined.contains(id));
    tracing::info!(
        id = %own,
        %incarnation,
        role = news::role(view.voters.contains(&own)),
        leader = leader.as_deref(),
        up,
        down = view.names_of(down),
        "Joined the cluster"
    );
}
