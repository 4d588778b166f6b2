//! What reading a table costs.

use anyhow::{Context, Result};
use switchyard_tests::{Cluster, Node};
use tokio::runtime::Runtime;

use super::spread::Spread;
use super::{RECEIVERS, door};
use crate::api::Api;
use crate::client::Client;
use crate::crowd::Doors;

/// Lookups and rounds of stanzas in one measurement.
const LOOKUPS: usize = 20_000;
const ROUNDS: usize = 1_000;

/// Connects who sends stanzas and who receives them.
pub(super) async fn spread(node: &Node) -> Result<Spread> {
    let doors = Doors::new([door(node)], None);
    let receivers = doors.connect_all(0..RECEIVERS, RECEIVERS).await?;
    let address = door(node);
    let sender = Client::connect(address, "sender.load.example".to_owned()).await?;
    Spread::new(sender, receivers)
}

/// Reports CPU time for lookups, and for stanzas whose destination the sender's node has to look up.
pub(super) fn report(
    cluster: &Cluster,
    domains: usize,
    spread: &mut Spread,
    runtime: &Runtime,
) -> Result<()> {
    let process = cluster[0].pid().context("it does not run")?;
    let lookup = runtime.block_on(async {
        let mut api = Api::connect(&cluster[0]).await?;
        api.lookup_cost(process, LOOKUPS, domains).await
    })?;
    let stanza = spread.cost(&[process], ROUNDS, runtime)?;
    println!(
        "{domains} domains: {:.1} CPU µs for a Lookup, {:.2} CPU µs for a stanza, to {RECEIVERS} \
         components in turn",
        lookup.as_secs_f64() * 1e6,
        stanza.as_secs_f64() * 1e6
    );
    Ok(())
}
