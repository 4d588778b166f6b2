//! Nodes that die, come back, or lose their quorum while stanzas travel (contract D1, D3, R5, R6).

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use switchyard_tests::{Cluster, Component, Listener, Node, PATIENCE, SECRET, Traffic, eventually};

/// The lease of a node is 10 s; a machine under load may need a little longer to see its end.
const LEASE_AND_MORE: Duration = Duration::from_secs(45);

#[test]
fn contract_d1_every_stanza_is_accounted_for_when_each_node_is_killed_in_turn() -> Result<()> {
    Cluster::start(3)?.run(|cluster| {
        let leader = cluster.leader()?;
        for victim in [leader, (leader + 1) % 3, (leader + 2) % 3] {
            kill_under_traffic(cluster, victim)
                .with_context(|| format!("killing {}", cluster[victim].name()))?;
        }
        Ok(())
    })
}

/// One component on each node, all sending to each other, while one node is killed and restarted.
fn kill_under_traffic(cluster: &mut Cluster, victim: usize) -> Result<()> {
    let [lost, one, other] = [0, 1, 2].map(|i| format!("c{}.{victim}.example", (victim + i) % 3));
    let components = cluster.iter().enumerate().map(|(i, node)| {
        let domain = format!("c{i}.{victim}.example");
        node.connect(&domain).map(|component| (domain, component))
    });
    let traffic = Traffic::between(components.collect::<Result<_>>()?);
    for (from, to) in [(&lost, &one), (&one, &lost), (&one, &other), (&other, &one)] {
        traffic.wait_for_deliveries(from, to, 500)?;
    }
    let incarnation = incarnation(&cluster[victim])?;

    cluster[victim].kill();
    // Those who stay are not disturbed, whoever has died.
    traffic.wait_for_deliveries(&one, &other, 2_000)?;
    traffic.wait_for_deliveries(&other, &one, 2_000)?;
    // The dead node's component is first out of reach, then unknown.
    traffic.wait_for_bounce(&one, &lost, "remote-server-timeout", PATIENCE)?;
    traffic.wait_for_bounce(&other, &lost, "remote-server-timeout", PATIENCE)?;

    cluster[victim].start()?;
    cluster[victim].wait_ready()?;
    let now = self::incarnation(&cluster[victim])?;
    ensure!(now > incarnation, "incarnation {now} after {incarnation}");
    // Its former registrations are gone with the former incarnation.
    traffic.wait_for_bounce(&one, &lost, "remote-server-not-found", PATIENCE)?;
    let listed = cluster[victim].query(&["components", "--domain", &lost])?;
    ensure!(listed["components"] == Value::Array(Vec::new()), "{listed}");
    traffic.finish(&[&lost])?;

    let mut back = cluster[victim].connect(&lost)?;
    let mut friend = cluster[(victim + 1) % 3].connect("friend.example")?;
    friend.send_message(&lost, "welcome")?;
    back.receive_message("welcome")?;
    back.close()?;
    friend.close()
}

fn incarnation(node: &Node) -> Result<u64> {
    eventually("the node's incarnation", PATIENCE, || {
        let status = node.query(&["cluster", "status"])?;
        let nodes = status["nodes"].as_array().context("no nodes")?;
        let own = nodes
            .iter()
            .find(|row| row["node"] == node.name())
            .context("not in the list")?;
        ensure!(own["alive"] == true, "{own}");
        own["incarnation"]
            .as_u64()
            .filter(|number| *number > 0)
            .context("no incarnation")
    })
}

#[test]
fn contract_d3_r5_a_dead_nodes_components_time_out_and_are_forgotten_after_its_lease() -> Result<()>
{
    Cluster::start(3)?.run(|cluster| {
        let victim = (cluster.leader()? + 1) % 3;
        let sender = (victim + 1) % 3;
        let _lost = cluster[victim].connect("lost.example")?;
        let mut a = cluster[sender].connect("a.example")?;
        cluster[victim].kill();
        a.send_message("lost.example", "1")?;
        a.receive_error("1", "remote-server-timeout", "wait")?;
        eventually(
            "the dead node's registration to expire",
            LEASE_AND_MORE,
            || {
                a.send_message("lost.example", "2")?;
                a.receive_error("2", "remote-server-not-found", "cancel")
                    .map(drop)
            },
        )?;
        let listed = cluster[sender].query(&["components"])?;
        let domains: Vec<_> = rows(&listed)?
            .iter()
            .map(|row| row["domain"].as_str())
            .collect();
        ensure!(domains == [Some("a.example")], "{listed}");
        Ok(())
    })
}

#[test]
fn contract_d1_r5_a_node_that_hung_comes_back_with_its_components_and_delivers_nothing_twice()
-> Result<()> {
    Cluster::start(3)?.run(|cluster| {
        let hung = (cluster.leader()? + 1) % 3;
        let domains = [0, 1, 2].map(|i| format!("c{i}.example"));
        let components = cluster.iter().zip(&domains).map(|(node, domain)| {
            node.connect(domain)
                .map(|component| (domain.clone(), component))
        });
        let traffic = Traffic::between(components.collect::<Result<_>>()?);
        let (lost, one) = (&domains[hung], &domains[(hung + 1) % 3]);
        traffic.wait_for_deliveries(one, lost, 500)?;
        let before = incarnation(&cluster[hung])?;
        cluster[hung].pause()?;
        traffic.wait_for_bounce(one, lost, "remote-server-not-found", LEASE_AND_MORE)?;
        cluster[hung].resume()?;
        traffic.wait_for_deliveries(one, lost, 500)?;
        traffic.wait_for_deliveries(lost, one, 500)?;
        let after = incarnation(&cluster[hung])?;
        ensure!(after > before, "incarnation {after} after {before}");
        // Nobody was disconnected, and nothing that was answered was written afterwards.
        traffic.finish_with(&[], &[lost], &[]).map(drop)
    })
}

#[test]
fn everything_comes_back_after_all_nodes_were_killed_at_once() -> Result<()> {
    Cluster::start(3)?.run(|cluster| {
        let _a = cluster[0].connect("a.example")?;
        let _b = cluster[1].connect("b.example")?;
        let before = cluster[2].query(&["components"])?;
        ensure!(rows(&before)?.len() == 2, "{before}");
        cluster.iter_mut().for_each(Node::kill);
        cluster.start_all()?;
        // Nobody has connected yet: whoever was there before is not there now.
        for node in &**cluster {
            let after = node.query(&["components"])?;
            ensure!(rows(&after)?.is_empty(), "{}: {after}", node.name());
            let revisions = (before["revision"].as_u64(), after["revision"].as_u64());
            ensure!(
                revisions.1 > revisions.0,
                "the log did not go on: {revisions:?}"
            );
        }
        let mut a = cluster[0].connect("a.example")?;
        let mut b = cluster[1].connect("b.example")?;
        a.send_message("b.example", "again")?;
        b.receive_message("again")?;
        Ok(())
    })
}

#[test]
fn contract_r6_without_quorum_local_routing_goes_on_and_new_names_are_refused() -> Result<()> {
    Cluster::start(3)?.run(|cluster| {
        let mut a = cluster[0].connect("a.example")?;
        let mut b = cluster[0].connect("b.example")?;
        let _far = cluster[1].connect("far.example")?;
        cluster[1].kill();
        cluster[2].kill();
        let address = cluster[0].listener(Listener::Disconnect);
        let mut refused = Component::open(address, "new.example", "")?.send_digest(SECRET)?;
        let text = refused.receive_stream_error("resource-constraint")?;
        ensure!(text.contains("no cluster quorum"), "{text:?}");
        for i in 0..100 {
            a.send_message("b.example", &format!("{i}"))?;
            b.receive_message(&format!("{i}"))?;
        }
        a.send_message("far.example", "far")?;
        a.receive_error("far", "remote-server-timeout", "wait")?;

        cluster.start_all()?;
        let mut fresh = eventually("registrations to be accepted again", PATIENCE, || {
            cluster[0].connect("new.example")
        })?;
        a.send_message("new.example", "welcome")?;
        fresh.receive_message("welcome").map(drop)
    })
}

#[test]
fn contract_s12_r5_a_node_that_is_asked_to_end_says_so_and_leaves_at_once() -> Result<()> {
    Cluster::start(3)?.run(|cluster| {
        let mut leaver = cluster[1].connect("leaver.example")?;
        let mut a = cluster[0].connect("a.example")?;
        a.send_message("leaver.example", "1")?;
        leaver.receive_message("1")?;
        let status = cluster[1].terminate()?;
        ensure!(status.success(), "{status}");
        leaver.receive_stream_error("system-shutdown")?;
        // No lease to wait for: the node has said goodbye.
        a.send_message("leaver.example", "2")?;
        a.receive_error("2", "remote-server-not-found", "cancel")?;
        cluster[1].start()?;
        cluster[1].wait_ready()
    })
}

fn rows(components: &Value) -> Result<&Vec<Value>> {
    components["components"]
        .as_array()
        .context("no components in the answer")
}
