use super::Check;
use crate::simulation::record::Sample;

/// Who leads was voted for: its vote is committed, and names itself.
///
/// Two nodes may lead in one term: openraft orders votes by term and then by node, and who has
/// voted for one node may still vote for a higher one (its documents, `leader_id`). The lower
/// leader can commit nothing from then on, which is what [`super::agreement`] sees to.
#[derive(Debug, Default)]
pub(super) struct Leadership;

impl Check for Leadership {
    fn see(&mut self, sample: &Sample) -> Result<(), String> {
        let vote = sample.vote;
        let is_own = vote.is_committed() && vote.leader_id.voted_for() == Some(sample.id.0);
        if sample.leads && !is_own {
            return Err(format!("{} leads with the vote {vote}", sample.id));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample;
    use super::*;
    use crate::raft::Vote;

    #[test]
    fn a_leader_whom_nobody_has_elected_is_found() {
        let mut leader = sample(0, 1);
        leader.leads = true;
        leader.vote = Vote::new_committed(3, leader.id.0);
        Leadership.see(&leader).unwrap();
        leader.vote = Vote::new(3, leader.id.0);
        Leadership.see(&leader).unwrap_err();
        leader.vote = Vote::new_committed(3, leader.id.0 + 1);
        Leadership.see(&leader).unwrap_err();
    }
}
