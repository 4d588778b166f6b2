//! Disks that are full, read-only, damaged or lost: the node ends in service or refuses to start,
//! and says why and what to do; the others go on (contract D1, R5).

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use switchyard_tests::{Cluster, Node, PATIENCE, SHORT_LEASE, SmallDisk, eventually, skipped};

/// Registrations that a full disk might still find room for, in what the log has allocated.
const MANY: usize = 5000;

#[test]
fn a_node_whose_disk_is_full_or_read_only_ends_in_words_and_comes_back() -> Result<()> {
    let mut cluster = Cluster::prepare_linked(3, SHORT_LEASE)?;
    let mut disks = Vec::new();
    for node in cluster.iter_mut() {
        match SmallDisk::mount(&node.config().data_dir, 8) {
            Ok(disk) => disks.push(disk),
            Err(error) => return skipped("full and read-only disks", &error),
        }
        node.run_by(disks[disks.len() - 1].entering());
    }
    cluster.run(|cluster| {
        cluster.start_all()?;
        for is_leader in [true, false] {
            let victim = (cluster.leader()? + usize::from(!is_leader)) % 3;
            fill_up(cluster, victim, &disks[victim])
                .with_context(|| format!("{}, leader: {is_leader}", cluster[victim].name()))?;
        }
        disks[0].set_read_only(false)?;
        cluster[0].terminate()?;
        disks[0].set_read_only(true)?;
        cluster[0].start()?;
        expect_end(&mut cluster[0], &["Read-only file system"])?;
        disks[0].set_read_only(false)?;
        cluster.start_all()
    })
}

fn fill_up(cluster: &mut Cluster, victim: usize, disk: &SmallDisk) -> Result<()> {
    let stayed = (victim + 1) % 3;
    let steady = cluster[stayed].connect("steady.example")?;
    disk.fill()?;
    let mut connected = Vec::new();
    for number in 0..MANY {
        match cluster[victim].connect(&format!("many{number}.example")) {
            Ok(component) => connected.push(component),
            Err(_) => break,
        }
    }
    eprintln!("{} components on a full disk", connected.len());
    expect_end(&mut cluster[victim], &["No space left on device"])?;
    // The others go on, and forget who was connected there.
    let fresh = eventually("the others to go on", PATIENCE, || {
        cluster[stayed].connect("fresh.example")
    })?;
    lists(cluster, &[stayed], &["fresh.example", "steady.example"])?;
    // What it needs to start may fit into what the log has allocated, or not.
    cluster[victim].start()?;
    if cluster[victim].wait_ready().is_err() {
        expect_end(&mut cluster[victim], &["No space left on device"])?;
    }
    cluster[victim].kill();

    disk.free()?;
    cluster[victim].start()?;
    cluster[victim].wait_ready()?;
    let again = cluster[victim].connect("again.example")?;
    let expected = ["again.example", "fresh.example", "steady.example"];
    lists(cluster, &[0, 1, 2], &expected)?;
    [again, fresh, steady]
        .into_iter()
        .try_for_each(|c| c.close())?;
    lists(cluster, &[0, 1, 2], &[])
}

/// The node has to end by itself, and its last line has to name its data directory and these words.
fn expect_end(node: &mut Node, words: &[&str]) -> Result<()> {
    let status = node.wait_exit()?;
    ensure!(status.code() == Some(1), "{status}");
    let log = node.log();
    let last = log.lines().last().unwrap_or_default();
    let dir = node.config().data_dir.display().to_string();
    for word in words.iter().copied().chain([dir.as_str()]) {
        ensure!(last.contains(word), "no {word:?} in {last:?}");
    }
    Ok(())
}

/// Waits until these nodes list these domains.
fn lists(cluster: &Cluster, nodes: &[usize], expected: &[&str]) -> Result<()> {
    for node in nodes.iter().map(|node| &cluster[*node]) {
        eventually("the right table", PATIENCE, || {
            let listed = node.query(&["components"])?;
            let rows = listed["components"].as_array().context("no components")?;
            let domains: Vec<_> = rows.iter().filter_map(|r| r["domain"].as_str()).collect();
            ensure!(domains == expected, "{}: {listed}", node.name());
            Ok(())
        })?;
    }
    Ok(())
}

/// What may happen to the files of a node while it is dead.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// The log ends early.
    Torn,
    /// The end of the log is zeros.
    Zeroed,
    /// Some octets everywhere are others.
    Garbled,
    /// The log is gone.
    NoLog,
    /// Everything is gone.
    Lost,
}

#[test]
fn a_node_whose_log_is_damaged_never_has_a_wrong_table() -> Result<()> {
    let mut cluster = Cluster::prepare_linked(3, SHORT_LEASE)?;
    cluster.start_all()?;
    cluster.run(|cluster| {
        let damages = [
            Damage::Torn,
            Damage::Zeroed,
            Damage::Garbled,
            Damage::NoLog,
            Damage::Lost,
        ];
        for (round, damage) in damages.into_iter().enumerate() {
            suffer(cluster, round, damage).with_context(|| format!("{damage:?}"))?;
        }
        Ok(())
    })
}

fn suffer(cluster: &mut Cluster, round: usize, damage: Damage) -> Result<()> {
    // Whoever leads, or another.
    let victim = (cluster.leader()? + round % 2) % 3;
    let stayed = (victim + 1) % 3;
    let names = [0, 1, 2].map(|i| format!("c{i}.example"));
    let near = cluster[stayed].connect(&names[0])?;
    let _lost = cluster[victim].connect("lost.example")?;
    cluster[victim].kill();
    let data_dir = cluster[victim].config().data_dir.clone();
    inflict(damage, &data_dir).context("damaging it")?;
    let far = eventually("the others to go on", PATIENCE, || {
        cluster[stayed].connect(&names[1])
    })?;

    cluster[victim].start()?;
    if let Err(error) = cluster[victim].wait_ready() {
        eprintln!("{damage:?}: {error:#}");
        expect_end(
            &mut cluster[victim],
            &["damaged", "remove the whole data directory"],
        )?;
        fs::remove_dir_all(&data_dir)?;
        cluster[victim].start()?;
        cluster[victim].wait_ready()?;
    }
    let back = cluster[victim].connect(&names[2])?;
    lists(cluster, &[0, 1, 2], &names.each_ref().map(String::as_str))?;
    [near, far, back].into_iter().try_for_each(|c| c.close())?;
    lists(cluster, &[0, 1, 2], &[])
}

fn inflict(damage: Damage, data_dir: &Path) -> Result<()> {
    const END: u64 = 64 * 1024;
    let path = data_dir.join("registry.redb");
    match damage {
        Damage::NoLog => return Ok(fs::remove_file(path)?),
        Damage::Lost => return Ok(fs::remove_dir_all(data_dir)?),
        Damage::Torn | Damage::Zeroed | Damage::Garbled => {}
    }
    let log = OpenOptions::new().read(true).write(true).open(path)?;
    let length = log.metadata()?.len();
    let end = length.saturating_sub(END);
    match damage {
        Damage::Torn => log.set_len(end)?,
        Damage::Zeroed => log.write_all_at(&[0; END as usize], end)?,
        _ => {
            for at in (0..length).step_by(997) {
                let mut octet = [0];
                log.read_exact_at(&mut octet, at)?;
                log.write_all_at(&[!octet[0]], at)?;
            }
        }
    }
    Ok(())
}
