use std::collections::BTreeMap;
use std::time::Duration;

use super::Check;
use crate::simulation::node::TICK;
use crate::simulation::record::Sample;
use crate::{Incarnation, NodeId};

/// A node that the cluster has given up knows it first: when its life has ended in anybody's table,
/// its lease does not run any more.
#[derive(Debug, Default)]
pub(super) struct Fencing {
    /// The present life of each node as the furthest table has it, and since when.
    lives: BTreeMap<NodeId, (u64, Option<Incarnation>, Duration)>,
}

/// Looks of different nodes are that far apart in time at most.
const SKEW: Duration = Duration::from_millis(2 * TICK.as_millis() as u64);

impl Check for Fencing {
    fn see(&mut self, sample: &Sample) -> Result<(), String> {
        self.note(sample);
        let (true, Some(alive)) = (sample.lease_runs, sample.alive) else {
            return Ok(());
        };
        match self.lives.get(&sample.id) {
            Some((revision, life, since))
                if *life != Some(alive) && *revision > alive.0 && sample.at > *since + SKEW =>
            {
                Err(format!(
                    "node {} has a lease for {alive}, given up at log index {revision}",
                    sample.node
                ))
            }
            _ => Ok(()),
        }
    }
}

impl Fencing {
    fn note(&mut self, sample: &Sample) {
        let revision = sample.applied.map_or(0, |applied| applied.index);
        for (id, row) in sample.table.nodes() {
            let known = self
                .lives
                .entry(id)
                .or_insert((revision, row.incarnation, sample.at));
            if revision > known.0 && known.1 != row.incarnation {
                *known = (revision, row.incarnation, sample.at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{joined, sample};
    use super::*;

    #[test]
    fn a_lease_that_outlives_its_life_is_found() {
        let mut check = Fencing::default();
        let mut own = sample(0, 5);
        own.table = joined(&[(own.id.0, 5)]);
        own.alive = Some(Incarnation(5));
        own.lease_runs = true;
        check.see(&own).unwrap();
        // Another node has seen it end.
        let mut other = sample(1, 9);
        other.at += TICK;
        other.table = joined(&[(own.id.0, 0)]);
        check.see(&other).unwrap();
        own.at += 2 * TICK;
        check.see(&own).unwrap();
        own.at += 2 * TICK;
        check.see(&own).unwrap_err();
        own.lease_runs = false;
        check.see(&own).unwrap();
    }

    #[test]
    fn a_table_that_lags_behind_ends_no_life() {
        let mut check = Fencing::default();
        let mut own = sample(0, 9);
        own.table = joined(&[(own.id.0, 9)]);
        own.alive = Some(Incarnation(9));
        own.lease_runs = true;
        check.see(&own).unwrap();
        let mut behind = sample(1, 6);
        behind.table = joined(&[(own.id.0, 5)]);
        check.see(&behind).unwrap();
        own.at += 9 * TICK;
        check.see(&own).unwrap();
    }
}
