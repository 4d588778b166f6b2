use std::time::Duration;

use super::news::Voters;
use super::*;
use crate::command::{Changes, Command, Name, RowChange};
use crate::table::{Ending, Table};
use crate::{Claim, ConnectionId, Incarnation};

const OWN: NodeId = NodeId(1);

/// Nodes with ids from 1: voters (`V`) and learners (`L`).
fn view(members: &str, leader: Option<(u64, u64)>) -> View {
    let ids = || (1..).map(NodeId).zip(members.chars());
    View {
        names: ids().map(|(id, _)| (id, name(id))).collect(),
        voters: ids()
            .filter(|(_, kind)| *kind == 'V')
            .map(|(id, _)| id)
            .collect(),
        leader: leader.map(|(id, term)| (NodeId(id), term)),
        ..View::default()
    }
}

fn name(id: NodeId) -> Arc<str> {
    format!("n{id}").into()
}

fn node(id: u64) -> Named {
    named(NodeId(id), &name(NodeId(id)))
}

fn chronicle(members: &str) -> Chronicle {
    Chronicle::new(OWN, view(members, Some((1, 5))), BTreeSet::from([OWN]))
}

fn join(node: u64, boot: u64) -> Command {
    Command::NodeJoined {
        node: NodeId(node),
        name: format!("n{node}"),
        address: "host:1".to_owned(),
        boot,
    }
}

fn register(node: u64, incarnation: u64, domain: &str) -> Command {
    Command::Changes(Changes {
        node: NodeId(node),
        incarnation: Incarnation(incarnation),
        sequence: 1,
        changes: vec![RowChange::Register {
            name: Name {
                domain: domain.parse().unwrap(),
                is_subdomain: false,
            },
            connection: ConnectionId(1),
            hidden: false,
            claim: Claim::Shared,
        }],
    })
}

/// What the chronicle tells of a log, entry by entry from index 1.
fn tell(chronicle: &mut Chronicle, log: &[Command]) -> Vec<News> {
    let mut table = Table::default();
    let mut news = Vec::new();
    for (index, command) in (1..).zip(log) {
        let mut delta = Delta::new(index);
        table.apply(index, command, &mut delta);
        news.extend(chronicle.see_table(&delta));
    }
    news
}

fn joined(node: u64, incarnation: u64) -> News {
    News::Joined {
        node: self::node(node),
        incarnation: Incarnation(incarnation),
        address: "host:1".into(),
    }
}

#[test]
fn lives_are_told_with_what_went_with_them() {
    let mut chronicle = chronicle("VVV");
    let log = [
        join(2, 1),
        register(2, 1, "a.example"),
        join(3, 1),
        register(3, 3, "b.example"),
        Command::NodeExpired {
            node: NodeId(2),
            incarnation: Incarnation(1),
        },
        join(3, 2),
        Command::NodeLeft {
            node: NodeId(3),
            incarnation: Incarnation(6),
        },
        Command::NodeRemoved { node: NodeId(3) },
    ];
    let gone = |node, incarnation, ending, registrations, up| News::Gone {
        node: self::node(node),
        incarnation: Incarnation(incarnation),
        ending,
        registrations,
        voters: Voters { up, of: 3 },
    };
    let expected = [
        joined(2, 1),
        joined(3, 3),
        gone(2, 1, Ending::LeaseEnded, 1, 2),
        gone(3, 3, Ending::Renewed, 1, 1),
        joined(3, 6),
        gone(3, 6, Ending::Left, 0, 1),
    ];
    assert_eq!(tell(&mut chronicle, &log), expected);
}

#[test]
fn a_node_does_not_tell_of_its_own_lives() {
    let log = [join(1, 1), join(1, 2), Command::NodeRemoved { node: OWN }];
    assert_eq!(tell(&mut chronicle("V"), &log), []);
}

#[test]
fn every_change_of_the_members_is_told_once() {
    let mut chronicle = chronicle("VVVL");
    let mut see = |members| chronicle.see_cluster(view(members, Some((1, 5))), Instant::now());
    let added = News::MemberAdded {
        node: node(5),
        is_voter: false,
    };
    assert_eq!(see("VVVLL"), [added]);
    let promoted = News::Promoted {
        node: node(4),
        voters: 4,
    };
    assert_eq!(see("VVVVL"), [promoted]);
    let demoted = News::Demoted {
        node: node(3),
        voters: 3,
    };
    assert_eq!(see("VVLVL"), [demoted]);
    let gone = |id, was_voter| News::MemberGone {
        node: node(id),
        was_voter,
    };
    assert_eq!(see("VVL"), [gone(4, true), gone(5, false)]);
    assert_eq!(see("VVL"), []);
}

#[test]
fn leaders_and_quorums_are_told_when_they_change() {
    let start = Instant::now();
    let mut chronicle = chronicle("VVV");
    let leads = |id, term| News::Leads {
        node: node(id),
        term,
    };
    let same = view("VVV", Some((1, 5)));
    assert_eq!(chronicle.see_cluster(same, start), []);
    // An election begins and is won, first by another, then by the same again.
    assert_eq!(chronicle.see_cluster(view("VVV", None), start), []);
    let other = view("VVV", Some((2, 6)));
    assert_eq!(chronicle.see_cluster(other, start), [leads(2, 6)]);
    let again = view("VVV", Some((2, 7)));
    assert_eq!(chronicle.see_cluster(again.clone(), start), [leads(2, 7)]);

    let lost = View {
        silent: BTreeSet::from([NodeId(3), NodeId(1)]),
        is_quorum_lost: true,
        leader: None,
        ..again.clone()
    };
    let expected = News::QuorumLost {
        voters: "n1, n2, n3".to_owned(),
        silent: "n1, n3".to_owned(),
    };
    assert_eq!(chronicle.see_cluster(lost.clone(), start), [expected]);
    assert_eq!(chronicle.see_cluster(lost, start), []);
    let after = Duration::from_secs(7);
    let found = News::QuorumFound { after };
    assert_eq!(chronicle.see_cluster(again, start + after), [found]);

    // Once it is removed, this node has nothing to say on that.
    let mut removed = View {
        is_quorum_lost: true,
        ..view("VVV", None)
    };
    removed.names.remove(&OWN);
    let told = chronicle.see_cluster(removed, start + after);
    assert!(matches!(told[..], [News::MemberGone { .. }]), "{told:?}");
}
