use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use switchyard_registry::registry_api::ListRequest;
use tokio::time::{Instant, interval_at, timeout};

use super::exchange::Exchange;
use super::nodes::{Nodes, ready};
use super::plan::{NodePlan, PASSWORD, plan};
use super::screen::{Screen, Standing};
use super::signals::Signals;
use crate::api_client::{ApiClient, ApiTarget};
use crate::cli::print;

/// How long messages that are under way at the end may take.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);

/// How often the screen is renewed.
const REFRESH: Duration = Duration::from_secs(1);

/// Runs the demo for `seconds`, or until a signal ends it.
///
/// # Errors
///
/// When a node dies, or not every message arrived once and in order.
pub(crate) async fn run(seconds: Option<u64>) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("cannot catch signals")?;
    let plan = plan().context("cannot find free ports")?;
    print("Starting three nodes ...\n")?;
    let mut nodes = Nodes::start(&plan)?;
    let outcome = tokio::select! {
        outcome = exchange(&plan, seconds, &mut signals) => outcome,
        death = nodes.died() => Err(death),
    };
    let stopped = nodes.stop().await;
    // Why it failed matters more than how the nodes ended.
    outcome.and(stopped)
}

async fn exchange(
    plan: &[NodePlan],
    seconds: Option<u64>,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let [first, second, third] = plan else {
        bail!("the demo has three nodes");
    };
    tokio::select! {
        ready = ready(plan) => ready?,
        () = signals.received() => bail!("interrupted before the cluster was ready"),
    }
    let exchange =
        Exchange::start(first.ports.components, second.ports.components, PASSWORD).await?;
    let api = ApiClient::connect(ApiTarget::plain(third.ports.api.into())).await?;
    let show = show(plan, &api, &exchange);
    tokio::select! {
        shown = show => shown?,
        fault = exchange.failed() => return Err(anyhow!(fault)),
        () = end(seconds) => {}
        () = signals.received() => print("\n")?,
    }
    // Whatever is still missing after that is what the verdict is about.
    let _ = timeout(DRAIN_PATIENCE, exchange.drain()).await;
    conclude(&exchange)
}

/// Shows how things stand, for ever.
async fn show(plan: &[NodePlan], api: &ApiClient, exchange: &Exchange) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut screen = Screen::new();
    // The node that is asked must have heard of both components.
    let current = ListRequest {
        linearizable: true,
        ..ListRequest::default()
    };
    screen.introduce(plan, &api.list(current).await?)?;
    let mut ticks = interval_at(start + REFRESH, REFRESH);
    let mut received_before = 0;
    loop {
        ticks.tick().await;
        let received = exchange.received();
        let standing = Standing {
            listing: api.list(ListRequest::default()).await?,
            received,
            rate: received - received_before,
            seconds: start.elapsed().as_secs(),
        };
        screen.show(&standing)?;
        received_before = received;
    }
}

/// Ready after `seconds`; never without.
async fn end(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => std::future::pending().await,
    }
}

fn conclude(exchange: &Exchange) -> anyhow::Result<()> {
    for lane in &exchange.lanes {
        lane.verdict().map_err(anyhow::Error::msg)?;
        let (from, to, sent) = (lane.from, lane.to, lane.sent());
        print(&format!(
            "{from} to {to}: {sent} messages, each arrived once and in order\n"
        ))?;
        if sent == 0 {
            bail!("no message was sent");
        }
    }
    Ok(())
}
