use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::ClusterId;
use crate::config::Founder;
use crate::core::Core;
use crate::pb::peer as pb;
use crate::progress::Progress;
use crate::raft::Member;

/// Why a node cannot become part of its cluster, ever, as things are configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// A founder was configured with another list of founders.
    #[error("{address} has another list of cluster.members: {theirs}; here: {ours}")]
    FoundersDiffer {
        /// The founder that was asked.
        address: String,
        /// Its list.
        theirs: String,
        /// This node's list.
        ours: String,
    },
    /// A founder's address leads to a node of another cluster.
    #[error("{address} belongs to cluster {theirs:?}, not {ours:?}")]
    OtherCluster {
        /// The founder that was asked.
        address: String,
        /// The name of its cluster.
        theirs: String,
        /// The name of this node's cluster.
        ours: String,
    },
    /// A founder's address leads to a node of another name.
    #[error("{address} is node {found:?}, not {expected:?}: cluster.members is wrong")]
    OtherNode {
        /// The founder that was asked.
        address: String,
        /// The name of the node there.
        found: String,
        /// The name it has in `cluster.members`.
        expected: String,
    },
    /// The cluster does not take this node in.
    #[error("the cluster refuses this node: {0}")]
    Refused(String),
    /// Another process with this node's identity has joined later.
    #[error("another process has joined with this node's identity")]
    Superseded,
    /// The node is leaving.
    #[error("the node is leaving the cluster")]
    Leaving,
    /// The disk or Raft has failed.
    #[error("the registry's storage has failed: {0}")]
    Storage(String),
}

/// What a founder says of itself; an error if it does not answer.
type Answer = Result<pb::HelloResponse, String>;

/// What a node without a cluster does next.
#[derive(Debug, PartialEq)]
enum Step {
    /// Form the cluster of these founders.
    Initialise(BTreeMap<u64, Member>),
    /// Ask this leader to be taken in.
    AskLeader(pb::Member),
    /// Wait, for this reason.
    Wait(String),
}

const HELLO_TIMEOUT: Duration = Duration::from_secs(1);
const JOIN_TIMEOUT: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(100);

/// Makes this node a member of its cluster: forms it with the other founders, or asks a running
/// one to take it in. Returns at once if the node is a member already.
pub(crate) async fn become_member(core: &Core) -> Result<(), JoinError> {
    let mut progress = Progress::new("Waiting for founders");
    loop {
        if is_member(core).await? {
            return Ok(());
        }
        match decide(core, &ask_founders(core).await)? {
            Step::Initialise(members) => initialise(core, members).await?,
            Step::AskLeader(leader) => match ask_leader(core, leader).await {
                Ok(()) => tracing::info!("The cluster has taken this node in"),
                Err(status) if status.code() == Code::PermissionDenied => {
                    return Err(JoinError::Refused(status.message().to_owned()));
                }
                Err(status) => progress.report(status.message()),
            },
            Step::Wait(reason) => progress.report(&reason),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// True once Raft has a log or a vote: the node takes part in a cluster.
pub(crate) async fn is_member(core: &Core) -> Result<bool, JoinError> {
    let initialised = core.raft.is_initialized().await;
    let initialised = initialised.map_err(|error| JoinError::Storage(error.to_string()))?;
    Ok(initialised && core.cluster().is_some())
}

/// Asks the founders who leads. A leader that does not know this node's new address cannot make
/// itself known to it.
pub(crate) async fn find_leader(core: &Core) {
    let answers = ask_founders(core).await;
    let answers = answers.into_iter().filter_map(|(_, answer)| answer.ok());
    let mut members = answers.filter(|answer| Some(ClusterId(answer.cluster_id)) == core.cluster());
    let leader = members.find_map(|answer| answer.leader);
    if let Some(leader) = leader.filter(|leader| leader.id != core.id().0) {
        core.hint_leader(leader.id, leader.address);
    }
}

/// What this node says of itself.
pub(crate) fn hello(core: &Core) -> pb::HelloRequest {
    pb::HelloRequest {
        cluster: core.config.cluster.clone(),
        id: core.id().0,
        name: core.config.node.clone(),
        founders: founders(&core.config.founders()),
    }
}

pub(crate) fn founders(founders: &[Founder]) -> Vec<pb::Founder> {
    let mut sorted = founders.to_vec();
    sorted.sort();
    let founders = sorted
        .into_iter()
        .map(|Founder { name, address }| pb::Founder { name, address });
    founders.collect()
}

async fn ask_founders(core: &Core) -> Vec<(Founder, Answer)> {
    let others = core.config.founders().into_iter();
    let others = others.filter(|founder| founder.name != core.config.node);
    join_all(others.map(|founder| async {
        let answer = ask_founder(core, &founder.address).await;
        (
            founder,
            answer.map_err(|status| status.message().to_owned()),
        )
    }))
    .await
}

async fn ask_founder(core: &Core, address: &str) -> Result<pb::HelloResponse, Status> {
    let mut client = core.client(address)?;
    match timeout(HELLO_TIMEOUT, client.hello(hello(core))).await {
        Ok(answer) => Ok(answer?.into_inner()),
        Err(_) => Err(Status::deadline_exceeded("no answer in time")),
    }
}

fn decide(core: &Core, answers: &[(Founder, Answer)]) -> Result<Step, JoinError> {
    let own = hello(core);
    for (founder, answer) in answers {
        if let Ok(answer) = answer {
            check_answer(&own, founder, answer)?;
        }
    }
    let is_first = core
        .config
        .founders()
        .first()
        .is_some_and(|first| first.name == core.config.node);
    let me = Member {
        name: own.name,
        address: core.config.advertise.clone(),
    };
    Ok(next_step((own.id, me), is_first, answers))
}

/// Sees that a founder means the same cluster as this node.
fn check_answer(
    own: &pb::HelloRequest,
    founder: &Founder,
    answer: &pb::HelloResponse,
) -> Result<(), JoinError> {
    let address = founder.address.clone();
    if answer.cluster != own.cluster {
        return Err(JoinError::OtherCluster {
            address,
            theirs: answer.cluster.clone(),
            ours: own.cluster.clone(),
        });
    }
    if answer.name != founder.name {
        return Err(JoinError::OtherNode {
            address,
            found: answer.name.clone(),
            expected: founder.name.clone(),
        });
    }
    if answer.founders != own.founders {
        return Err(JoinError::FoundersDiffer {
            address,
            theirs: list(&answer.founders),
            ours: list(&own.founders),
        });
    }
    Ok(())
}

fn list(founders: &[pb::Founder]) -> String {
    let items = founders
        .iter()
        .map(|founder| format!("{}={}", founder.name, founder.address));
    items.collect::<Vec<_>>().join(", ")
}

/// Only the first founder forms the cluster, and only when each of the others has said that it
/// belongs to none: two halves of the founders can never form two clusters.
fn next_step(me: (u64, Member), is_first: bool, answers: &[(Founder, Answer)]) -> Step {
    let reached = || {
        answers
            .iter()
            .filter_map(|(_, answer)| answer.as_ref().ok())
    };
    if reached().any(|answer| answer.cluster_id != 0) {
        let leader = reached().find_map(|answer| answer.leader.clone());
        return leader.map_or_else(
            || Step::Wait("the cluster has no leader".to_owned()),
            Step::AskLeader,
        );
    }
    let missing: Vec<String> = answers
        .iter()
        .filter_map(|(founder, answer)| {
            let reason = answer.as_ref().err()?;
            Some(format!("{} at {}: {reason}", founder.name, founder.address))
        })
        .collect();
    if !missing.is_empty() {
        return Step::Wait(missing.join("; "));
    }
    if !is_first {
        return Step::Wait("the first of cluster.members has not formed it yet".to_owned());
    }
    let others = answers.iter().filter_map(|(founder, answer)| {
        let member = Member {
            name: founder.name.clone(),
            address: founder.address.clone(),
        };
        Some((answer.as_ref().ok()?.id, member))
    });
    Step::Initialise(others.chain([me]).collect())
}

async fn initialise(core: &Core, members: BTreeMap<u64, Member>) -> Result<(), JoinError> {
    let cluster = match core.cluster() {
        // A former attempt ended between its two writes.
        Some(cluster) => cluster,
        None => {
            let random = getrandom::u64().map_err(|error| JoinError::Storage(error.to_string()))?;
            ClusterId(random.max(1))
        }
    };
    let adopted = core.identity.adopt(cluster).await;
    adopted.map_err(|status| JoinError::Storage(status.message().to_owned()))?;
    tracing::info!(%cluster, founders = members.len(), "Forming the cluster");
    // Refused if a leader was faster, which then knows this node.
    if let Err(error) = core.raft.initialize(members).await {
        tracing::debug!(%error, "Cluster not formed");
    }
    Ok(())
}

async fn ask_leader(core: &Core, leader: pb::Member) -> Result<(), Status> {
    let request = pb::JoinRequest {
        cluster: core.config.cluster.clone(),
        node: Some(pb::Member {
            id: core.id().0,
            name: core.config.node.clone(),
            address: core.config.advertise.clone(),
        }),
        to: leader.id,
    };
    let mut client = core.client(&leader.address)?;
    let answer = timeout(JOIN_TIMEOUT, client.join(request)).await;
    let answer = answer.map_err(|_| Status::deadline_exceeded("no answer in time"))??;
    core.identity
        .adopt(ClusterId(answer.into_inner().cluster_id))
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn founder(number: u64) -> Founder {
        Founder {
            name: format!("n{number}"),
            address: format!("host{number}:1"),
        }
    }

    fn member(number: u64) -> Member {
        let Founder { name, address } = founder(number);
        Member { name, address }
    }

    /// The answer of founder `number`, in the cluster `cluster_id` (0: none).
    fn answer(number: u64, cluster_id: u64, leader: Option<u64>) -> (Founder, Answer) {
        let answer = pb::HelloResponse {
            id: number,
            name: founder(number).name,
            cluster_id,
            leader: leader.map(leader_of),
            ..pb::HelloResponse::default()
        };
        (founder(number), Ok(answer))
    }

    fn leader_of(id: u64) -> pb::Member {
        pb::Member {
            id,
            name: String::new(),
            address: founder(id).address,
        }
    }

    fn silent(number: u64) -> (Founder, Answer) {
        (founder(number), Err("refused".to_owned()))
    }

    #[test]
    fn only_the_first_founder_forms_a_cluster_and_only_of_all() {
        let me = || (1, member(1));
        let all = [answer(2, 0, None), answer(3, 0, None)];
        let members = (1..4).map(|number| (number, member(number))).collect();
        assert_eq!(next_step(me(), true, &all), Step::Initialise(members));
        let waits = |step| matches!(step, Step::Wait(_));
        assert!(waits(next_step(me(), false, &all)));
        let missing = [answer(2, 0, None), silent(3)];
        assert_eq!(
            next_step(me(), true, &missing),
            Step::Wait("n3 at host3:1: refused".to_owned())
        );
        let alone = BTreeMap::from([me()]);
        assert_eq!(next_step(me(), true, &[]), Step::Initialise(alone));
    }

    #[test]
    fn a_node_without_data_never_forms_a_second_cluster() {
        let me = || (1, member(1));
        let led = [answer(2, 9, Some(3)), answer(3, 9, Some(3))];
        assert_eq!(next_step(me(), true, &led), Step::AskLeader(leader_of(3)));
        // One member is enough to tell, though the rest be silent or as new as this one.
        for other in [silent(3), answer(3, 0, None)] {
            let step = next_step(me(), true, &[answer(2, 9, None), other]);
            assert!(matches!(step, Step::Wait(_)), "{step:?}");
        }
    }
}
