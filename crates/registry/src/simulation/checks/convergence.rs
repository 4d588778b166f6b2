use std::collections::{BTreeMap, BTreeSet};

use crate::simulation::components::domain;
use crate::simulation::plan::Plan;
use crate::simulation::record::{Record, Sample};
use crate::{ConnectionId, Domain, NodeId};

type Rows = BTreeSet<(Domain, NodeId, ConnectionId)>;

/// Once the cluster is whole again and nobody comes or goes, every node is joined, every table is
/// the same, and it has what is connected and nothing else. The nodes are the members, without those
/// that were removed, and there are voters enough. Says what is missing.
pub(crate) fn converged(
    plan: &Plan,
    removed: &BTreeSet<usize>,
    last: &BTreeMap<usize, Sample>,
    record: &Record,
) -> Result<(), String> {
    let connected = connected(record);
    let nodes: BTreeSet<usize> = (0..plan.nodes)
        .filter(|node| !removed.contains(node))
        .collect();
    let ids: BTreeSet<u64> = nodes
        .iter()
        .filter_map(|node| record.identities.get(node))
        .map(|id| id.0)
        .collect();
    for node in nodes {
        let sample = last
            .get(&node)
            .ok_or_else(|| format!("node {node} has not been seen"))?;
        if sample.alive.is_none() || !sample.lease_runs {
            return Err(format!("node {node} is not joined"));
        }
        let held = held(sample);
        if held != connected {
            return Err(format!(
                "node {node} has {held:?}, connected are {connected:?}"
            ));
        }
        check_members(&ids, plan.voters, sample).map_err(|e| format!("node {node}: {e}"))?;
    }
    Ok(())
}

fn check_members(ids: &BTreeSet<u64>, voters: usize, sample: &Sample) -> Result<(), String> {
    if sample.members != *ids {
        return Err(format!("the members are {:?}, not {ids:?}", sample.members));
    }
    match &sample.voters[..] {
        [set] if set.len() >= voters.min(ids.len()) => Ok(()),
        sets => Err(format!("the voters are {sets:?}, wanted are {voters}")),
    }
}

fn connected(record: &Record) -> Rows {
    let connected = record.connected.iter();
    let rows = connected.filter_map(|((at, node), connection)| {
        let id = record.identities.get(node)?;
        Some((domain(*at), *id, *connection))
    });
    rows.collect()
}

fn held(sample: &Sample) -> Rows {
    let names = sample.table.names();
    let rows = names.flat_map(|(name, rows)| {
        rows.iter()
            .map(|row| (name.domain.clone(), row.node, row.connection))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample;
    use super::*;
    use std::time::Duration;

    use crate::Incarnation;

    /// Of one node, which has joined.
    fn whole() -> (Record, Sample) {
        let mut record = Record::default();
        let mut node = sample(0, 1);
        node.alive = Some(Incarnation(1));
        node.lease_runs = true;
        node.members = BTreeSet::from([node.id.0]);
        node.voters = vec![node.members.clone()];
        record.identities.insert(0, node.id);
        (record, node)
    }

    fn check(nodes: usize, record: &Record, node: &Sample) -> Result<(), String> {
        let mut plan = Plan::new(0, Duration::from_secs(1));
        (plan.nodes, plan.voters) = (nodes, 1);
        let last = BTreeMap::from([(0, node.clone())]);
        converged(&plan, &BTreeSet::new(), &last, record)
    }

    #[test]
    fn a_registration_that_is_lost_is_found() {
        let (mut record, mut node) = whole();
        check(1, &record, &node).unwrap();
        check(2, &record, &node).unwrap_err();
        record.connected.insert((0, 0), ConnectionId(1));
        check(1, &record, &node).unwrap_err();
        record.connected.clear();
        node.lease_runs = false;
        check(1, &record, &node).unwrap_err();
    }

    #[test]
    fn a_member_in_excess_and_a_voter_too_few_are_found() {
        let (record, mut node) = whole();
        node.members.insert(9);
        check(1, &record, &node).unwrap_err();
        node.members.remove(&9);
        node.voters.push(BTreeSet::new());
        check(1, &record, &node).unwrap_err();
        node.voters = vec![BTreeSet::new()];
        check(1, &record, &node).unwrap_err();
    }
}
