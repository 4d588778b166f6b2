//! Several claims to one name (contract R2, R3, R5, S5, S8).

use std::net::SocketAddr;
use std::thread;

use anyhow::{Context, Result, ensure};
use switchyard_tests::{Cluster, Component, Listener, SECRET, SERVED_HOST};

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
            let addresses = cluster
                .iter()
                .map(|node| node.listener(Listener::Disconnect));
            let open = addresses.cycle().take(CLAIMS).map(|address| {
                Component::open(address, &domain, "").map(|handshaking| (address, handshaking))
            });
            let open = open.collect::<Result<Vec<_>>>()?;
            let winners: Vec<(SocketAddr, Component)> = thread::scope(|scope| {
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
            });
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

/// Connects with the right password and expects that stream error.
fn refused(address: SocketAddr, domain: &str, condition: &str) -> Result<()> {
    let mut component = Component::open(address, domain, "")?.send_digest(SECRET)?;
    component.receive_stream_error(condition).map(drop)
}
