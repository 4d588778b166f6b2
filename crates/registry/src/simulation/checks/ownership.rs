use super::Check;
use crate::NodeId;
use crate::command::Name;
use crate::simulation::record::Sample;
use crate::table::Row;

/// A row belongs to a node that is joined, a node has one row for a name, and where one owner is
/// promised there is one.
#[derive(Debug, Default)]
pub(super) struct Ownership;

impl Check for Ownership {
    fn see(&mut self, sample: &Sample) -> Result<(), String> {
        let lives = |node| {
            let row = sample.table.node(node);
            row.is_some_and(|row| row.incarnation.is_some())
        };
        for (name, rows) in sample.table.names() {
            well_formed(name, rows, lives).map_err(|e| format!("node {}: {e}", sample.node))?;
        }
        Ok(())
    }
}

fn well_formed(name: &Name, rows: &[Row], lives: impl Fn(NodeId) -> bool) -> Result<(), String> {
    let domain = &name.domain;
    if let Some(dead) = rows.iter().find(|row| !lives(row.node)) {
        return Err(format!("{domain} is held by {}, which is gone", dead.node));
    }
    // Sorted, so that two of one node stand side by side.
    if rows.windows(2).any(|pair| pair[0].node >= pair[1].node) {
        return Err(format!("{domain} has two rows of one node"));
    }
    if rows.len() > 1 && rows.iter().any(|row| row.exclusive) {
        return Err(format!("{domain} has two owners where one is promised"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConnectionId;

    #[test]
    fn rows_of_the_dead_and_rows_in_excess_are_found() {
        let row = |node, connection| Row {
            node: NodeId(node),
            connection: ConnectionId(connection),
            hidden: false,
            exclusive: false,
        };
        let check = |rows: &[Row]| well_formed(&Name::least(), rows, |node| node != NodeId(9));
        check(&[row(1, 1), row(2, 1)]).unwrap();
        check(&[row(1, 1), row(1, 2)]).unwrap_err();
        check(&[row(1, 1), row(9, 1)]).unwrap_err();
        let owner = Row {
            exclusive: true,
            ..row(2, 1)
        };
        check(&[owner]).unwrap();
        check(&[row(1, 1), owner]).unwrap_err();
    }
}
