use std::collections::BTreeMap;

use super::Check;
use crate::NodeId;
use crate::simulation::record::Sample;

/// Who was removed is gone for good: no later table has a life of it, or has forgotten that it was.
#[derive(Debug, Default)]
pub(super) struct Removal {
    /// The first revision known at which each was gone.
    since: BTreeMap<NodeId, u64>,
}

impl Check for Removal {
    fn see(&mut self, sample: &Sample) -> Result<(), String> {
        let revision = sample.applied.map_or(0, |applied| applied.index);
        for (id, _) in sample.table.removed() {
            let since = self.since.entry(id).or_insert(revision);
            *since = revision.min(*since);
        }
        let known = self.since.iter().filter(|(_, since)| **since <= revision);
        for (id, since) in known {
            let row = sample.table.node(*id);
            let lives = row.is_some_and(|row| row.incarnation.is_some());
            if lives || !sample.table.is_removed(*id) {
                return Err(format!(
                    "{id} was removed at {since} and is back at {revision}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{joined, sample};
    use super::*;
    use crate::command::Command;
    use crate::table::Delta;

    #[test]
    fn a_node_that_was_removed_and_lives_again_is_found() {
        let mut check = Removal::default();
        let mut before = sample(0, 5);
        before.table = joined(&[(2, 5)]);
        check.see(&before).unwrap();
        let mut table = (*before.table).clone();
        let removed = Command::NodeRemoved { node: NodeId(2) };
        table.apply(6, &removed, &mut Delta::new(6));
        let mut after = sample(1, 6);
        after.table = table.into();
        check.see(&after).unwrap();
        // One that lags behind brings nobody back.
        check.see(&before).unwrap();
        let mut back = sample(0, 7);
        back.table = joined(&[(2, 7)]);
        check.see(&back).unwrap_err();
    }
}
