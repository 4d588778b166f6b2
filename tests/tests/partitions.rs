//! Nodes that cannot hear each other (contract R5, R6, R7).

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use switchyard_tests::{
    Cluster, Component, Cut, Listener, Node, PATIENCE, SHORT_LEASE, eventually, http,
};

#[test]
fn contract_r5_a_node_that_was_cut_off_comes_back_with_its_components() -> Result<()> {
    for cut in [Cut::Silent, Cut::Broken] {
        let mut cluster = Cluster::prepare_linked(3, SHORT_LEASE)?;
        cluster.start_all()?;
        cluster.run(|cluster| {
            let lost = cluster.leader()?;
            let other = (lost + 1) % 3;
            let mut a = cluster[lost].connect("a.example")?;
            let mut near = cluster[lost].connect("near.example")?;
            let mut b = cluster[other].connect("b.example")?;
            a.send_message("b.example", "before")?;
            b.receive_message("before")?;
            let before = incarnation_of(&cluster[other], "a.example")?;

            cluster.links().isolate(lost, cut);
            // The others elect a leader, which gives the node up; it goes on for its own.
            eventually("the registrations to go", PATIENCE, || {
                let listed = cluster[other].query(&["components", "--linearizable"])?;
                ensure!(domains(&listed)? == ["b.example"], "{listed}");
                Ok(())
            })?;
            b.send_message("a.example", "gone")?;
            b.receive_error("gone", "remote-server-not-found", "cancel")?;
            a.send_message("near.example", "local")?;
            near.receive_message("local")?;

            cluster.links().heal_all();
            for node in cluster.iter() {
                eventually("everything to be registered again", PATIENCE, || {
                    let listed = node.query(&["components"])?;
                    let expected = ["a.example", "b.example", "near.example"];
                    ensure!(domains(&listed)? == expected, "{}: {listed}", node.name());
                    Ok(())
                })?;
            }
            let after = incarnation_of(&cluster[other], "a.example")?;
            ensure!(after > before, "incarnation {after} after {before}");
            b.send_message("a.example", "again")?;
            a.receive_message("again").map(drop)
        })?;
    }
    Ok(())
}

#[test]
fn contract_r6_everything_goes_on_when_quorum_was_lost_for_longer_than_a_lease() -> Result<()> {
    let mut cluster = Cluster::prepare_linked(5, SHORT_LEASE)?;
    cluster.start_all()?;
    cluster.run(|cluster| {
        let mut a = cluster[0].connect("a.example")?;
        let mut b = cluster[1].connect("b.example")?;
        let before = incarnation_of(&cluster[0], "a.example")?;
        a.send_message("b.example", "before")?;
        b.receive_message("before")?;
        b.send_message("a.example", "before")?;
        a.receive_message("before")?;
        // The link between the two stays, and neither can be given up.
        cluster[2..].iter_mut().for_each(Node::kill);
        for node in &cluster[..2] {
            eventually("the lease to run out", PATIENCE, || {
                let (status, body) = http::get(node.config().http, "/readyz")?;
                ensure!(status == 503, "{body}");
                Ok(())
            })?;
        }
        cluster.start_all()?;
        ensure!(before == incarnation_of(&cluster[0], "a.example")?);
        reaches(&mut a, &mut b)?;
        reaches(&mut b, &mut a)
    })
}

/// The listener that says `conflict_scope = "cluster"` in the tests that need one.
const EXCLUSIVE: Listener = Listener::Hidden;

#[test]
fn contract_r3_r6_of_those_who_were_accepted_locally_one_keeps_an_exclusive_name() -> Result<()> {
    let mut cluster = Cluster::prepare_linked(3, SHORT_LEASE)?;
    for node in cluster.iter() {
        let option = "hidden_components = true\n";
        let text = fs::read_to_string(node.config_file())?;
        let text = text.replace(option, &format!("{option}conflict_scope = \"cluster\"\n"));
        let local = "\n[registry]\non_no_quorum = \"accept_local\"\n";
        fs::write(node.config_file(), text + local)?;
    }
    cluster.start_all()?;
    cluster.run(|cluster| {
        // One against a majority that goes on: who is in the log stays.
        let alone = cluster.leader()?;
        cluster.links().isolate(alone, Cut::Silent);
        let claim = |node: usize, name: &str| {
            eventually(&format!("{name} on {node}"), PATIENCE, || {
                Component::connect(cluster[node].listener(EXCLUSIVE), name)
            })
        };
        let mut local = claim(alone, "x.example")?;
        let mut owner = claim((alone + 1) % 3, "x.example")?;
        cluster.links().heal_all();
        local.receive_stream_error("conflict")?;
        has_one_owner(cluster, "x.example", &mut owner)?;

        // Each against each: the log decides when there is one.
        for node in 0..3 {
            cluster.links().isolate(node, Cut::Broken);
        }
        let claimed = (0..3).map(|node| claim(node, "y.example"));
        let claimed = claimed.collect::<Result<Vec<_>>>()?;
        cluster.links().heal_all();
        let mut owners = Vec::new();
        let mut told = 0;
        for mut component in claimed {
            match component.receive_within(SOON)? {
                Some(error) if error.child("conflict").is_some() => told += 1,
                other => {
                    ensure!(other.is_none(), "{other:?}");
                    owners.push(component);
                }
            }
        }
        ensure!(told == 2 && owners.len() == 1, "{told} of three were told");
        has_one_owner(cluster, "y.example", &mut owners[0])
    })
}

/// Long enough for nodes that hear each other to agree.
const SOON: Duration = Duration::from_secs(10);

/// Sees that every node lists `name` once, and that messages to it arrive from everywhere.
fn has_one_owner(cluster: &Cluster, name: &str, owner: &mut Component) -> Result<()> {
    for (number, node) in cluster.iter().enumerate() {
        eventually("one owner", PATIENCE, || {
            let listed = node.query(&["components", "--domain", name])?;
            ensure!(domains(&listed)? == [name], "{}: {listed}", node.name());
            Ok(())
        })?;
        let mut sender = node.connect(&format!("to-{name}{number}"))?;
        reaches(&mut sender, owner)?;
    }
    Ok(())
}

/// Waits until a message from one arrives at the other.
fn reaches(from: &mut Component, to: &mut Component) -> Result<()> {
    let domain = to.domain().to_owned();
    eventually(&format!("a message to {domain}"), PATIENCE, || {
        from.send_message(&domain, "again")?;
        let received = to.receive_within(Duration::from_millis(500))?;
        let received = received.context("it was not delivered")?;
        ensure!(received.stanza_error().is_none(), "{received:?}");
        Ok(())
    })
}

/// The domains of a listing, in its order.
fn domains(listed: &Value) -> Result<Vec<&str>> {
    let rows = listed["components"].as_array().context("no components")?;
    Ok(rows
        .iter()
        .filter_map(|row| row["domain"].as_str())
        .collect())
}

fn incarnation_of(node: &Node, domain: &str) -> Result<u64> {
    let listed = node.query(&["components", "--domain", domain])?;
    let row = listed["components"].get(0).context("not registered")?;
    row["incarnation"].as_u64().context("no incarnation")
}
