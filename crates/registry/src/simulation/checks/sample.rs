//! Samples that nobody took, for the tests of the checks.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use openraft::CommittedLeaderId;

use crate::command::Command;
use crate::raft::{LogId, Vote};
use crate::simulation::record::Sample;
use crate::table::{Delta, Table};
use crate::{Incarnation, NodeId};

/// A follower that has applied the log up to `index`, into an empty table.
pub(super) fn sample(node: usize, index: u64) -> Sample {
    Sample {
        at: Duration::from_secs(1),
        node,
        boot: 1,
        id: NodeId(node as u64 + 1),
        vote: Vote::default(),
        leads: false,
        applied: Some(log_id(1, index)),
        table: Rc::default(),
        alive: None,
        lease_runs: false,
        members: BTreeSet::new(),
        voters: Vec::new(),
    }
}

pub(super) fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term, 1), index)
}

/// A table of nodes in the lives given; 0: it has ended.
pub(super) fn joined(nodes: &[(u64, u64)]) -> Rc<Table> {
    let mut table = Table::default();
    for (id, incarnation) in nodes {
        let life = (*incarnation).max(1);
        let node = NodeId(*id);
        let joined = Command::NodeJoined {
            node,
            name: format!("n{id}"),
            address: String::new(),
            boot: life,
        };
        table.apply(life, &joined, &mut Delta::new(life));
        if *incarnation == 0 {
            let incarnation = Incarnation(life);
            let left = Command::NodeLeft { node, incarnation };
            table.apply(life + 1, &left, &mut Delta::new(life + 1));
        }
    }
    table.into()
}
