//! TLS between nodes and on the API (contract A2).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use switchyard_registry::registry_api::registry_client::RegistryClient;
use switchyard_registry::registry_api::{WatchRequest, WatchResponse};
use switchyard_tests::{Cluster, Node, PATIENCE, cli, eventually, http};
use tonic::transport::Channel;
use tonic::{Code, Request, Streaming};

/// Has `switchyard cluster certs` make certificates of these nodes in `dir`.
fn make_certificates(dir: &Path, nodes: &[&str]) -> Result<String> {
    let dir = dir.display().to_string();
    let nodes = nodes.iter().flat_map(|node| ["--node", node]);
    let line = ["cluster", "certs", "--dir", &dir].into_iter().chain(nodes);
    let output = cli::run(line)?;
    ensure!(output.code == 0, "{output:?}");
    Ok(output.stdout)
}

/// `[cluster.tls]` with the certificate of `node`.
fn cluster_tls(dir: &Path, node: &str) -> String {
    let file = |name: String| dir.join(name).display().to_string();
    format!(
        "\n[cluster.tls]\ncertfile = {:?}\nkeyfile = {:?}\ncacertfile = {:?}\n",
        file(format!("{node}.pem")),
        file(format!("{node}.key")),
        file("ca.pem".to_owned()),
    )
}

/// Changes the configuration file of a node that does not run.
fn edit(node: &Node, edit: impl FnOnce(String) -> String) -> Result<()> {
    let text = fs::read_to_string(node.config_file())?;
    Ok(fs::write(node.config_file(), edit(text))?)
}

/// Waits until the node has logged `words`.
fn wait_for_log(node: &Node, words: &str) -> Result<()> {
    eventually(&format!("{}: {words}", node.name()), PATIENCE, || {
        let log = node.log();
        ensure!(log.contains(words), "{log}");
        Ok(())
    })
}

fn certificates_of(cluster: &Cluster) -> PathBuf {
    cluster.dir().join("tls")
}

#[test]
fn contract_a2_nodes_with_certificates_form_a_cluster_and_renew_them() -> Result<()> {
    let mut cluster = Cluster::prepare(3)?;
    let dir = certificates_of(&cluster);
    let printed = make_certificates(&dir, &["node1", "node2", "node3"])?;
    for node in cluster.iter() {
        let tls = cluster_tls(&dir, node.name());
        ensure!(printed.contains(tls.trim()), "{printed}");
        edit(node, |text| text + &tls)?;
    }
    cluster.start_all()?;
    cluster.run(|cluster| {
        let exchange = |from: &Node, to: &Node, body: &str| -> Result<()> {
            let mut sender = from.connect("a.example")?;
            let mut receiver = to.connect("b.example")?;
            sender.send_message("b.example", body)?;
            receiver.receive_message(body)?;
            sender.close()?;
            receiver.close()
        };
        exchange(&cluster[0], &cluster[2], "before")?;

        // Connections that follow a reload show the new certificate, of a new authority here: the
        // former one is trusted until every node has changed.
        let old = fs::read_to_string(dir.join("ca.pem"))?;
        let renewed = cluster.dir().join("renewed");
        make_certificates(&renewed, &["node1", "node2", "node3"])?;
        let new = fs::read_to_string(renewed.join("ca.pem"))?;
        for dir in [&dir, &renewed] {
            fs::write(dir.join("ca.pem"), format!("{old}{new}"))?;
        }
        for count in 1..=2 {
            for node in cluster.iter() {
                node.reload(|text| match count {
                    1 => text,
                    _ => text.replace(dir.to_str().unwrap_or_default(), "renewed"),
                })?;
                eventually("the reload", PATIENCE, || {
                    let done = node.log().matches("changed=\"cluster.tls\"").count();
                    let done = done.max(node.log().matches("changed=cluster.tls").count());
                    ensure!(done == count, "{done}: {}", node.log_tail());
                    Ok(())
                })?;
            }
        }
        for dir in [&dir, &renewed] {
            fs::write(dir.join("ca.pem"), &new)?;
        }
        cluster[1].terminate()?;
        cluster.start_all()?;
        exchange(&cluster[1], &cluster[0], "after")
    })
}

#[test]
fn contract_a2_other_certificates_and_plain_text_are_refused_on_both_sides() -> Result<()> {
    let refusals: [(&str, &str, &str); 3] = [
        (
            "another authority",
            "its certificate was issued by an authority that is not trusted here",
            "its certificate was issued by an authority that is not trusted here",
        ),
        (
            "another name",
            "its certificate is that of node9, localhost, not of node2",
            "it refuses the certificate shown to it",
        ),
        ("plain text", "it does not speak TLS", "Waiting to become"),
    ];
    for (case, said_by_node1, said_by_the_other) in refusals {
        Cluster::prepare(2)?.run(|cluster| {
            let dir = certificates_of(cluster);
            make_certificates(&dir, &["node1", "node2", "node9"])?;
            let other = cluster.dir().join("other");
            make_certificates(&other, &["node2"])?;
            let tls = cluster_tls(&dir, "node1");
            edit(&cluster[0], |text| text + &tls)?;
            edit(&cluster[1], |text| match case {
                "another authority" => text + &cluster_tls(&other, "node2"),
                // It listens where node2 should.
                "another name" => text.replace("node2", "node9") + &cluster_tls(&dir, "node9"),
                _ => text,
            })?;
            cluster[0].start()?;
            cluster[1].start()?;
            wait_for_log(&cluster[0], said_by_node1)?;
            wait_for_log(&cluster[1], said_by_the_other)?;
            let (status, _) = http::get(cluster[0].config().http, "/readyz")?;
            ensure!(status == 503, "{case}: a cluster has been formed");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn contract_a2_a_node_does_not_start_with_the_certificate_of_another() -> Result<()> {
    let cluster = Cluster::prepare(1)?;
    let dir = certificates_of(&cluster);
    make_certificates(&dir, &["node2"])?;
    edit(&cluster[0], |text| text + &cluster_tls(&dir, "node2"))?;
    let file = cluster[0].config_file();
    let output = cli::run([Path::new("check-config"), Path::new("--config"), file])?;
    ensure!(
        output.code == 64
            && output.stderr.contains("\"cluster.tls.certfile\"")
            && output.stderr.contains("is that of node2")
            && output.stderr.contains("must carry the DNS name node1"),
        "{output:?}"
    );
    Ok(())
}

#[test]
fn contract_a2_the_api_is_for_those_who_prove_who_they_are() -> Result<()> {
    let mut cluster = Cluster::prepare(1)?;
    let dir = certificates_of(&cluster);
    make_certificates(&dir, &["node1"])?;
    let other = cluster.dir().join("other");
    make_certificates(&other, &["node1"])?;
    let tokens = ["the-first-hunter-2", "the-second-hunter-2"];
    for token in tokens {
        fs::write(cluster.dir().join(token), format!("{token}\n"))?;
    }
    let file = |name: &str| dir.join(name).display().to_string();
    let tls = format!(
        "\n[[api.tokens]]\nrole = \"read\"\ntoken_file = {:?}\n[api.tls]\ncertfile = {:?}\n\
         keyfile = {:?}\ncacertfile = {:?}\nadmins = [\"operator\"]\n",
        tokens[0],
        file("node1.pem"),
        file("node1.key"),
        file("ca.pem"),
    );
    edit(&cluster[0], |text| text + &tls)?;
    cluster.start_all()?;
    cluster.run(|cluster| {
        let node = &cluster[0];
        let api = format!("https://{}", node.config().api);
        let ask = |command: &[&str], credentials: &[&str]| {
            let trust = ["--api", &api, "--cacert", &file("ca.pem")].map(str::to_owned);
            let line = command
                .iter()
                .chain(credentials)
                .copied()
                .map(str::to_owned);
            cli::run(line.chain(trust))
        };
        let token = |of: &str| cluster.dir().join(of).display().to_string();
        let (first, second) = (token(tokens[0]), token(tokens[1]));
        let (list, drain) = (&["components"][..], &["cluster", "drain", "node1"][..]);
        let certificate = |name: &str| [file(&format!("{name}.pem")), file(&format!("{name}.key"))];
        let (own, operator) = (certificate("node1"), certificate("operator"));
        let by_own = ["--cert", &own[0], "--key", &own[1]];
        for (command, credentials, refusal) in [
            (list, &[][..], Some("show a token, or a client certificate")),
            (
                list,
                &["--token-file", &second],
                Some("the token is not one of this node's"),
            ),
            (list, &["--token-file", &first], None),
            (
                drain,
                &["--token-file", &first],
                Some("this needs the role \"admin\""),
            ),
            (list, &by_own, None),
            (drain, &by_own, Some("this needs the role \"admin\"")),
        ] {
            let output = ask(command, credentials)?;
            match refusal {
                Some(words) => ensure!(
                    output.code == 1 && output.stderr.contains(words),
                    "{command:?} {credentials:?}: {output:?}"
                ),
                None => ensure!(output.code == 0, "{command:?} {credentials:?}: {output:?}"),
            }
        }
        // The server proves who it is as well, and nobody talks to it in plain text.
        let ca = other.join("ca.pem").display().to_string();
        let output = cli::run(["components", "--api", &api, "--cacert", &ca])?;
        ensure!(output.stderr.contains("is not trusted here"), "{output:?}");
        let output = cli::run(["components", "--api", api.trim_start_matches("https://")])?;
        ensure!(
            output.code == 1 && output.stderr.contains("https"),
            "{output:?}"
        );
        // On the node's machine its configuration says it all.
        let config = node.config_file().display().to_string();
        let output = cli::run(["components", "--config", &config])?;
        ensure!(output.code == 0, "{output:?}");

        node.reload(|text| text.replace(tokens[0], tokens[1]))?;
        eventually("the new token to count", PATIENCE, || {
            let output = ask(list, &["--token-file", &second])?;
            ensure!(output.code == 0, "{output:?}");
            Ok(())
        })?;
        let output = ask(list, &["--token-file", &first])?;
        ensure!(output.code == 1, "the old token: {output:?}");
        let output = ask(drain, &["--cert", &operator[0], "--key", &operator[1]])?;
        ensure!(output.code == 0, "{output:?}");

        let log = node.log();
        ensure!(log.contains("API call refused"), "{log}");
        ensure!(!log.contains("hunter-2"), "the log has a token");
        let (_, metrics) = http::get(node.config().http, "/metrics")?;
        ensure!(
            metrics.contains("api_refused_total{reason=\"permission_denied\"} 2"),
            "{metrics}"
        );
        Ok(())
    })
}

#[test]
fn contract_a2_an_api_for_everybody_off_loopback_needs_the_operators_word() -> Result<()> {
    let cluster = Cluster::prepare(1)?;
    let dir = certificates_of(&cluster);
    make_certificates(&dir, &["node1"])?;
    let listen = format!("[api]\nlisten = \"{}\"", cluster[0].config().api);
    let everywhere = format!(
        "[api]\nlisten = \"0.0.0.0:{}\"",
        cluster[0].config().api.port()
    );
    let tls = cluster_tls(&dir, "node1").replace("[cluster.tls]", "[api.tls]");
    let for_everybody: Vec<&str> = tls
        .lines()
        .filter(|line| !line.contains("cacert"))
        .collect();
    let check = |edited: String| -> Result<cli::Output> {
        let file = cluster.dir().join("checked.toml");
        fs::write(&file, edited)?;
        cli::run([Path::new("check-config"), Path::new("--config"), &file])
    };
    let text = fs::read_to_string(cluster[0].config_file())?.replace(&listen, &everywhere);
    let output = check(text.clone())?;
    ensure!(
        output.code == 64 && output.stderr.contains("off loopback without TLS"),
        "{output:?}"
    );
    let output = check(text.clone() + &for_everybody.join("\n"))?;
    ensure!(
        output.code == 64 && output.stderr.contains("for everybody"),
        "{output:?}"
    );
    let output = check(text + &tls)?;
    ensure!(output.code == 0, "{output:?}");
    Ok(())
}

#[test]
fn contract_a2_a_watch_ends_with_the_right_to_it() -> Result<()> {
    let mut cluster = Cluster::prepare(1)?;
    let mut tokens = String::new();
    for name in ["first", "second"] {
        fs::write(cluster.dir().join(name), format!("the-{name}-hunter-2\n"))?;
        tokens += &format!("\n[[api.tokens]]\nrole = \"read\"\ntoken_file = {name:?}\n");
    }
    edit(&cluster[0], |text| text + &tokens)?;
    cluster.start_all()?;
    cluster.run(|cluster| {
        let node = &cluster[0];
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let mut ended = watch(node, "the-first-hunter-2").await?;
            let mut lasting = watch(node, "the-second-hunter-2").await?;
            let first = tokens.split("\n\n").next().unwrap_or_default().to_owned();
            node.reload(|text| text.replace(first.trim(), ""))?;
            let end = tokio::time::timeout(PATIENCE, ended.message()).await?;
            let code = end.err().map(|status| status.code());
            ensure!(code == Some(Code::Unauthenticated), "{code:?}");
            // Who still has it sees what happens.
            let _component = node.connect("a.example")?;
            let change = tokio::time::timeout(PATIENCE, lasting.message()).await??;
            ensure!(change.is_some(), "it has ended as well");
            Ok(())
        })
    })
}

/// A watch of the table from its present state on, which is empty.
async fn watch(node: &Node, token: &str) -> Result<Streaming<WatchResponse>> {
    let api = format!("http://{}", node.config().api);
    let channel = Channel::from_shared(api)?.connect().await?;
    let mut request = Request::new(WatchRequest { from_revision: 0 });
    let authorization = format!("Bearer {token}").parse()?;
    request
        .metadata_mut()
        .insert("authorization", authorization);
    let mut watch = RegistryClient::new(channel)
        .watch(request)
        .await?
        .into_inner();
    let present = watch.message().await?;
    ensure!(
        present.is_some_and(|present| present.snapshot_end),
        "no table"
    );
    Ok(watch)
}
