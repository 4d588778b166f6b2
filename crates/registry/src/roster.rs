use std::collections::{BTreeMap, BTreeSet};

/// The members of the cluster as their leader knows them, and what should become of them.
///
/// Sans-IO.
#[derive(Debug, Clone, Default)]
pub(crate) struct Roster {
    pub(crate) members: BTreeMap<u64, Entry>,
    /// A change of the voters was begun and is not finished: its leader has gone meanwhile.
    pub(crate) is_joint: bool,
}

/// One member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) is_voter: bool,
    /// It is in a life and its lease runs.
    pub(crate) is_alive: bool,
    /// An operator has taken it out of service.
    pub(crate) is_drained: bool,
    /// Its identity never comes back.
    pub(crate) is_removed: bool,
    /// Entries of the log that it has not acknowledged yet; none: it has acknowledged nothing.
    pub(crate) lag: Option<u64>,
}

/// What a leader does by itself, one thing at a time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Upkeep {
    /// Finish a change of voters that another leader has begun.
    FinishChange,
    /// Take a node out that was removed.
    Remove(u64),
    /// Make a voter of a learner.
    Promote(u64),
}

/// A member must not go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it is the only voter: nobody would be left to lead")]
    LastVoter,
    #[error(
        "of the {voters} voters that would be left only {alive} answer, which is no majority \
         (not alive: {dead}); remove the dead ones first, or start them again"
    )]
    NoMajority {
        voters: usize,
        alive: usize,
        dead: String,
    },
}

/// Entries by which a member may lag and count as caught up: it has them in a moment.
pub(crate) const CAUGHT_UP: u64 = 100;

impl Entry {
    /// It would make a good voter.
    pub(crate) fn is_fit(&self) -> bool {
        self.is_alive && !self.is_removed && self.lag.is_some_and(|lag| lag <= CAUGHT_UP)
    }
}

impl Roster {
    pub(crate) fn voters(&self) -> BTreeSet<u64> {
        let voters = self.members.iter().filter(|(_, entry)| entry.is_voter);
        voters.map(|(id, _)| *id).collect()
    }

    /// The id of a node that is given by its name or its id.
    pub(crate) fn find(&self, node: &str) -> Option<u64> {
        let by_name = self.members.iter().find(|(_, entry)| entry.name == node);
        let by_id = || node.parse().ok().filter(|id| self.members.contains_key(id));
        by_name.map(|(id, _)| *id).or_else(by_id)
    }

    /// The names of all members, for people.
    pub(crate) fn names(&self) -> String {
        let names: BTreeSet<&str> = self.members.values().map(|entry| &*entry.name).collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// What is to be done to have `target` voters and nobody who was removed.
    pub(crate) fn upkeep(&self, target: usize) -> Option<Upkeep> {
        if self.is_joint {
            return Some(Upkeep::FinishChange);
        }
        let removed = self.members.iter().find(|(_, entry)| entry.is_removed);
        if let Some((id, _)) = removed {
            return Some(Upkeep::Remove(*id));
        }
        self.next_voter(self.voters().len(), target)
            .map(Upkeep::Promote)
    }

    /// The first of the learners that are fit, in the order of their ids, while there are fewer
    /// than `target` voters. An operator who drains a node is about to stop it.
    fn next_voter(&self, voters: usize, target: usize) -> Option<u64> {
        if voters >= target {
            return None;
        }
        let mut learners = self.members.iter().filter(|(_, entry)| !entry.is_voter);
        learners
            .find(|(_, entry)| entry.is_fit() && !entry.is_drained)
            .map(|(id, _)| *id)
    }

    /// The voters without the member `id`: another takes its place in the same step if there is
    /// one. None: `id` does not vote.
    ///
    /// # Errors
    ///
    /// When no majority of them is alive.
    pub(crate) fn without(&self, id: u64, target: usize) -> Result<Option<BTreeSet<u64>>, Refusal> {
        let mut voters = self.voters();
        if !voters.remove(&id) {
            return Ok(None);
        }
        voters.extend(self.next_voter(voters.len(), target));
        if voters.is_empty() {
            return Err(Refusal::LastVoter);
        }
        let dead: Vec<&str> = voters
            .iter()
            .filter_map(|id| self.members.get(id))
            .filter(|entry| !entry.is_alive)
            .map(|entry| entry.name.as_str())
            .collect();
        let alive = voters.len() - dead.len();
        if alive <= voters.len() / 2 {
            return Err(Refusal::NoMajority {
                voters: voters.len(),
                alive,
                dead: dead.join(", "),
            });
        }
        Ok(Some(voters))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Voters (`V`, dead: `v`) and learners (`L`, dead: `l`) with ids from 1.
    fn roster(members: &str) -> Roster {
        let entry = |kind: char| Entry {
            name: String::new(),
            is_voter: kind.eq_ignore_ascii_case(&'v'),
            is_alive: kind.is_uppercase(),
            lag: Some(0),
            ..Entry::default()
        };
        let members = (1..).zip(members.chars().map(entry));
        let named = members.map(|(id, entry)| {
            let name = format!("n{id}");
            (id, Entry { name, ..entry })
        });
        Roster {
            members: named.collect(),
            is_joint: false,
        }
    }

    #[test]
    fn learners_are_promoted_in_order_while_voters_are_few() {
        assert_eq!(roster("VLL").upkeep(3), Some(Upkeep::Promote(2)));
        assert_eq!(roster("VVlL").upkeep(3), Some(Upkeep::Promote(4)));
        assert_eq!(roster("VVVLL").upkeep(3), None);
        assert_eq!(roster("VVVVVL").upkeep(3), None, "nobody is demoted");
        assert_eq!(roster("VVl").upkeep(3), None);
    }

    #[test]
    fn only_who_has_caught_up_and_stays_is_promoted() {
        type Change = fn(&mut Entry);
        let unfit: [Change; 4] = [
            |entry| entry.lag = None,
            |entry| entry.lag = Some(CAUGHT_UP + 1),
            |entry| entry.is_drained = true,
            |entry| entry.is_alive = false,
        ];
        for change in unfit {
            let mut roster = roster("VL");
            change(roster.members.get_mut(&2).unwrap());
            assert_eq!(roster.upkeep(3), None, "{roster:?}");
        }
    }

    #[test]
    fn what_a_former_leader_left_unfinished_comes_first() {
        let mut roster = roster("VVL");
        roster.members.get_mut(&2).unwrap().is_removed = true;
        assert_eq!(roster.upkeep(3), Some(Upkeep::Remove(2)));
        roster.is_joint = true;
        assert_eq!(roster.upkeep(3), Some(Upkeep::FinishChange));
    }

    #[test]
    fn a_learner_takes_the_place_of_a_voter_that_goes() {
        let after = |members, id| roster(members).without(id, 3);
        assert_eq!(after("VVV", 3), Ok(Some(BTreeSet::from([1, 2]))));
        assert_eq!(after("VVVL", 3), Ok(Some(BTreeSet::from([1, 2, 4]))));
        assert_eq!(after("VVvL", 3), Ok(Some(BTreeSet::from([1, 2, 4]))));
        assert_eq!(after("VVVL", 4), Ok(None));
        // With two dead of five, the living make room for themselves.
        assert_eq!(after("VVVvv", 5), Ok(Some(BTreeSet::from([1, 2, 3, 4]))));
    }

    #[test]
    fn nobody_is_removed_whom_a_majority_needs() {
        let refused = |members, id| roster(members).without(id, 3).unwrap_err();
        assert_eq!(refused("V", 1), Refusal::LastVoter);
        let expected = Refusal::NoMajority {
            voters: 2,
            alive: 1,
            dead: "n3".to_owned(),
        };
        assert_eq!(refused("VVv", 1), expected);
        assert_eq!(refused("VVvl", 1), expected);
        // A learner that is alive saves the day.
        assert!(roster("VVvL").without(1, 3).is_ok());
    }

    #[test]
    fn a_node_is_found_by_name_or_id() {
        let roster = roster("VL");
        assert_eq!(roster.find("n2"), Some(2));
        assert_eq!(roster.find("2"), Some(2));
        assert_eq!(roster.find("3"), None);
        assert_eq!(roster.names(), "n1, n2");
    }
}
