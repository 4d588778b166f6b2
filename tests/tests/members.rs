//! Nodes that come and go at an operator's wish (contract A3): `switchyard cluster add`, `drain`,
//! `remove`, `promote`, and nodes that join by themselves.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use switchyard_tests::{
    Cluster, Component, Node, PATIENCE, SHORT_LEASE, Traffic, cli, eventually, http,
};

const REFUSED: i32 = 1;

/// Starts `count` founders with these lines in `[cluster]`.
fn start_with(count: usize, cluster_keys: &str) -> Result<Cluster> {
    let mut cluster = Cluster::prepare(count)?;
    for node in cluster.iter_mut() {
        node.configure(|config| cluster_keys.clone_into(&mut config.cluster_keys))?;
    }
    cluster.start_all()?;
    Ok(cluster)
}

/// Makes a change that has to succeed. Gives the last line that was printed.
fn change(via: &Node, arguments: &[&str]) -> Result<String> {
    let output = via.cluster(arguments)?;
    ensure!(output.code == 0, "{arguments:?}: {output:?}");
    let last = output.stdout.lines().last();
    last.map(str::to_owned).context("nothing was printed")
}

/// Makes a change that has to be refused, in one line. Gives that.
fn refusal(via: &Node, arguments: &[&str]) -> Result<String> {
    let output = via.cluster(arguments)?;
    ensure!(output.code == REFUSED, "{arguments:?}: {output:?}");
    ensure!(output.stdout.is_empty(), "{output:?}");
    ensure!(output.stderr.lines().count() == 1, "{output:?}");
    Ok(output.stderr)
}

/// What `via` says of `node`; an error if that is no member.
fn row(via: &Node, node: &str) -> Result<Value> {
    let status = via.query(&["cluster", "status"])?;
    let nodes = status["nodes"].as_array().context("no nodes")?;
    let row = nodes.iter().find(|row| row["node"] == node);
    row.cloned().with_context(|| format!("no {node}: {status}"))
}

fn wait_for_role(via: &Node, node: &str, expected: &[&str]) -> Result<()> {
    eventually(&format!("{node} to be {expected:?}"), PATIENCE, || {
        let row = row(via, node)?;
        let role = row["role"].as_str().context("no role")?;
        ensure!(expected.contains(&role), "{row}");
        Ok(())
    })
}

/// Waits until every node that runs lists these domains, each with the node that holds it.
fn wait_for_table(cluster: &[Node], expected: &[(&str, &str)]) -> Result<()> {
    for node in cluster.iter().filter(|node| node.is_running()) {
        eventually(&format!("the table of {}", node.name()), PATIENCE, || {
            let listed = node.query(&["components"])?;
            let rows = listed["components"].as_array().context("no components")?;
            let rows = rows
                .iter()
                .map(|row| (row["domain"].as_str(), row["node"].as_str()));
            let expected = expected
                .iter()
                .map(|(domain, node)| (Some(*domain), Some(*node)));
            ensure!(rows.eq(expected), "{listed}");
            Ok(())
        })?;
    }
    Ok(())
}

/// Sends a message each way.
fn exchange(a: &mut Component, b: &mut Component, body: &str) -> Result<()> {
    let (to_b, to_a) = (b.domain().to_owned(), a.domain().to_owned());
    a.send_message(&to_b, body)?;
    b.receive_message(body)?;
    b.send_message(&to_a, body)?;
    a.receive_message(body).map(drop)
}

#[test]
fn a_node_that_knows_a_seed_joins_serves_and_votes_when_an_operator_wants() -> Result<()> {
    Cluster::start(3)?.run(|cluster| {
        let new = cluster.add_node(&[1])?;
        cluster.start_all()?;
        wait_for_role(&cluster[0], "node4", &["learner"])?;
        let mut near = cluster[new].connect("near.example")?;
        let mut far = cluster[0].connect("far.example")?;
        exchange(&mut near, &mut far, "hello")?;
        wait_for_table(
            cluster,
            &[("far.example", "node1"), ("near.example", "node4")],
        )?;

        // A learner passes on what it is asked, of itself as well.
        let promoted = change(&cluster[new], &["promote", "node4"])?;
        ensure!(promoted == "node4 is a voter, one of 4", "{promoted}");
        for node in cluster.iter() {
            wait_for_role(node, "node4", &["follower"])?;
            node.wait_for_log("Node became a voter")?;
            let again = change(node, &["promote", "node4"])?;
            ensure!(again == "node4 is a voter already", "{again}");
        }
        exchange(&mut near, &mut far, "again")
    })
}

#[test]
fn learners_vote_by_themselves_while_voters_are_fewer_than_wanted() -> Result<()> {
    start_with(1, "voters = 3")?.run(|cluster| {
        for _ in 0..3 {
            cluster.add_node(&[0])?;
        }
        cluster.start_all()?;
        // Three of the four vote; which ones, their random ids decide.
        let roles = |cluster: &[Node]| -> Result<Vec<(String, bool)>> {
            let status = cluster[0].query(&["cluster", "status"])?;
            let nodes = status["nodes"].as_array().context("no nodes")?;
            let role =
                |row: &Value| Some((row["node"].as_str()?.to_owned(), row["role"] != "learner"));
            Ok(nodes.iter().filter_map(role).collect())
        };
        let learner = eventually("three voters", PATIENCE, || {
            let roles = roles(cluster)?;
            ensure!(roles.len() == 4, "{roles:?}");
            let mut learners = roles.iter().filter(|(_, votes)| !votes);
            let learner = learners.next().context("no learner")?.0.clone();
            ensure!(learners.next().is_none(), "{roles:?}");
            Ok(learner)
        })?;
        // The learner takes the place of a voter that is removed.
        let voter = if learner == "node4" { "node3" } else { "node4" };
        change(&cluster[0], &["remove", voter])?;
        wait_for_role(&cluster[0], &learner, &["follower", "leader"])
    })
}

#[test]
fn a_waiting_node_is_added_drained_and_removed_and_comes_back_as_another() -> Result<()> {
    Cluster::start(3)?.run(|cluster| {
        let new = cluster.add_node(&[])?;
        cluster[new].start()?;
        cluster[new].wait_for_log("until \\\"switchyard cluster add\\\"")?;
        let shown = cluster[new].cluster(&["status"])?;
        ensure!(
            shown.stdout.starts_with("node4 belongs to no cluster yet"),
            "{shown:?}"
        );
        for arguments in [&["drain", "node4"][..], &["add", "node1", "127.0.0.1:1"]] {
            let asked = refusal(&cluster[new], arguments)?;
            ensure!(
                asked.contains("node4, which was asked, belongs to no cluster"),
                "{asked}"
            );
        }
        let address = cluster[new].config().advertise.to_string();
        let wrong = refusal(&cluster[0], &["add", "node5", &address])?;
        ensure!(
            wrong.contains("is node \"node4\", not \"node5\""),
            "{wrong}"
        );
        let nobody = refusal(&cluster[0], &["add", "node4", "127.0.0.1:1"])?;
        ensure!(
            nobody.contains("no node answers at 127.0.0.1:1"),
            "{nobody}"
        );
        let added = change(&cluster[1], &["add", "node4", &address])?;
        ensure!(added == "node4 was taken in as a learner", "{added}");
        cluster.start_all()?;
        let again = change(&cluster[new], &["add", "node4", &address])?;
        ensure!(again == "node4 is a member already", "{again}");

        drain_under_traffic(cluster, new)?;

        let id = row(&cluster[0], "node4")?["id"].clone();
        let removed = change(&cluster[2], &["remove", "node4"])?;
        ensure!(removed == "node4 was removed", "{removed}");
        ends_as_removed(cluster, new)?;
        for node in &cluster[..new] {
            let again = change(node, &["remove", "node4"])?;
            ensure!(again == "node4 was removed before", "{again}");
            change(node, &["remove", &id.to_string()])?;
            node.wait_for_log("Node was removed for good node=node4")?;
        }

        cluster[new].wipe()?;
        let seed = cluster[0].config().advertise;
        cluster[new].configure(|config| config.seeds = Some(vec![seed]))?;
        cluster.start_all()?;
        let back = row(&cluster[0], "node4")?;
        ensure!(
            back["id"] != id && back["alive"] == true,
            "{back}, before {id}"
        );
        let mut near = cluster[new].connect("near.example")?;
        let mut far = cluster[0].connect("far.example")?;
        exchange(&mut near, &mut far, "back")
    })
}

/// Drains node `new` while components on all nodes talk: nothing is lost, and who asks for a
/// component that has another instance reaches that.
fn drain_under_traffic(cluster: &[Node], new: usize) -> Result<()> {
    let mut twin = cluster[1].connect("twin.example")?;
    let _leaving_twin = cluster[new].connect("twin.example")?;
    let mut asker = cluster[0].connect("asker.example")?;
    let domains = ["a.example", "b.example", "leaver.example"];
    let on = [0, 1, new].map(|node| &cluster[node]);
    let components = domains.iter().zip(on).map(|(domain, node)| {
        let component = node.connect(domain)?;
        Ok(((*domain).to_owned(), component))
    });
    let traffic = Traffic::between(components.collect::<Result<_>>()?);
    traffic.wait_for_deliveries("a.example", "leaver.example", 500)?;

    let output = cluster[2].cluster(&["drain", "node4", "--json"])?;
    ensure!(output.code == 0, "{output:?}");
    let lines = output.stdout.lines().map(serde_json::from_str);
    let steps: Vec<Value> = lines
        .collect::<Result<_, _>>()
        .context(output.stdout.clone())?;
    let last = steps.last().context("no progress")?;
    ensure!(last["done"] == true && last["remaining"] == 0, "{steps:?}");
    ensure!(
        steps[0]["remaining"] == 2,
        "both components had to go: {steps:?}"
    );
    let again = change(&cluster[0], &["drain", "node4"])?;
    ensure!(again.starts_with("node4 is already drained"), "{again}");

    let (status, body) = http::get(cluster[new].config().http, "/readyz")?;
    ensure!(status == 503 && body.contains("drained"), "{status} {body}");
    ensure!(
        cluster[new].connect("late.example").is_err(),
        "it takes components"
    );
    traffic.wait_for_bounce(
        "a.example",
        "leaver.example",
        "remote-server-not-found",
        PATIENCE,
    )?;
    traffic.wait_for_deliveries("a.example", "b.example", 500)?;
    traffic.finish_with(&[], &[], &["leaver.example"])?;
    for i in 0..20 {
        asker.send_message("twin.example", &format!("{i}"))?;
        twin.receive_message(&format!("{i}"))?;
    }
    let row = row(&cluster[0], "node4")?;
    ensure!(
        row["alive"] == true && row["role"] == "learner",
        "it remains a member: {row}"
    );
    Ok(())
}

/// A removed node ends by itself and says why, and so does every later start.
fn ends_as_removed(cluster: &mut Cluster, index: usize) -> Result<()> {
    let node = &mut cluster[index];
    let expected = "was removed from the cluster";
    for first in [true, false] {
        if !first {
            node.start()?;
        }
        let status = node.wait_exit()?;
        ensure!(status.code() == Some(REFUSED), "{status}");
        let log = node.log();
        let last = log.lines().last().unwrap_or_default();
        ensure!(last.contains(&format!("{} (node ", node.name())), "{last}");
        ensure!(
            last.contains(expected) && last.contains("empty its data_dir"),
            "{last}"
        );
        ensure!(!log.contains("Cannot say goodbye"), "{log}");
    }
    Ok(())
}

#[test]
fn nobody_is_removed_whom_the_quorum_needs_and_typos_are_told() -> Result<()> {
    Cluster::start(3)?.run(|cluster| {
        let leader = cluster.leader()?;
        let (dead, other) = ((leader + 1) % 3, (leader + 2) % 3);
        let [dead_name, other_name] = [dead, other].map(|index| cluster[index].name().to_owned());
        for command in ["remove", "drain", "promote"] {
            let typo = refusal(&cluster[other], &[command, "nod2"])?;
            ensure!(
                typo.contains("\"nod2\"") && typo.contains("node1, node2, node3"),
                "{typo}"
            );
        }
        cluster[dead].kill();
        let needed = refusal(&cluster[other], &["remove", &other_name])?;
        ensure!(
            needed.contains(&format!("{other_name} is needed")),
            "{needed}"
        );
        ensure!(
            needed.contains(&format!("not alive: {dead_name}")),
            "{needed}"
        );
        let silent = refusal(&cluster[other], &["drain", &dead_name])?;
        ensure!(silent.contains("does not answer"), "{silent}");
        // The dead one may go, and then one of the two that are left, but not the last.
        change(&cluster[other], &["remove", &dead_name])?;
        change(&cluster[other], &["remove", &other_name])?;
        ends_as_removed(cluster, other)?;
        let name = cluster[leader].name().to_owned();
        let last = refusal(&cluster[leader], &["remove", &name])?;
        ensure!(last.contains("the only voter"), "{last}");
        // The dead one learns of it when it returns.
        cluster[dead].start()?;
        ends_as_removed(cluster, dead)
    })
}

#[test]
fn the_leader_is_removed_and_the_others_go_on() -> Result<()> {
    Cluster::start(3)?.run(|cluster| {
        let leader = cluster.leader()?;
        let (one, other) = ((leader + 1) % 3, (leader + 2) % 3);
        let name = cluster[leader].name().to_owned();
        let mut lost = cluster[leader].connect("lost.example")?;
        let mut a = cluster[one].connect("a.example")?;
        let mut b = cluster[other].connect("b.example")?;
        change(&cluster[one], &["remove", &name])?;
        lost.receive_stream_error("system-shutdown")?;
        ends_as_removed(cluster, leader)?;
        exchange(&mut a, &mut b, "without it")?;
        let mut new = eventually("registrations to go on", PATIENCE, || {
            cluster[other].connect("new.example")
        })?;
        exchange(&mut a, &mut new, "new")?;
        a.send_message("lost.example", "lost")?;
        a.receive_error("lost", "remote-server-not-found", "cancel")?;
        for node in [one, other] {
            cluster[node].wait_for_log("Node leads the cluster")?;
            let again = change(&cluster[node], &["remove", &name])?;
            ensure!(again == format!("{name} was removed before"), "{again}");
        }

        // A founder that was removed comes back with the same configuration, and votes as before.
        cluster[leader].wipe()?;
        cluster.start_all()?;
        wait_for_role(&cluster[one], &name, &["follower", "leader"])?;
        let mut back = cluster[leader].connect("lost.example")?;
        exchange(&mut a, &mut back, "back")
    })
}

#[test]
fn a_node_whose_disk_is_lost_takes_its_own_place_and_its_old_disk_never_does_again() -> Result<()> {
    start_with(3, SHORT_LEASE)?.run(|cluster| {
        let lost = (cluster.leader()? + 1) % 3;
        let (via, name) = ((lost + 1) % 3, cluster[lost].name().to_owned());
        let _component = cluster[lost].connect("lost.example")?;
        let mut a = cluster[via].connect("a.example")?;
        let before = row(&cluster[via], &name)?;
        cluster[lost].kill();
        let data = cluster[lost].config().data_dir.clone();
        let kept = data.with_extension("kept");
        std::fs::rename(&data, &kept)?;
        cluster.start_all()?;
        let after = row(&cluster[via], &name)?;
        ensure!(after["id"] != before["id"], "{before}, then {after}");
        ensure!(after["role"] != "learner", "it has no vote: {after}");
        wait_for_table(cluster, &[("a.example", cluster[via].name())])?;
        let mut back = cluster[lost].connect("lost.example")?;
        exchange(&mut a, &mut back, "back")?;
        drop(back);

        // The old disk is found again.
        cluster[lost].terminate()?;
        cluster[lost].wipe()?;
        std::fs::rename(&kept, &data)?;
        cluster[lost].start()?;
        ends_as_removed(cluster, lost)?;
        wait_for_table(cluster, &[("a.example", cluster[via].name())])
    })
}

#[test]
fn clusters_pointed_at_each_other_keep_apart() -> Result<()> {
    let mut other = Cluster::start(1)?;
    Cluster::start(3)?.run(|ours| {
        let _a = ours[0].connect("a.example")?;
        let _b = other[0].connect("b.example")?;
        let id = |node: &Node| -> Result<String> {
            let status = node.query(&["cluster", "status"])?;
            Ok(status["cluster_id"].as_str().context("no id")?.to_owned())
        };
        let (our_id, their_id) = (id(&ours[0])?, id(&other[0])?);
        ensure!(our_id != their_id, "{our_id}");
        let (our_address, their_address) = (ours[0].config().peers, other[0].config().peers);

        let refused = refusal(&ours[1], &["add", "node1", &their_address.to_string()])?;
        ensure!(
            refused.contains(&their_id) && refused.contains(&our_id),
            "{refused}"
        );

        // Seeds that lead to both.
        let torn = ours.add_node(&[0])?;
        ours[torn].configure(|config| config.seeds = Some(vec![our_address, their_address]))?;
        ours[torn].start()?;
        let status = ours[torn].wait_exit()?;
        ensure!(status.code() == Some(REFUSED), "{status}");
        let log = ours[torn].log();
        let last = log.lines().last().unwrap_or_default();
        let expected = "cluster.seeds lead to two clusters of the same name";
        ensure!(
            last.contains(expected) && last.contains(&their_id),
            "{last}"
        );

        // An address that was given to a machine of the other cluster: ours looks for its node
        // there, theirs for a founder here.
        let moved = (ours.leader()? + 1) % 3;
        ours[moved].terminate()?;
        let (address, api) = (ours[moved].config().peers, other[0].config().api);
        other[0].terminate()?;
        other[0].configure(|config| {
            config.peers = address;
            config.advertise = address;
            config.founders[0].address = address;
        })?;
        other.start_all()?;
        let _b = other[0].connect("b.example")?;
        other[0].wait_for_log("A node of another cluster asks this one")?;
        let leader = ours.leader()?;
        ours[leader].wait_for_log(&format!("this node belongs to another cluster, {their_id}"))?;
        let shown = ours[leader].cluster(&["status"])?;
        ensure!(shown.stdout.contains(&their_id), "{shown:?}");
        ensure!(
            cli::json(["components", "--api", &api.to_string(), "--json"])?["components"]
                .as_array()
                .is_some_and(|rows| rows.len() == 1),
            "their table was touched"
        );
        let intact: Vec<usize> = (0..3).filter(|index| *index != moved).collect();
        for index in intact {
            let listed = ours[index].query(&["components", "--linearizable"])?;
            let rows = listed["components"].as_array().context("no components")?;
            let ours_alone = rows.iter().all(|row| row["domain"] == "a.example");
            ensure!(ours_alone, "our table was touched: {listed}");
        }
        ensure!(id(&other[0])? == their_id, "it has changed its cluster");
        // Each goes on by itself once the address is right again.
        other[0].terminate()?;
        ours[moved].start()?;
        ours[moved].wait_ready()
    })
}
