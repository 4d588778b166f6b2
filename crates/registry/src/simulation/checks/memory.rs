use std::collections::BTreeMap;

use super::Check;
use crate::raft::Vote;
use crate::simulation::record::Sample;
use crate::{Incarnation, NodeId};

/// A node never goes back: not in its votes and its lives, though it be restarted, and not in its
/// table while it runs.
#[derive(Debug, Default)]
pub(super) struct Memory {
    votes: BTreeMap<NodeId, Vote>,
    lives: BTreeMap<NodeId, Incarnation>,
    applied: BTreeMap<(NodeId, u32), u64>,
}

impl Check for Memory {
    fn see(&mut self, sample: &Sample) -> Result<(), String> {
        let node = sample.node;
        let vote = self.votes.entry(sample.id).or_insert(sample.vote);
        // A vote for another in the same term is as bad as one in a term before.
        if vote.leader_id > sample.vote.leader_id {
            return Err(format!("node {node} voted {vote}, then {}", sample.vote));
        }
        *vote = sample.vote;
        if let Some(alive) = sample.alive {
            let life = self.lives.entry(sample.id).or_insert(alive);
            if *life > alive {
                return Err(format!("node {node} lived in {life}, then in {alive}"));
            }
            *life = alive;
        }
        let revision = sample.applied.map_or(0, |applied| applied.index);
        let run = (sample.id, sample.boot);
        let applied = self.applied.entry(run).or_insert(revision);
        if *applied > revision {
            return Err(format!(
                "node {node} went from {applied} back to {revision}"
            ));
        }
        *applied = revision;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample;
    use super::*;

    #[test]
    fn a_vote_that_is_forgotten_is_found() {
        let mut check = Memory::default();
        let mut node = sample(0, 1);
        node.vote = Vote::new(3, 1);
        check.see(&node).unwrap();
        node.vote = Vote::new_committed(3, 1);
        check.see(&node).unwrap();
        node.boot += 1;
        node.vote = Vote::new(2, 1);
        check.see(&node).unwrap_err();
    }

    #[test]
    fn a_table_goes_back_at_a_restart_only() {
        let mut check = Memory::default();
        check.see(&sample(0, 7)).unwrap();
        check.see(&sample(0, 6)).unwrap_err();
        let mut restarted = sample(0, 6);
        restarted.boot += 1;
        check.see(&restarted).unwrap();
    }

    #[test]
    fn an_earlier_life_does_not_come_back() {
        let mut check = Memory::default();
        let mut node = sample(0, 7);
        node.alive = Some(Incarnation(7));
        check.see(&node).unwrap();
        node.boot += 1;
        node.alive = Some(Incarnation(3));
        check.see(&node).unwrap_err();
    }
}
