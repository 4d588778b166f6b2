//! How a node that is no founder finds the cluster that is to take it in (`cluster.seeds`).

use crate::ClusterId;
use crate::formation::{Answer, Step};
use crate::join_error::JoinError;
use crate::pb::peer as pb;

/// What a node without a cluster does after its seeds have answered: it never forms one.
///
/// # Errors
///
/// When a seed belongs to another cluster, or two seeds to different ones.
pub(crate) fn next_step(
    own: &pb::HelloRequest,
    answers: &[(String, Answer)],
) -> Result<Step, JoinError> {
    let mut cluster: Option<(&str, ClusterId)> = None;
    let mut leader = None;
    for (address, answer) in others(own, answers) {
        if answer.cluster != own.cluster {
            return Err(JoinError::OtherCluster {
                address: address.to_owned(),
                theirs: answer.cluster.clone(),
                ours: own.cluster.clone(),
            });
        }
        if answer.cluster_id == 0 {
            continue;
        }
        let id = ClusterId(answer.cluster_id);
        match cluster {
            Some((first, first_id)) if first_id != id => {
                return Err(JoinError::TwoClusters {
                    first: first.to_owned(),
                    first_id,
                    second: address.to_owned(),
                    second_id: id,
                });
            }
            _ => cluster = Some((address, id)),
        }
        leader = leader.or_else(|| answer.leader.clone());
    }
    Ok(match (leader, cluster) {
        (Some(leader), _) => Step::AskLeader(leader),
        (None, Some((seed, _))) => Step::Wait(format!("{seed} knows no leader of the cluster")),
        (None, None) => Step::Wait(nobody(own, answers)),
    })
}

/// Those that have answered. All files of a deployment may name the same seeds: a node passes over
/// itself.
fn others<'a>(
    own: &pb::HelloRequest,
    answers: &'a [(String, Answer)],
) -> impl Iterator<Item = (&'a str, &'a pb::HelloResponse)> {
    let own = own.id;
    let reached = answers
        .iter()
        .filter_map(|(address, answer)| Some((address.as_str(), answer.as_ref().ok()?)));
    reached.filter(move |(_, answer)| answer.id != own)
}

/// Why no seed is of use.
fn nobody(own: &pb::HelloRequest, answers: &[(String, Answer)]) -> String {
    let reasons: Vec<String> = answers
        .iter()
        .filter_map(|(address, answer)| match answer {
            Ok(answer) if answer.id == own.id => None,
            Ok(_) => Some(format!("{address} belongs to no cluster yet")),
            Err(reason) => Some(format!("{address}: {reason}")),
        })
        .collect();
    if reasons.is_empty() {
        return "cluster.seeds names no other node: until \"switchyard cluster add\"".to_owned();
    }
    reasons.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: u64 = 1;

    fn own() -> pb::HelloRequest {
        pb::HelloRequest {
            cluster: "prod".to_owned(),
            id: ME,
            ..pb::HelloRequest::default()
        }
    }

    /// The answer of node `id`, in the cluster `cluster_id` (0: none).
    fn answer(id: u64, cluster_id: u64, leader: Option<u64>) -> (String, Answer) {
        let answer = pb::HelloResponse {
            cluster: "prod".to_owned(),
            id,
            cluster_id,
            leader: leader.map(member),
            ..pb::HelloResponse::default()
        };
        (format!("host{id}:1"), Ok(answer))
    }

    fn member(id: u64) -> pb::Member {
        pb::Member {
            id,
            ..pb::Member::default()
        }
    }

    fn waits_for(answers: &[(String, Answer)]) -> String {
        match next_step(&own(), answers) {
            Ok(Step::Wait(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn any_seed_that_knows_the_leader_will_do() {
        let silent = ("host2:1".to_owned(), Err("refused".to_owned()));
        let answers = [silent, answer(3, 9, None), answer(4, 9, Some(5))];
        let step = next_step(&own(), &answers).unwrap();
        assert_eq!(step, Step::AskLeader(member(5)));
    }

    #[test]
    fn a_node_with_seeds_waits_and_says_for_whom() {
        let silent = ("host2:1".to_owned(), Err("refused".to_owned()));
        let answers = [silent, answer(3, 0, None), answer(ME, 0, None)];
        let expected = "host2:1: refused; host3:1 belongs to no cluster yet";
        assert_eq!(waits_for(&answers), expected);
        let expected = "host3:1 knows no leader of the cluster";
        assert_eq!(waits_for(&[answer(3, 9, None)]), expected);
        for nobody in [&[][..], &[answer(ME, 0, None)]] {
            assert!(waits_for(nobody).contains("cluster add"));
        }
    }

    #[test]
    fn seeds_of_another_cluster_are_refused() {
        let (address, other) = answer(2, 9, Some(2));
        let other = other.map(|other| pb::HelloResponse {
            cluster: "test".to_owned(),
            ..other
        });
        let error = next_step(&own(), &[(address, other)]).unwrap_err();
        let expected = "host2:1 belongs to cluster \"test\", not \"prod\"";
        assert_eq!(error.to_string(), expected);
        let two = [answer(2, 9, Some(2)), answer(3, 8, Some(3))];
        let error = next_step(&own(), &two).unwrap_err();
        let expected = "cluster.seeds lead to two clusters of the same name: \
                        0000000000000009 at host2:1, 0000000000000008 at host3:1";
        assert_eq!(error.to_string(), expected);
    }
}
