use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, timeout};
use tonic::{Code, Status};

use crate::ClusterId;
use crate::config::Founder;
use crate::core::{Core, Leader};
use crate::dialer::PeerAddress;
use crate::join_error::JoinError;
use crate::pb::peer as pb;
use crate::progress::Progress;
use crate::raft::Member;
use crate::seeds;

/// What a founder or a seed says of itself; an error if it does not answer.
pub(crate) type Answer = Result<pb::HelloResponse, String>;

/// What a node without a cluster does next.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// Form the cluster of these founders.
    Initialise(BTreeMap<u64, Member>),
    /// Ask this leader to be taken in.
    AskLeader(pb::Member),
    /// Wait, for this reason.
    Wait(String),
}

const HELLO_TIMEOUT: Duration = Duration::from_secs(1);
const JOIN_TIMEOUT: Duration = Duration::from_secs(15);
/// Pause between two attempts: it grows from the first to the second.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Makes this node a member of its cluster: forms it with the other founders, or asks a running
/// one to take it in.
pub(crate) async fn become_member(core: &Core) -> Result<(), JoinError> {
    let mut progress = Progress::new("Waiting to become a member of the cluster");
    let mut asking = Asking::new(core.config.timings.lease);
    let mut pause = PAUSE;
    while !is_member(core).await? {
        match decide(core).await? {
            Step::Initialise(members) => initialise(core, members).await?,
            Step::AskLeader(leader) => match asking.judge(ask_leader(core, leader).await)? {
                None => tracing::info!("The cluster has taken this node in"),
                Some(reason) => progress.report(&reason),
            },
            Step::Wait(reason) => progress.report(&reason),
        }
        tokio::time::sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 5 / 4);
    }
    Ok(())
}

/// Asks to be taken in, and tells a refusal that may pass from one that stays.
#[derive(Debug)]
pub(crate) struct Asking {
    /// Longer than a former identity of this node may keep its name.
    patience: Duration,
    name_in_use_since: Option<Instant>,
}

impl Asking {
    pub(crate) fn new(lease: Duration) -> Self {
        Self {
            patience: lease * 3,
            name_in_use_since: None,
        }
    }

    /// Asks whoever leads as far as this node knows. Ok: taken in, or why not yet.
    pub(crate) async fn ask(&mut self, core: &Core) -> Result<Option<String>, JoinError> {
        let Some(Leader::Other { id, address }) = core.leader() else {
            return Ok(Some("no other leader is known".to_owned()));
        };
        let leader = pb::Member {
            id,
            name: core.name_of(id).unwrap_or_default(),
            address: address.to_string(),
        };
        self.judge(ask_leader(core, leader).await)
    }

    /// Ok: taken in, or why not yet.
    fn judge(&mut self, answer: Result<(), Status>) -> Result<Option<String>, JoinError> {
        let Err(status) = answer else {
            return Ok(None);
        };
        let reason = status.message().to_owned();
        match status.code() {
            Code::PermissionDenied => return Err(JoinError::Refused(reason)),
            // By this node's former identity, until its lease runs out; or by another node.
            Code::AlreadyExists => {
                let since = *self.name_in_use_since.get_or_insert_with(Instant::now);
                if since.elapsed() > self.patience {
                    return Err(JoinError::Refused(reason));
                }
            }
            _ => self.name_in_use_since = None,
        }
        Ok(Some(reason))
    }
}

/// True once Raft has a log or a vote: the node takes part in a cluster.
pub(crate) async fn is_member(core: &Core) -> Result<bool, JoinError> {
    let initialised = core.raft.is_initialized().await;
    let initialised =
        initialised.map_err(|error| JoinError::Storage(core.storage_failure(error)))?;
    Ok(initialised && core.cluster().is_some())
}

/// What this node says of itself.
pub(crate) fn hello(core: &Core) -> pb::HelloRequest {
    pb::HelloRequest {
        cluster: core.config.cluster.clone(),
        id: core.id().0,
        name: core.config.node.clone(),
        founders: founders(&core.config.founders()),
        cluster_id: core.cluster().map_or(0, |cluster| cluster.0),
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
        let peer = PeerAddress {
            address: founder.address.clone(),
            name: Some(founder.name.clone()),
        };
        let answer = ask(core, peer).await;
        (founder, answer)
    }))
    .await
}

async fn ask_all(
    core: &Core,
    addresses: impl IntoIterator<Item = String>,
) -> Vec<(String, Answer)> {
    join_all(addresses.into_iter().map(|address| async {
        let peer = PeerAddress {
            address: address.clone(),
            name: None,
        };
        let answer = ask(core, peer).await;
        (address, answer)
    }))
    .await
}

/// Asks `peer` who it is. Where connections prove names, one whose name was not known is asked
/// again by the name that it has given: what counts is the answer of the node of that name.
pub(crate) async fn ask(core: &Core, peer: PeerAddress) -> Answer {
    let is_known = peer.name.is_some();
    let address = peer.address.clone();
    let answer = ask_once(core, peer).await?;
    if is_known || !core.config.dialer.proves_names() {
        return Ok(answer);
    }
    let name = Some(answer.name);
    ask_once(core, PeerAddress { address, name }).await
}

async fn ask_once(core: &Core, peer: PeerAddress) -> Answer {
    let call = async {
        let mut client = core.client(peer)?;
        Ok::<_, Status>(client.hello(hello(core)).await?.into_inner())
    };
    match timeout(HELLO_TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(status)) => Err(status.message().to_owned()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

async fn decide(core: &Core) -> Result<Step, JoinError> {
    if let Some(configured) = &core.config.seeds {
        let answers = ask_all(core, configured.iter().cloned()).await;
        return seeds::next_step(&hello(core), &answers);
    }
    decide_as_founder(core, &ask_founders(core).await)
}

fn decide_as_founder(core: &Core, answers: &[(Founder, Answer)]) -> Result<Step, JoinError> {
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
    // A node that joined later, and has a founder's name and place by now, knows no founders.
    let joined_later = answer.founders.is_empty() && answer.cluster_id != 0;
    if !joined_later && answer.founders != own.founders {
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
            let random = core.environment.random();
            let random = random.map_err(|error| JoinError::Storage(error.to_string()))?;
            ClusterId(random.max(1))
        }
    };
    let adopted = core.identity.adopt(cluster).await;
    adopted.map_err(|status| JoinError::Storage(core.storage_failure(status.message())))?;
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
    let mut client = core.client(PeerAddress {
        address: leader.address,
        name: Some(leader.name).filter(|name| !name.is_empty()),
    })?;
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
