//! The table against a model that says the rules in the plainest way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::{Change, Delta, NodeRow, Row, Table};
use crate::command::{Changes, Command, Name, RowChange};
use crate::{Claim, ConnectionId, Domain, Incarnation, NodeId, Registration};

/// A row as a tuple: name, node, incarnation, connection, hidden, exclusive.
type Fact = (Name, u64, u64, u64, bool, bool);

#[derive(Debug, Clone, Default)]
struct Model {
    nodes: BTreeMap<u64, ModelNode>,
    facts: BTreeSet<Fact>,
    removed: BTreeSet<u64>,
}

#[derive(Debug, Clone, PartialEq)]
struct ModelNode {
    name: String,
    boot: u64,
    incarnation: Option<u64>,
    sequence: u64,
}

impl Model {
    fn apply(&mut self, index: u64, command: &Command) {
        match command {
            Command::NodeJoined {
                node, name, boot, ..
            } => self.join(index, node.0, name, *boot),
            Command::NodeLeft { node, incarnation }
            | Command::NodeExpired { node, incarnation } => {
                let current = self.nodes.get(&node.0).and_then(|node| node.incarnation);
                if current == Some(incarnation.0) {
                    self.facts.retain(|fact| fact.1 != node.0);
                    self.nodes.get_mut(&node.0).unwrap().incarnation = None;
                }
            }
            Command::NodeRemoved { node } => self.remove(node.0),
            Command::Changes(changes) => self.change(changes),
        }
    }

    fn join(&mut self, index: u64, node: u64, name: &str, boot: u64) {
        let older = |known: &ModelNode| known.boot >= boot;
        if self.removed.contains(&node) || self.nodes.get(&node).is_some_and(older) {
            return;
        }
        let gone: Vec<u64> = self
            .nodes
            .iter()
            .filter(|(id, known)| **id != node && known.name == name)
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            self.remove(id);
        }
        self.facts.retain(|fact| fact.1 != node);
        let joined = ModelNode {
            name: name.to_owned(),
            boot,
            incarnation: Some(index),
            sequence: 0,
        };
        self.nodes.insert(node, joined);
    }

    fn remove(&mut self, node: u64) {
        self.nodes.remove(&node);
        self.facts.retain(|fact| fact.1 != node);
        self.removed.insert(node);
    }

    fn change(&mut self, changes: &Changes) {
        let (node, incarnation) = (changes.node.0, changes.incarnation.0);
        let Some(known) = self.nodes.get_mut(&node) else {
            return;
        };
        if known.incarnation != Some(incarnation) || known.sequence >= changes.sequence {
            return;
        }
        known.sequence = changes.sequence;
        for change in &changes.changes {
            match change {
                RowChange::Register {
                    name,
                    connection,
                    hidden,
                    claim,
                } => {
                    let exclusive = *claim != Claim::Shared;
                    let fact = (
                        name.clone(),
                        node,
                        incarnation,
                        connection.0,
                        *hidden,
                        exclusive,
                    );
                    self.register(fact, *claim == Claim::TakeOver);
                }
                RowChange::Unregister { name, connection } => {
                    self.facts
                        .retain(|fact| (&fact.0, fact.1, fact.3) != (name, node, connection.0));
                }
            }
        }
    }

    fn register(&mut self, new: Fact, takes_over: bool) {
        let (mine, others): (Vec<Fact>, Vec<Fact>) = self
            .facts
            .iter()
            .filter(|fact| fact.0 == new.0)
            .cloned()
            .partition(|fact| fact.1 == new.1);
        let is_late = mine.iter().any(|mine| mine.3 > new.3);
        let is_denied = !takes_over && others.iter().any(|other| other.5 || new.5);
        if is_late || is_denied {
            return;
        }
        let goes = |fact: &Fact| fact.0 == new.0 && (takes_over || fact.1 == new.1);
        self.facts.retain(|fact| !goes(fact));
        self.facts.insert(new);
    }
}

fn fact(registration: &Registration) -> Fact {
    let name = Name {
        domain: registration.domain.clone(),
        is_subdomain: registration.is_subdomain,
    };
    (
        name,
        registration.node.0,
        registration.incarnation.0,
        registration.connection.0,
        registration.hidden,
        registration.exclusive,
    )
}

fn facts(table: &Table) -> BTreeSet<Fact> {
    let rows = table
        .names()
        .flat_map(|(name, rows)| rows.iter().map(move |row| (name, row)));
    rows.map(|(name, row)| fact(&table.registration(name, row)))
        .collect()
}

fn nodes(table: &Table) -> BTreeMap<u64, ModelNode> {
    let node = |row: &NodeRow| ModelNode {
        name: row.name.to_string(),
        boot: row.boot,
        incarnation: row.incarnation.map(|incarnation| incarnation.0),
        sequence: row.sequence,
    };
    table.nodes().map(|(id, row)| (id.0, node(row))).collect()
}

/// What somebody knows who is told the deltas alone. Fails on a delta that does not fit.
#[derive(Debug, Clone, Default, PartialEq)]
struct Follower {
    facts: BTreeSet<Fact>,
    joined: BTreeMap<u64, u64>,
}

impl Follower {
    fn follow(&mut self, delta: &Delta) {
        for change in &delta.changes {
            match change {
                Change::Added { registration, .. } => {
                    assert!(self.facts.insert(fact(registration)), "added twice");
                    let node = registration.node.0;
                    assert_eq!(self.joined.get(&node), Some(&registration.incarnation.0));
                }
                Change::Removed { registration, .. } => {
                    assert!(self.facts.remove(&fact(registration)), "removed twice");
                }
                Change::NodeJoined { id, info } => {
                    let before = self.joined.insert(id.0, info.incarnation.0);
                    assert_eq!(before, None, "joined twice");
                }
                Change::NodeGone {
                    id, incarnation, ..
                } => {
                    assert_eq!(self.joined.remove(&id.0), Some(incarnation.0));
                    let held = self.facts.iter().any(|fact| fact.1 == id.0);
                    assert!(!held, "gone while it holds names");
                }
            }
        }
    }
}

/// Invariants of `Table` that the comparison with the model does not see.
fn check_invariants(table: &Table) {
    let mut held: BTreeMap<NodeId, BTreeSet<Name>> = BTreeMap::new();
    for (name, rows) in table.names() {
        assert!(!rows.is_empty(), "a name without holders");
        assert!(
            rows.is_sorted_by(|a, b| a.node < b.node),
            "holders in order"
        );
        let is_exclusive = rows.iter().any(|row| row.exclusive);
        assert!(
            !is_exclusive || rows.len() == 1,
            "one owner where it is promised"
        );
        for row in rows {
            held.entry(row.node).or_default().insert(name.clone());
        }
    }
    assert_eq!(table.held, held, "the derived index");
    let names: BTreeSet<&Arc<str>> = table.nodes.values().map(|row| &row.name).collect();
    assert_eq!(names.len(), table.nodes.len(), "two nodes of one name");
}

/// Whoever loses a name to another node is told: the names that this entry gives to one node and
/// takes from another.
fn check_takeovers(delta: &Delta) {
    let lost: BTreeSet<(Domain, bool, u64, u64)> = delta
        .takeovers()
        .into_iter()
        .map(|loss| {
            (
                loss.domain,
                loss.is_subdomain,
                loss.node.0,
                loss.connection.0,
            )
        })
        .collect();
    let changes = || delta.changes.iter();
    let taken_from = |registration: &Registration| {
        let name = (&registration.domain, registration.is_subdomain);
        changes().any(|change| {
            matches!(change, Change::Added { registration: new, .. }
                if (&new.domain, new.is_subdomain) == name && new.node != registration.node)
        })
    };
    let expected = changes().filter_map(|change| match change {
        Change::Removed { registration, .. } if taken_from(registration) => {
            let Registration {
                domain,
                is_subdomain,
                node,
                connection,
                ..
            } = registration.clone();
            Some((domain, is_subdomain, node.0, connection.0))
        }
        _ => None,
    });
    assert_eq!(lost, expected.collect(), "who is told");
}

// === generated commands ===

fn name() -> impl Strategy<Value = Name> {
    (0..4_u8, any::<bool>()).prop_map(|(number, is_subdomain)| Name {
        domain: Domain::prepare(&format!("d{number}.example")).unwrap(),
        is_subdomain,
    })
}

fn claim() -> impl Strategy<Value = Claim> {
    prop_oneof![
        4 => Just(Claim::Shared),
        2 => Just(Claim::Exclusive),
        1 => Just(Claim::TakeOver),
    ]
}

fn row_change() -> impl Strategy<Value = RowChange> {
    let connection = || (1..6_u64).prop_map(ConnectionId);
    prop_oneof![
        3 => (name(), connection(), any::<bool>(), claim()).prop_map(
            |(name, connection, hidden, claim)| RowChange::Register { name, connection, hidden, claim }
        ),
        2 => (name(), connection())
            .prop_map(|(name, connection)| RowChange::Unregister { name, connection }),
    ]
}

/// Commands whose incarnation and sequence are chosen relative to what is true when they are
/// applied, most often right, often late.
#[derive(Debug, Clone)]
enum Step {
    Join {
        node: u64,
        name: u8,
        boot: u64,
    },
    End {
        node: u64,
        late: bool,
        expired: bool,
    },
    Change {
        node: u64,
        late: bool,
        repeat: bool,
        changes: Vec<RowChange>,
    },
    Remove {
        node: u64,
    },
    Again(usize),
}

fn step() -> impl Strategy<Value = Step> {
    // More than names: identities do not come back.
    let node = || 1..12_u64;
    let rarely = || prop::bool::weighted(0.15);
    prop_oneof![
        4 => (node(), 0..4_u8, 1..6_u64).prop_map(|(node, name, boot)| Step::Join { node, name, boot }),
        1 => (node(), rarely(), any::<bool>())
            .prop_map(|(node, late, expired)| Step::End { node, late, expired }),
        8 => (node(), rarely(), rarely(), prop::collection::vec(row_change(), 1..4)).prop_map(
            |(node, late, repeat, changes)| Step::Change { node, late, repeat, changes }
        ),
        1 => node().prop_map(|node| Step::Remove { node }),
        1 => any::<prop::sample::Index>().prop_map(|index| Step::Again(index.index(1000))),
    ]
}

fn command(step: Step, model: &Model, past: &[Command]) -> Option<Command> {
    let life = |node: u64| {
        let known = model.nodes.get(&node)?;
        Some((Incarnation(known.incarnation?), known.sequence))
    };
    let earlier = |incarnation: Incarnation| Incarnation(incarnation.0.saturating_sub(1));
    Some(match step {
        Step::Join { node, name, boot } => Command::NodeJoined {
            node: NodeId(node),
            name: format!("n{name}"),
            address: "127.0.0.1:1".to_owned(),
            boot,
        },
        Step::End {
            node,
            late,
            expired,
        } => {
            let (incarnation, _) = life(node)?;
            let incarnation = if late {
                earlier(incarnation)
            } else {
                incarnation
            };
            let node = NodeId(node);
            if expired {
                Command::NodeExpired { node, incarnation }
            } else {
                Command::NodeLeft { node, incarnation }
            }
        }
        Step::Change {
            node,
            late,
            repeat,
            changes,
        } => {
            let (incarnation, sequence) = life(node)?;
            Command::Changes(Changes {
                node: NodeId(node),
                incarnation: if late {
                    earlier(incarnation)
                } else {
                    incarnation
                },
                sequence: if repeat { sequence } else { sequence + 1 },
                changes,
            })
        }
        Step::Remove { node } => Command::NodeRemoved { node: NodeId(node) },
        Step::Again(index) => past.get(index % past.len().max(1))?.clone(),
    })
}

proptest! {
    #[test]
    fn contract_r5_the_table_follows_its_rules(steps in prop::collection::vec(step(), 1..60)) {
        let (mut table, mut model, mut follower) =
            (Table::default(), Model::default(), Follower::default());
        let (mut past, mut checkpoint) = (Vec::new(), None);
        for (step, index) in steps.into_iter().zip(10_u64..) {
            let Some(command) = command(step, &model, &past) else { continue };
            let mut delta = Delta::new(index);
            table.apply(index, &command, &mut delta);
            model.apply(index, &command);
            follower.follow(&delta);
            check_takeovers(&delta);

            prop_assert_eq!(&facts(&table), &model.facts);
            prop_assert_eq!(&nodes(&table), &model.nodes);
            let removed: BTreeSet<u64> = table.removed().map(|(id, _)| id.0).collect();
            prop_assert_eq!(&removed, &model.removed);
            prop_assert_eq!(&follower.facts, &model.facts);
            check_invariants(&table);
            if index == 30 {
                checkpoint = Some((table.clone(), follower.clone()));
            }
            past.push(command);
        }
        // A snapshot holds all of it, and whoever skips to it learns what changed.
        let rows = table.names().flat_map(|(name, rows)| {
            rows.iter().map(|row| (name.clone(), *row)).collect::<Vec<(Name, Row)>>()
        });
        let mut restored = Table::restore(table.nodes().map(|(id, row)| (id, row.clone())), rows);
        restored.restore_removed(table.removed().map(|(id, name)| (id, name.clone())));
        prop_assert_eq!(&restored, &table);
        if let Some((old, mut behind)) = checkpoint {
            behind.follow(&old.difference(&table, 100));
            prop_assert_eq!(behind, follower);
        }
    }
}
