//! SIGHUP: the configuration is replaced while components exchange stanzas (contract A4, L4).

use std::fs;
use std::net::{SocketAddr, TcpListener};

use anyhow::{Result, ensure};
use rustix::process::Signal;
use switchyard_tests::{
    Cluster, Component, Listener, Node, PATIENCE, SECRET, Traffic, eventually, http,
};

#[test]
fn contract_a4_a_reload_costs_no_stanza_and_is_done_as_a_whole_or_not_at_all() -> Result<()> {
    Cluster::start(2)?.run(|cluster| {
        let domains = ["a.example", "b.example", "c.example"];
        let nodes = [&cluster[0], &cluster[0], &cluster[1]];
        let connect =
            |(node, domain): (&Node, &str)| Ok((domain.to_owned(), node.connect(domain)?));
        let components = nodes.into_iter().zip(domains).map(connect);
        let traffic = Traffic::between(components.collect::<Result<_>>()?);
        let flows_on = || {
            traffic.wait_for_deliveries("a.example", "b.example", 500)?;
            traffic.wait_for_deliveries("c.example", "a.example", 500)
        };
        flows_on()?;
        let node = &cluster[0];
        rotate_a_secret(node)?;
        flows_on()?;
        add_a_listener(node)?;
        flows_on()?;
        break_the_file(node)?;
        flows_on()?;
        change_the_rest(node)?;
        flows_on()?;
        remove_the_listener(node)?;
        flows_on()?;
        let log = node.log();
        for secret in [SECRET, "first hunter", "second hunter", "third hunter"] {
            ensure!(!log.contains(secret), "the log has a secret");
        }
        traffic.finish(&[]).map(drop)
    })
}

/// Old secret, both, new secret.
fn rotate_a_secret(node: &Node) -> Result<()> {
    let address = node.listener(Listener::Disconnect);
    let old = format!("password = \"{SECRET}\"");
    let both = format!("password = [\"first hunter\", \"{SECRET}\"]");
    let new = "password = \"first hunter\"";
    node.reload(|text| text.replacen(&old, &both, 1))?;
    wait_for_reloads(node, "applied", 1)?;
    authenticate(address, SECRET)?.close()?;
    authenticate(address, "first hunter")?.close()?;
    node.reload(|text| text.replacen(&both, new, 1))?;
    wait_for_reloads(node, "applied", 2)?;
    authenticate(address, "first hunter")?.close()?;
    let refused = authenticate(address, SECRET);
    ensure!(
        refused.is_err_and(|error| error.to_string().contains("not-authorized")),
        "the old secret is still valid"
    );
    logged(node, &format!("listen.component {address} (password)"))
}

/// With a secret in a file, which changes on its own as well.
fn add_a_listener(node: &Node) -> Result<()> {
    let address = node.config().spare;
    let file = node.config_file().with_file_name("secret");
    fs::write(&file, "second hunter\n")?;
    let listener = format!(
        "[[listen.component]]\nport = {}\nip_address = \"{}\"\npassword_file = \"secret\"\n",
        address.port(),
        address.ip()
    );
    node.reload(|text| format!("{text}{listener}"))?;
    wait_for_reloads(node, "applied", 3)?;
    let mut open = authenticate(address, "second hunter")?;
    fs::write(&file, "third hunter\n")?;
    node.reload(|text| text)?;
    wait_for_reloads(node, "applied", 4)?;
    logged(node, &format!("listen.component {address} (password_file)"))?;
    open.send_message("new.example", "stays")?;
    open.receive_message("stays")?;
    open.close()?;
    authenticate(address, "third hunter")?.close()
}

fn break_the_file(node: &Node) -> Result<()> {
    node.reload(|text| text.replacen("password_file", "pasword_file", 1))?;
    wait_for_reloads(node, "refused", 1)?;
    let place = format!("{}:", node.config_file().display());
    for part in [&place, "pasword_file", "kept the old configuration"] {
        logged(node, part)?;
    }
    authenticate(node.config().spare, "third hunter")?.close()?;
    // A port cannot be had: the secret, which is right, does not change either.
    let holder = TcpListener::bind("127.0.0.1:0")?;
    let taken = holder.local_addr()?;
    let port = format!("port = {}", node.config().spare.port());
    let other = format!("port = {}", taken.port());
    node.reload(|text| {
        text.replacen("pasword_file", "password_file", 1)
            .replacen(&port, &other, 1)
            .replacen("first hunter", "fourth hunter", 1)
    })?;
    wait_for_reloads(node, "refused", 2)?;
    logged(node, &format!("cannot listen for components on {taken}"))?;
    authenticate(node.listener(Listener::Disconnect), "first hunter")?.close()?;
    authenticate(node.config().spare, "third hunter")?.close()?;
    node.reload(|text| {
        text.replacen(&other, &port, 1)
            .replacen("fourth hunter", "first hunter", 1)
    })?;
    wait_for_reloads(node, "applied", 5)
}

fn change_the_rest(node: &Node) -> Result<()> {
    let change = |text: String| {
        text.replacen("loglevel = \"info\"", "loglevel = \"debug\"", 1)
            .replacen("data_dir = \"", "data_dir = \"/nowhere", 1)
    };
    node.reload(change)?;
    wait_for_reloads(node, "applied", 6)?;
    logged(node, "\"node.data_dir\" has changed, which needs a restart")?;
    authenticate(node.config().spare, "third hunter")?.close()?;
    eventually("a line at the level debug", PATIENCE, || {
        logged(node, "DEBUG")
    })?;
    // Nobody waits for the first to be done.
    node.reload(|text| text)?;
    node.reload(|text| text.replacen("\"debug\"", "\"info\"", 1))?;
    eventually("the last to count", PATIENCE, || {
        let changes = node.log().matches("general.loglevel").count();
        ensure!(changes == 2, "the level has changed {changes} times");
        Ok(())
    })
}

fn remove_the_listener(node: &Node) -> Result<()> {
    let address = node.config().spare;
    let mut open = authenticate(address, "third hunter")?;
    node.reload(|text| {
        let (kept, _) = text
            .rsplit_once("[[listen.component]]")
            .expect("the listener that was added");
        kept.to_owned()
    })?;
    open.receive_stream_error("reset")?;
    let gone = || ensure_err(Component::open(address, "new.example", ""));
    eventually("nobody to listen there", PATIENCE, gone)
}

#[test]
fn a_reload_of_a_node_that_starts_or_stops_does_not_end_it() -> Result<()> {
    let mut cluster = Cluster::prepare(2)?;
    // Alone it has no quorum, and goes on starting.
    cluster[0].start()?;
    eventually("the node to be up", PATIENCE, || {
        http::get(cluster[0].config().http, "/healthz")
    })?;
    cluster[0].reload(|text| text)?;
    wait_for_reloads(&cluster[0], "applied", 1)?;
    cluster.start_all()?;
    // Both signals are there when it goes on.
    cluster[0].pause()?;
    cluster[0].reload(|text| text)?;
    cluster[0].signal(Signal::TERM)?;
    cluster[0].resume()?;
    let status = cluster[0].terminate()?;
    ensure!(status.success(), "{status}\n{}", cluster[0].log_tail());
    Ok(())
}

fn authenticate(address: SocketAddr, secret: &str) -> Result<Component> {
    Component::open(address, "new.example", "")?.authenticate(secret)
}

fn ensure_err<T>(result: Result<T>) -> Result<()> {
    ensure!(result.is_err(), "it succeeds");
    Ok(())
}

fn logged(node: &Node, part: &str) -> Result<()> {
    ensure!(node.log().contains(part), "{part} was not logged");
    Ok(())
}

fn wait_for_reloads(node: &Node, outcome: &str, count: u64) -> Result<()> {
    let line = format!("switchyard_config_reloads_total{{outcome=\"{outcome}\"}} {count}");
    eventually(&line, PATIENCE, || {
        let (_, metrics) = http::get(node.config().http, "/metrics")?;
        ensure!(metrics.lines().any(|found| found == line), "not yet");
        Ok(())
    })
}
