use std::net::SocketAddr;
use std::sync::Arc;

use switchyard_listener::{Stanza, StanzaKind};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::task::JoinSet;

use super::component::{Incoming, connect};
use super::lane::Lane;

/// Domain of the one example component.
pub(crate) const ALPHA: &str = "alpha.example";

/// Domain of the other.
pub(crate) const BETA: &str = "beta.example";

/// Two components that send each other numbered messages.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The one direction and the other.
    pub(crate) lanes: [Arc<Lane>; 2],
    /// The tasks of both components; dropping them disconnects.
    _tasks: JoinSet<()>,
}

impl Exchange {
    /// Connects the components to two nodes and starts.
    pub(crate) async fn start(
        alpha: SocketAddr,
        beta: SocketAddr,
        password: &str,
    ) -> anyhow::Result<Self> {
        let lanes = [Lane::new(ALPHA, BETA), Lane::new(BETA, ALPHA)].map(Arc::new);
        let [forth, back] = &lanes;
        let (alpha_in, alpha_out) = connect(alpha, ALPHA, password).await?;
        let (beta_in, beta_out) = connect(beta, BETA, password).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(receive(alpha_in, Arc::clone(back), Arc::clone(forth)));
        tasks.spawn(receive(beta_in, Arc::clone(forth), Arc::clone(back)));
        tasks.spawn(send(alpha_out, Arc::clone(forth)));
        tasks.spawn(send(beta_out, Arc::clone(back)));
        Ok(Self {
            lanes,
            _tasks: tasks,
        })
    }

    /// How many messages have arrived, both ways.
    pub(crate) fn received(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.received()).sum()
    }

    /// Ready when something has gone wrong.
    pub(crate) async fn failed(&self) -> String {
        let [forth, back] = &self.lanes;
        tokio::select! {
            fault = forth.failed() => fault,
            fault = back.failed() => fault,
        }
    }

    /// Stops sending; ready when everything that was sent has arrived.
    pub(crate) async fn drain(&self) {
        self.lanes.iter().for_each(|lane| lane.stop());
        for lane in &self.lanes {
            lane.drained().await;
        }
    }
}

async fn send(mut stream: OwnedWriteHalf, lane: Arc<Lane>) {
    while let Some(messages) = lane.next_messages().await {
        if let Err(error) = stream.write_all(messages.as_bytes()).await {
            return lane.fault(format!("cannot send: {error}"));
        }
    }
    // Dropping the stream here would close it while messages for this component are under way.
    std::future::pending().await
}

/// Counts what arrives on `lane`; errors are about what was sent on `sent`.
async fn receive(mut incoming: Incoming, lane: Arc<Lane>, sent: Arc<Lane>) {
    let mut stanzas = Vec::new();
    let mut numbers = Vec::new();
    loop {
        let bytes = match incoming.stanzas(&mut stanzas).await {
            Ok(bytes) => bytes,
            Err(error) => return lane.fault(format!("{error:#}")),
        };
        numbers.clear();
        for stanza in &stanzas {
            match number(stanza, bytes, lane.from) {
                Some(number) => numbers.push(number),
                None => note_other(stanza, bytes, &sent),
            }
        }
        lane.arrived(&numbers);
    }
}

/// The number of a message from `from`.
fn number(stanza: &Stanza, bytes: &[u8], from: &str) -> Option<u64> {
    let from_is_right = stanza.from?.of(bytes) == from.as_bytes();
    let is_message = stanza.kind == StanzaKind::Message && stanza.kind_attribute.is_none();
    let id = std::str::from_utf8(stanza.id?.of(bytes)).ok()?;
    id.parse().ok().filter(|_| from_is_right && is_message)
}

/// A message that came back is a fault. Anything else comes from somebody who has joined the
/// demo, and is none of its business.
fn note_other(stanza: &Stanza, bytes: &[u8], sent: &Lane) {
    let kind = stanza.kind_attribute.map(|kind| kind.of(bytes));
    let from = stanza.from.map(|from| from.of(bytes));
    if kind == Some(b"error") && from == Some(sent.to.as_bytes()) {
        let stanza = String::from_utf8_lossy(stanza.span.of(bytes));
        sent.fault(format!("a message came back: {stanza}"));
    }
}
