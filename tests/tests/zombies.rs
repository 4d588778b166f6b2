//! A node that hangs for longer than its lease while its components connect elsewhere, and comes back
//! (contract D1, R2, R3, R5).

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use parking_lot::Mutex;
use serde_json::Value;
use switchyard_tests::{
    Cluster, Component, ComponentReceiver, Element, Fate, History, Node, PATIENCE, SHORT_LEASE,
    eventually,
};

/// What the sender may be ahead of the outcomes.
const WINDOW: u64 = 64;
const ROUTE: (&str, &str) = ("a.example", "mover.example");

#[test]
fn contract_r2_a_component_that_moved_is_on_both_nodes_once_the_zombie_is_back() -> Result<()> {
    start("node")?.run(|cluster| {
        let (hung, refuge) = cast(cluster)?;
        move_while_hung(cluster, hung, refuge, |old| {
            // Its old connection was never closed: the component is there twice, as in MongooseIM.
            wait_for_holders(cluster, "mover.example", &[hung, refuge])?;
            // Its own node delivers there, not to where it moved.
            let mut near = cluster[hung].connect("near.example")?;
            near.send_message("mover.example", "near")?;
            eventually("the zombie's component to get it", PATIENCE, || {
                ensure!(old.got_near.load(Ordering::Relaxed), "it has not");
                Ok(())
            })?;
            near.close()?;
            let ended = old.ended.lock();
            ensure!(ended.is_none(), "{ended:?}");
            Ok(())
        })
    })
}

#[test]
fn contract_r3_with_cluster_scope_the_zombie_gives_up_what_another_node_has_taken() -> Result<()> {
    start("cluster")?.run(|cluster| {
        let (hung, refuge) = cast(cluster)?;
        move_while_hung(cluster, hung, refuge, |old| {
            let reason = eventually("the zombie's component to be ended", PATIENCE, || {
                old.ended.lock().clone().context("it goes on")
            })?;
            ensure!(reason.contains("conflict"), "{reason}");
            wait_for_holders(cluster, "mover.example", &[refuge])
        })
    })
}

/// Three nodes whose listeners have this `conflict_scope`.
fn start(scope: &str) -> Result<Cluster> {
    // What was sent to the zombie waits behind a relay, which nobody resets.
    let mut cluster = Cluster::prepare_linked(3, SHORT_LEASE)?;
    for node in cluster.iter() {
        let text = fs::read_to_string(node.config_file())?;
        let option = format!("[[listen.component]]\nconflict_scope = \"{scope}\"");
        fs::write(
            node.config_file(),
            text.replace("[[listen.component]]", &option),
        )?;
    }
    cluster.start_all()?;
    Ok(cluster)
}

/// Who hangs, and where its component goes. The leader sends.
fn cast(cluster: &Cluster) -> Result<(usize, usize)> {
    let leader = cluster.leader()?;
    Ok(((leader + 1) % 3, (leader + 2) % 3))
}

/// What is known of the connection that its component left behind on the zombie.
#[derive(Debug, Default)]
struct Old {
    /// It got the message `near`.
    got_near: AtomicBool,
    /// Why its stream ended, if it did.
    ended: Mutex<Option<String>>,
}

/// Numbered messages travel all the time to `mover.example`, first on the node `hung`, then, while
/// that hangs, on the node `refuge` as well. `check` is called once the zombie is back in a life.
fn move_while_hung(
    cluster: &Cluster,
    hung: usize,
    refuge: usize,
    check: impl FnOnce(&Old) -> Result<()>,
) -> Result<()> {
    let home = &cluster[3 - hung - refuge];
    let (mut sender, mut bounces) = home.connect("a.example")?.split();
    let (_old_sender, mut old) = cluster[hung].connect("mover.example")?.split();
    let mut talker = cluster[hung].connect("talker.example")?;
    let mut witness = home.connect("witness.example")?;
    let before = incarnation(home, cluster[hung].name())?;

    let history = Mutex::new(History::unordered());
    let (stop, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let left_behind = Old::default();
    thread::scope(|scope| {
        let sending = scope.spawn(|| sender.keep_sending(ROUTE, &history, WINDOW, &stop));
        let bouncing =
            scope.spawn(|| collect(&mut bounces, &history, &over, &AtomicBool::default()));
        scope.spawn(|| {
            let ended = collect(&mut old, &history, &over, &left_behind.got_near);
            *left_behind.ended.lock() = ended;
        });
        let outcome = (|| {
            wait_for_deliveries(&history, 200)?;
            cluster[hung].pause()?;
            eventually("the node to be given up", PATIENCE, || {
                let history = history.lock();
                let known = history.bounces().contains_key("remote-server-not-found");
                ensure!(known, "{history}");
                Ok(())
            })?;
            let (new_sender, mut new) = cluster[refuge].connect("mover.example")?.split();
            let (history, over) = (&history, &over);
            scope.spawn(move || {
                let _open = new_sender;
                collect(&mut new, history, over, &AtomicBool::default())
            });
            wait_for_deliveries(history, 200)?;
            // Waits in the zombie's sockets.
            for i in 0..50 {
                talker.send_message("witness.example", &format!("{i}"))?;
            }
            cluster[hung].resume()?;
            eventually("a new life", PATIENCE, || {
                let after = incarnation(home, cluster[hung].name())?;
                ensure!(after > before, "incarnation {after} after {before}");
                Ok(())
            })?;
            check(&left_behind)?;
            wait_for_deliveries(history, 200)?;
            each_has_one_outcome(&mut talker, &mut witness)
        })();
        stop.store(true, Ordering::Relaxed);
        let settled = eventually("an outcome for every message", PATIENCE, || {
            ensure!(history.lock().outstanding() == 0, "{}", history.lock());
            Ok(())
        });
        over.store(true, Ordering::Relaxed);
        sending.join().expect("no thread panics")?;
        let bouncing = bouncing.join().expect("no thread panics");
        ensure!(
            bouncing.is_none(),
            "the sender's stream ended: {bouncing:?}"
        );
        outcome.and(settled)
    })?;
    let history = history.into_inner();
    eprintln!("{history}");
    history.judge(Fate::Hung)
}

/// Notes what comes, until it is `over` or the stream ends: then why.
fn collect(
    receiver: &mut ComponentReceiver,
    history: &Mutex<History>,
    over: &AtomicBool,
    got_near: &AtomicBool,
) -> Option<String> {
    while !over.load(Ordering::Relaxed) {
        let noted = match receiver.receive_within(Duration::from_millis(20)) {
            Ok(Some(stanza)) if stanza.attribute("id") == "near" => {
                got_near.store(true, Ordering::Relaxed);
                Ok(())
            }
            Ok(Some(stanza)) => note(&stanza, &mut history.lock()),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = noted {
            return Some(format!("{error:#}"));
        }
    }
    None
}

/// An error if it is no numbered stanza, but the end of the stream.
fn note(stanza: &Element, history: &mut History) -> Result<()> {
    let number = stanza.attribute("id").parse();
    let number = number.with_context(|| format!("what is {stanza:?}"))?;
    match stanza.stanza_error() {
        Some((condition, _)) => history.bounced(number, condition),
        None => history.delivered(number),
    }
    Ok(())
}

fn wait_for_deliveries(history: &Mutex<History>, count: u64) -> Result<()> {
    let goal = history.lock().delivered_count() + count;
    eventually(&format!("{count} deliveries"), PATIENCE, || {
        ensure!(
            history.lock().delivered_count() >= goal,
            "{}",
            history.lock()
        );
        Ok(())
    })
}

/// The fifty messages of the talker have reached the witness or were answered.
fn each_has_one_outcome(talker: &mut Component, witness: &mut Component) -> Result<()> {
    let mut history = History::unordered();
    for _ in 0..50 {
        history.send();
    }
    eventually(
        "an outcome of what the zombie was to send",
        PATIENCE,
        || {
            for component in [&mut *talker, &mut *witness] {
                while let Some(stanza) = component.receive_within(Duration::from_millis(20))? {
                    note(&stanza, &mut history)?;
                }
            }
            ensure!(history.outstanding() == 0, "{history}");
            Ok(())
        },
    )?;
    history.judge(Fate::Stayed)
}

/// Waits until every node says that these nodes hold `domain`, and no other.
fn wait_for_holders(cluster: &[Node], domain: &str, holders: &[usize]) -> Result<()> {
    let mut expected: Vec<&str> = holders
        .iter()
        .map(|holder| cluster[*holder].name())
        .collect();
    expected.sort_unstable();
    for node in cluster {
        eventually(&format!("the table of {}", node.name()), PATIENCE, || {
            let listed = node.query(&["components", "--domain", domain])?;
            let rows = listed["components"].as_array().context("no components")?;
            let mut nodes: Vec<&str> = rows.iter().filter_map(|row| row["node"].as_str()).collect();
            nodes.sort_unstable();
            ensure!(nodes == expected, "{listed}");
            Ok(())
        })?;
    }
    Ok(())
}

fn incarnation(via: &Node, node: &str) -> Result<u64> {
    let status = via.query(&["cluster", "status"])?;
    let nodes = status["nodes"].as_array().context("no nodes")?;
    let row: &Value = nodes
        .iter()
        .find(|row| row["node"] == node)
        .context("not in the list")?;
    row["incarnation"].as_u64().context("no incarnation")
}
