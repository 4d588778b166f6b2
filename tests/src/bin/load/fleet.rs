//! Clusters with learners.

use std::fs;
use std::net::SocketAddr;

use anyhow::{Result, ensure};
use switchyard_tests::Cluster;

/// As many of the first nodes are founders, and voters.
pub(crate) const VOTERS: usize = 3;

/// Writes the configurations of `count` nodes, and starts none: the first are founders, the others
/// come to them as learners.
pub(crate) fn prepare(count: usize) -> Result<Cluster> {
    let cluster = Cluster::prepare(count)?;
    let founders: Vec<String> = (0..count.min(VOTERS))
        .map(|index| {
            let config = cluster[index].config();
            format!("\"{}={}\"", config.name, config.peers)
        })
        .collect();
    let seeds: Vec<SocketAddr> = (0..count.min(VOTERS))
        .map(|index| cluster[index].config().peers)
        .collect();
    let seeds: Vec<String> = seeds.iter().map(|seed| format!("\"{seed}\"")).collect();
    for (index, node) in cluster.iter().enumerate() {
        let line = if index < VOTERS {
            format!("members = [{}]", founders.join(", "))
        } else {
            format!("seeds = [{}]", seeds.join(", "))
        };
        let text = fs::read_to_string(node.config_file())?;
        let mut lines: Vec<&str> = text.lines().collect();
        let members = lines.iter().position(|line| line.starts_with("members = "));
        let members = members.map(|at| &mut lines[at]);
        ensure!(members.is_some(), "no cluster.members in the configuration");
        if let Some(members) = members {
            *members = &line;
        }
        fs::write(node.config_file(), lines.join("\n") + "\n")?;
    }
    Ok(cluster)
}
