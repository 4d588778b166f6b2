//! What the command line says and how it ends when something is wrong (contract A3).

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use switchyard_tests::cli::{self, Output};
use switchyard_tests::{Cluster, Node, NodeConfig};

const FAILED: i32 = 1;
const USAGE: i32 = 2;
const CONFIGURATION: i32 = 64;

#[test]
fn contract_l1_an_unknown_key_is_refused_with_its_place_and_the_nearest_key() -> Result<()> {
    let cluster = Cluster::prepare(1)?;
    let file = cluster[0].config_file();
    let text = fs::read_to_string(file)?;
    ensure!(
        check(file)?.code == 0,
        "the fixture's configuration is refused"
    );
    let line = 1 + text
        .lines()
        .position(|line| line.starts_with("password"))
        .context("no password")?;
    fs::write(file, text.replacen("password", "pasword", 1))?;
    for output in [check(file)?, serve(file)?] {
        ensure!(output.code == CONFIGURATION, "{output:?}");
        let place = format!("{}:{line}", file.display());
        for part in [&place, "pasword", "\"password\""] {
            ensure!(output.stderr.contains(part), "no {part} in {output:?}");
        }
    }
    nothing_was_written(&cluster[0])
}

#[test]
fn contract_l1_a_configuration_that_cannot_be_read_is_refused() -> Result<()> {
    let cluster = Cluster::prepare(1)?;
    let missing = cluster.dir().join("missing.toml");
    let output = check(&missing)?;
    ensure!(
        output.code == CONFIGURATION && output.stderr.contains("missing.toml"),
        "{output:?}"
    );
    fs::write(&missing, "[general\n")?;
    let output = check(&missing)?;
    ensure!(output.code == CONFIGURATION, "{output:?}");
    ensure!(
        output.stderr.contains("missing.toml:1"),
        "no line in {output:?}"
    );
    Ok(())
}

#[test]
fn contract_a2_peers_off_loopback_in_plain_text_have_to_be_asked_for() -> Result<()> {
    let cluster = Cluster::prepare(1)?;
    let file = cluster[0].config_file();
    let text = fs::read_to_string(file)?;
    let peers = cluster[0].config().peers;
    let open = text.replace(
        &format!("listen = \"{peers}\""),
        &format!("listen = \"0.0.0.0:{}\"", peers.port()),
    );
    fs::write(file, &open)?;
    let output = check(file)?;
    ensure!(
        output.code == CONFIGURATION && output.stderr.contains("insecure"),
        "{output:?}"
    );
    fs::write(
        file,
        open.replace("[cluster]", "[cluster]\ninsecure = true"),
    )?;
    ensure!(
        check(file)?.code == 0,
        "refused although it was asked for: {:?}",
        check(file)?
    );
    Ok(())
}

#[test]
fn a_port_in_use_ends_the_start_and_leaves_no_trace() -> Result<()> {
    let cluster = Cluster::prepare(1)?;
    let config = cluster[0].config();
    for address in [config.components[1], config.peers, config.api, config.http] {
        let _taken = TcpListener::bind(address)?;
        let output = serve(cluster[0].config_file())?;
        ensure!(output.code == FAILED, "{output:?}");
        let line = last_line(&output);
        ensure!(line.contains(&address.to_string()), "{output:?}");
        ensure!(line.matches("in use").count() == 1, "{output:?}");
        nothing_was_written(&cluster[0])?;
    }
    Ok(())
}

#[test]
fn a_data_directory_of_another_node_or_cluster_is_refused_and_not_touched() -> Result<()> {
    let mut cluster = Cluster::start(1)?;
    let own = cluster[0].config().clone();
    let other = Cluster::prepare(1)?;
    let mut spare = other[0].config().clone();
    spare.data_dir.clone_from(&own.data_dir);
    // Other ports, so that nothing but the directory can be the reason.
    in_use(&cluster, &spare).context("while another process uses it")?;
    cluster[0].terminate()?;

    let renamed = |name: &str, cluster: &str| {
        let mut config = spare.clone();
        config.name = name.to_owned();
        config.founders[0].name = name.to_owned();
        config.cluster = cluster.to_owned();
        config
    };
    let before = contents(&own.data_dir)?;
    for (config, found) in [
        (renamed("node7", "test"), "node1"),
        (renamed("node1", "other"), "test"),
    ] {
        let node = Node::new(cluster.dir(), config)?;
        let output = serve(node.config_file())?;
        ensure!(output.code == FAILED, "{output:?}");
        let line = last_line(&output);
        ensure!(
            line.contains(&own.data_dir.display().to_string()),
            "no directory: {output:?}"
        );
        ensure!(
            line.contains(&format!("\"{found}\"")),
            "not whose it is: {output:?}"
        );
        ensure!(
            contents(&own.data_dir)? == before,
            "the directory was changed: {output:?}"
        );
    }
    Ok(())
}

fn in_use(cluster: &Cluster, config: &NodeConfig) -> Result<()> {
    let mut config = config.clone();
    config.name = "node1".to_owned();
    let dir = cluster.dir().join("second");
    fs::create_dir(&dir)?;
    let node = Node::new(&dir, config)?;
    let output = serve(node.config_file())?;
    ensure!(output.code == FAILED, "{output:?}");
    let data_dir = node.config().data_dir.display().to_string();
    ensure!(last_line(&output).contains(&data_dir), "{output:?}");
    // The node that holds it goes on.
    cluster[0].query(&["cluster", "status"]).map(drop)
}

#[test]
fn an_unreadable_data_directory_ends_the_start() -> Result<()> {
    let cluster = Cluster::prepare(1)?;
    // A file where the directory should be: no user can make a directory of that.
    fs::write(&cluster[0].config().data_dir, "not a directory")?;
    let output = serve(cluster[0].config_file())?;
    ensure!(output.code == FAILED, "{output:?}");
    let data_dir = cluster[0].config().data_dir.display().to_string();
    ensure!(last_line(&output).contains(&data_dir), "{output:?}");
    Ok(())
}

#[test]
fn contract_a3_usage_errors_and_failures_have_their_own_exit_codes() -> Result<()> {
    for arguments in [
        &["serve"][..],
        &["nonsense"],
        &["components", "--nonsense"],
        &["demo", "--seconds", "x"],
    ] {
        let output = cli::run(arguments)?;
        ensure!(
            output.code == USAGE && output.stdout.is_empty(),
            "{arguments:?}: {output:?}"
        );
    }
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    for arguments in [&["components"][..], &["cluster", "status"]] {
        let output = cli::run(arguments.iter().copied().chain(["--api", &nobody]))?;
        ensure!(
            output.code == FAILED && output.stdout.is_empty(),
            "{output:?}"
        );
        ensure!(
            output.stderr.lines().count() == 1,
            "not one line: {output:?}"
        );
        ensure!(output.stderr.contains(&nobody), "not where: {output:?}");
    }
    let output = cli::run(["--version"])?;
    ensure!(
        output.code == 0 && output.stdout.starts_with("switchyard "),
        "{output:?}"
    );
    Ok(())
}

#[test]
fn contract_a3_queries_with_a_configuration_that_cannot_be_used_say_so_by_their_exit_code()
-> Result<()> {
    let cluster = Cluster::prepare(1)?;
    let file = cluster[0].config_file();
    let text = fs::read_to_string(file)?;
    fs::write(file, text.replacen("[api]", "[apy]", 1))?;
    let file = file.display().to_string();
    for arguments in [
        &["components"][..],
        &["health"],
        &["cluster", "status"],
        &["cluster", "drain", "node1"],
        &["cluster", "add", "node2", "127.0.0.1:1"],
    ] {
        let output = cli::run(arguments.iter().copied().chain(["--config", &file]))?;
        ensure!(
            output.code == CONFIGURATION && output.stderr.contains("apy"),
            "{arguments:?}: {output:?}"
        );
    }
    Ok(())
}

#[test]
fn the_demonstration_delivers_every_message_and_ends_by_itself() -> Result<()> {
    let output = cli::run(["demo", "--seconds", "3"])?;
    ensure!(output.code == 0, "{output:?}");
    Ok(())
}

fn check(file: &Path) -> Result<Output> {
    cli::run([Path::new("check-config"), Path::new("--config"), file])
}

fn serve(file: &Path) -> Result<Output> {
    cli::run([Path::new("serve"), Path::new("--config"), file])
}

fn last_line(output: &Output) -> &str {
    output.stderr.lines().last().unwrap_or_default()
}

fn nothing_was_written(node: &Node) -> Result<()> {
    let data_dir = &node.config().data_dir;
    ensure!(!data_dir.exists(), "{} was made", data_dir.display());
    Ok(())
}

/// The files of a directory with what is in them.
fn contents(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.path().display().to_string();
        if entry.file_type()?.is_dir() {
            files.extend(contents(&entry.path())?);
            files.insert(name, Vec::new());
        } else {
            files.insert(name, fs::read(entry.path())?);
        }
    }
    Ok(files)
}
