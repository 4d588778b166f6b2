use std::collections::BTreeMap;
use std::rc::Rc;

use super::Check;
use crate::raft::LogId;
use crate::simulation::record::Sample;
use crate::table::Table;

/// Whoever has applied the same log index has the same entry there and the same table: no
/// committed entry is lost, changed or applied differently, by anybody, ever.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    tables: BTreeMap<u64, (LogId, Rc<Table>)>,
    /// What each node had when it was seen last: compared already.
    seen: BTreeMap<usize, (LogId, Rc<Table>)>,
}

impl Check for Agreement {
    fn see(&mut self, sample: &Sample) -> Result<(), String> {
        let Some(applied) = sample.applied else {
            return Ok(());
        };
        let now = (applied, Rc::clone(&sample.table));
        let last = self.seen.insert(sample.node, now);
        if last.is_some_and(|last| last.0 == applied && Rc::ptr_eq(&last.1, &sample.table)) {
            return Ok(());
        }
        let seen = self
            .tables
            .entry(applied.index)
            .or_insert_with(|| (applied, Rc::clone(&sample.table)));
        if seen.0 != applied {
            return Err(format!("{applied} was committed, and so was {}", seen.0));
        }
        if seen.1 != sample.table {
            return Err(format!(
                "two tables at {applied}: {:?} and {:?}",
                seen.1, sample.table
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{joined, log_id, sample};
    use super::*;

    #[test]
    fn two_tables_at_one_index_are_found() {
        let mut check = Agreement::default();
        let mut first = sample(0, 1);
        first.table = joined(&[(1, 5)]);
        check.see(&first).unwrap();
        let mut second = sample(1, 1);
        second.table = joined(&[(1, 5)]);
        check.see(&second).unwrap();
        second.table = joined(&[(1, 6)]);
        check.see(&second).unwrap_err();
    }

    #[test]
    fn two_entries_at_one_index_are_found() {
        let mut check = Agreement::default();
        check.see(&sample(0, 1)).unwrap();
        let mut second = sample(1, 1);
        second.applied = Some(log_id(2, 1));
        check.see(&second).unwrap_err();
    }
}
