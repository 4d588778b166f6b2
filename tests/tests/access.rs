//! Access rules and shapers of component listeners, across processes (contract L2, L3).

use std::fs;

use anyhow::{Context, Result, ensure};
use switchyard_tests::{Cluster, Component, Listener, Node, PATIENCE, eventually, http};

const RULES: &str = r#"
[acl]
blocked = [{user = "bob"}, {server = "evil.example"}]

[access]
friends = [{acl = "blocked", value = "deny"}, {acl = "all", value = "allow"}]

[shaper.slow]
max_rate = 1000
"#;

/// Nodes whose listener [`Listener::KickOld`] has an access rule, and [`Listener::Hidden`] a
/// shaper.
fn start(count: usize) -> Result<Cluster> {
    let mut cluster = Cluster::prepare(count)?;
    for node in cluster.iter() {
        let text = fs::read_to_string(node.config_file())?
            .replace("\"kick_old\"\n", "\"kick_old\"\naccess = \"friends\"\n")
            .replace(
                "hidden_components = true\n",
                "hidden_components = true\nshaper = \"slow\"\n",
            );
        fs::write(node.config_file(), text + RULES)?;
    }
    cluster.start_all()?;
    Ok(cluster)
}

fn message(user: &str, to: &str, id: &str, attributes: &str) -> String {
    format!(
        "<message from='{user}@a.example' to='{to}' id='{id}'{attributes}><body>{id}</body></message>"
    )
}

/// The sum of a metric's values on `node`.
fn metric(node: &Node, name: &str) -> Result<f64> {
    let (_, page) = http::get(node.config().http, "/metrics")?;
    let lines = page.lines().filter(|line| line.starts_with(name));
    let values =
        lines.map(|line| Ok(line.rsplit(' ').next().unwrap_or_default().parse::<f64>()?));
    values.sum()
}

fn dropped(cluster: &Cluster) -> Result<f64> {
    let dropped = cluster
        .iter()
        .map(|node| metric(node, "switchyard_stanzas_dropped_total"));
    dropped.sum()
}

#[test]
fn contract_l2_a_listener_s_rule_decides_about_each_sender_on_every_node() -> Result<()> {
    start(2)?.run(|cluster| {
        let mut a = cluster[0].connect("a.example")?;
        for far in [0, 1] {
            let name = format!("g{far}.example");
            let listener = cluster[far].listener(Listener::KickOld);
            let mut guarded = Component::connect(listener, &name)?;
            let outcome = senders(cluster, &mut a, &mut guarded, &name);
            outcome.with_context(|| format!("from node 0 to node {far}"))?;
            errors_obey_too(cluster, &mut guarded, &name)?;
        }
        Ok(())
    })
}

fn senders(
    cluster: &Cluster,
    a: &mut Component,
    guarded: &mut Component,
    name: &str,
) -> Result<()> {
    // In one write: a run for one destination, with several senders.
    let users = [
        ("alice", "1"),
        ("bob", "2"),
        ("alice", "3"),
        ("BOB", "4"),
        ("carol", "5"),
    ];
    let run: Vec<String> = users
        .iter()
        .map(|(user, id)| message(user, name, id, ""))
        .collect();
    a.send(&run.concat())?;
    for id in ["1", "3", "5"] {
        guarded.receive_message(id)?;
    }
    for id in ["2", "4"] {
        a.receive_error(id, "not-allowed", "cancel")?;
    }
    a.send(&message("bob", name, "6", ""))?;
    a.receive_error("6", "not-allowed", "cancel")?;

    // An error is denied like everything else, and never answered.
    let before = dropped(cluster)?;
    a.send(&message("bob", name, "7", " type='error'"))?;
    eventually("the error to be dropped", PATIENCE, || {
        let now = dropped(cluster)?;
        ensure!(now == before + 1.0, "{now} dropped, {before} before");
        Ok(())
    })?;
    guarded.send_message("a.example", "8")?;
    a.receive_message("8")?;
    a.send(&message("alice", name, "9", ""))?;
    guarded.receive_message("9")?;
    Ok(())
}

/// The answer to a stanza is subject to the rule of who sent it.
fn errors_obey_too(cluster: &Cluster, guarded: &mut Component, name: &str) -> Result<()> {
    let before = dropped(cluster)?;
    guarded.send_message("x@evil.example", "1")?;
    guarded.send_message("x@unknown.example", "2")?;
    guarded.receive_error("2", "remote-server-not-found", "cancel")?;
    let now = dropped(cluster)?;
    ensure!(
        now == before + 1.0,
        "{name}: {now} dropped, {before} before"
    );
    Ok(())
}

#[test]
fn contract_l3_a_shaper_pauses_reading_loses_nothing_and_holds_up_nobody_else() -> Result<()> {
    start(1)?.run(|cluster| {
        let node = &cluster[0];
        let mut a = node.connect("a.example")?;
        let mut b = node.connect("b.example")?;
        let mut shaped = Component::connect(node.listener(Listener::Hidden), "s.example")?;
        for id in 0..30 {
            shaped.send_message("a.example", &id.to_string())?;
        }
        let paused = || metric(node, "switchyard_shaper_paused_seconds_total");
        eventually("reading to pause", PATIENCE, || {
            ensure!(paused()? > 0.0, "no pause was counted");
            Ok(())
        })?;
        b.send_message("s.example", "meanwhile")?;
        shaped.receive_message("meanwhile")?;
        shaped.send_message("a.example", "30")?;
        for id in 0..=30 {
            a.receive_message(&id.to_string())?;
        }
        Ok(())
    })
}

#[test]
fn contract_l3_a_pause_ends_with_the_connection() -> Result<()> {
    start(1)?.run(|cluster| {
        let mut shaped = Component::connect(cluster[0].listener(Listener::Hidden), "s.example")?;
        // It would pause for minutes.
        for _ in 0..4 {
            shaped.send(&" ".repeat(64 * 1024))?;
        }
        eventually("reading to pause", PATIENCE, || {
            ensure!(metric(&cluster[0], "switchyard_shaper_paused_connections")? == 1.0);
            Ok(())
        })?;
        cluster[0].terminate()?;
        shaped.receive_stream_error("system-shutdown")?;
        Ok(())
    })
}
