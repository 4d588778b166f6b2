//! Several claims to one name (contract R2, R3, R5, R6, S5, S8).

use std::fs;
use std::net::SocketAddr;
use std::thread;

use anyhow::{Context, Result, ensure};
use switchyard_tests::{Cluster, Component, Listener, PATIENCE, SECRET, SERVED_HOST, eventually};

#[test]
fn contract_s8_names_are_shared_by_listeners_and_the_newcomers_listener_decides() -> Result<()> {
    Cluster::start(1)?.run(|cluster| {
        let node = &cluster[0];
        let mut other = node.connect("other.example")?;
        let mut old = Component::connect(node.listener(Listener::KickOld), "a.example")?;
        refused(node.listener(Listener::Disconnect), "a.example", "conflict")?;
        other.send_message("a.example", "1")?;
        old.receive_message("1")?;

        let mut new = Component::connect(node.listener(Listener::KickOld), "a.example")?;
        let text = old.receive_stream_error("conflict")?;
        ensure!(text == "Replaced by new connection", "{text:?}");
        drop(old);
        // The end of the old connection must not take the name from the new one (contract R5).
        for i in 0..100 {
            other.send_message("a.example", &format!("{i}"))?;
            new.receive_message(&format!("{i}"))?;
        }
        let held = node.query(&["components", "--domain", "a.example"])?;
        ensure!(
            held["components"]
                .as_array()
                .is_some_and(|rows| rows.len() == 1),
            "{held}"
        );

        refused(node.listener(Listener::KickOld), SERVED_HOST, "conflict").context("served host")
    })
}

#[test]
fn contract_s5_a_wrong_password_neither_registers_nor_kicks() -> Result<()> {
    Cluster::start(1)?.run(|cluster| {
        let node = &cluster[0];
        let mut holder = node.connect("a.example")?;
        let address = node.listener(Listener::KickOld);
        let mut wrong = Component::open(address, "a.example", "")?.send_digest("open")?;
        let text = wrong.receive_stream_error("not-authorized")?;
        ensure!(!text.is_empty(), "not a word about the reason");
        let mut other = node.connect("other.example")?;
        other.send_message("a.example", "still here")?;
        holder.receive_message("still here").map(drop)
    })
}

#[test]
fn contract_r3_of_handshakes_at_the_same_instant_exactly_one_wins_on_each_node() -> Result<()> {
    const ROUNDS: usize = 10;
    const CLAIMS: usize = 8;
    Cluster::start(2)?.run(|cluster| {
        for round in 0..ROUNDS {
            let domain = format!("race{round}.example");
            let winners = race(cluster, Listener::Disconnect, &domain, CLAIMS)?;
            // Two nodes may hold one name (contract R2), one node only once.
            ensure!(
                winners.len() == 2,
                "{} winners in round {round}",
                winners.len()
            );
            ensure!(
                winners[0].0 != winners[1].0,
                "both winners of round {round} on one node"
            );
        }
        Ok(())
    })
}

#[test]
fn contract_r3_with_cluster_scope_exactly_one_wins_in_the_cluster() -> Result<()> {
    const ROUNDS: usize = 10;
    const CLAIMS: usize = 9;
    start_exclusive(3)?.run(|cluster| {
        for round in 0..ROUNDS {
            let domain = format!("race{round}.example");
            let winners = race(cluster, EXCLUSIVE, &domain, CLAIMS)?;
            ensure!(
                winners.len() == 1,
                "{} winners in round {round}",
                winners.len()
            );
            for node in cluster.iter() {
                // Whatever the newcomer's listener thinks of it: one owner is promised.
                refused(node.listener(EXCLUSIVE), &domain, "conflict")?;
                refused(node.listener(Listener::Disconnect), &domain, "conflict")?;
            }
            // What is refused leaves the owner alone, and is not in its way on any node.
            let mut winner = winners.into_iter().next().context("a winner")?.1;
            for (number, node) in cluster.iter().enumerate() {
                let mut sender = node.connect(&format!("sender{round}.{number}.example"))?;
                sender.send_message(&domain, "still here")?;
                winner.receive_message("still here")?;
            }
        }
        Ok(())
    })
}

#[test]
fn contract_s8_with_cluster_scope_the_newcomer_kicks_who_is_on_another_node() -> Result<()> {
    start_exclusive(3)?.run(|cluster| {
        let mut senders = cluster
            .iter()
            .enumerate()
            .map(|(number, node)| node.connect(&format!("sender{number}.example")))
            .collect::<Result<Vec<_>>>()?;
        let mut old = Component::connect(cluster[0].listener(Listener::KickOld), "a.example")?;
        // Two clients that kick each other from node to node.
        for round in 1..5 {
            let node = &cluster[round % 3];
            let mut new = Component::connect(node.listener(Listener::KickOld), "a.example")?;
            let text = old.receive_stream_error("conflict")?;
            ensure!(text == "Replaced by new connection", "{text:?}");
            drop(old);
            for i in 0..20 {
                for (number, sender) in senders.iter_mut().enumerate() {
                    let body = format!("{round} {number} {i}");
                    sender.send_message("a.example", &body)?;
                    new.receive_message(&body)?;
                }
            }
            let held = node.query(&["components", "--linearizable", "--domain", "a.example"])?;
            let rows = held["components"].as_array().context("no rows")?;
            ensure!(rows.len() == 1 && rows[0]["exclusive"] == true, "{held}");
            ensure!(rows[0]["node"] == node.name(), "{held}");
            old = new;
        }
        let damped = cluster
            .iter()
            .filter(|node| node.log().contains("Connections kick each other"))
            .count();
        ensure!(damped > 0, "nobody was slowed down");
        Ok(())
    })
}

#[test]
fn contract_r6_components_are_accepted_for_this_node_only_and_published_later() -> Result<()> {
    let mut cluster = Cluster::prepare(2)?;
    for node in cluster.iter() {
        let text = fs::read_to_string(node.config_file())?;
        let option = "\n[registry]\non_no_quorum = \"accept_local\"\n";
        fs::write(node.config_file(), text + option)?;
    }
    cluster.start_all()?;
    cluster.run(|cluster| {
        cluster[1].kill();
        let (mut a, mut b) = (
            cluster[0].connect("a.example")?,
            cluster[0].connect("b.example")?,
        );
        a.send_message("b.example", "on one node")?;
        b.receive_message("on one node")?;
        cluster[1].start()?;
        cluster[1].wait_ready()?;
        let node = &cluster[1];
        eventually(
            "the components to be known on the other node",
            PATIENCE,
            || {
                let held = node.query(&["components", "--node", "node1"])?;
                let rows = held["components"].as_array().map_or(0, Vec::len);
                ensure!(rows == 2, "{held}");
                Ok(())
            },
        )?;
        let mut there = cluster[1].connect("there.example")?;
        there.send_message("a.example", "across")?;
        a.receive_message("across").map(drop)
    })
}

/// The listener that says `conflict_scope = "cluster"` in [`start_exclusive`].
const EXCLUSIVE: Listener = Listener::Hidden;

/// Nodes whose listeners [`EXCLUSIVE`] and [`Listener::KickOld`] have the scope of the cluster.
fn start_exclusive(count: usize) -> Result<Cluster> {
    let mut cluster = Cluster::prepare(count)?;
    for node in cluster.iter() {
        let mut text = fs::read_to_string(node.config_file())?;
        for listener in ["hidden_components = true\n", "\"kick_old\"\n"] {
            let option = format!("{listener}conflict_scope = \"cluster\"\n");
            text = text.replace(listener, &option);
        }
        fs::write(node.config_file(), text)?;
    }
    cluster.start_all()?;
    Ok(cluster)
}

/// Handshakes for `domain` at the same instant, spread over the nodes: who was accepted, and where.
fn race(
    cluster: &Cluster,
    listener: Listener,
    domain: &str,
    claims: usize,
) -> Result<Vec<(SocketAddr, Component)>> {
    let addresses = cluster.iter().map(|node| node.listener(listener));
    let open = addresses.cycle().take(claims).map(|address| {
        Component::open(address, domain, "").map(|handshaking| (address, handshaking))
    });
    let open = open.collect::<Result<Vec<_>>>()?;
    Ok(thread::scope(|scope| {
        let threads: Vec<_> = open
            .into_iter()
            .map(|(address, handshaking)| {
                scope.spawn(move || (address, handshaking.authenticate(SECRET)))
            })
            .collect();
        let answers = threads
            .into_iter()
            .map(|t| t.join().expect("no thread panics"));
        answers
            .filter_map(|(address, answer)| Some((address, answer.ok()?)))
            .collect()
    }))
}

/// Connects with the right password and expects that stream error.
fn refused(address: SocketAddr, domain: &str, condition: &str) -> Result<()> {
    let mut component = Component::open(address, domain, "")?.send_digest(SECRET)?;
    component.receive_stream_error(condition).map(drop)
}
