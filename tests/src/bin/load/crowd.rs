//! Many components at once.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use tokio::task::JoinSet;
use tokio_rustls::rustls::ClientConfig;

use super::client::Client;
use super::quantiles::Quantiles;

/// Where components connect: number `n` to the address `n` of them, and then from the first again.
#[derive(Debug, Clone)]
pub(crate) struct Doors {
    addresses: Arc<[SocketAddr]>,
    tls: Option<Arc<ClientConfig>>,
}

impl Doors {
    pub(crate) fn new(
        addresses: impl IntoIterator<Item = SocketAddr>,
        tls: Option<Arc<ClientConfig>>,
    ) -> Self {
        Self {
            addresses: addresses.into_iter().collect(),
            tls,
        }
    }

    /// Connects component `number`.
    pub(crate) async fn connect(&self, number: usize) -> Result<Client> {
        let address = self.addresses[number % self.addresses.len()];
        match &self.tls {
            Some(tls) => Client::connect_tls(address, domain(number), Arc::clone(tls)).await,
            None => Client::connect(address, domain(number)).await,
        }
    }

    /// Connects the components of `numbers`, `parallel` at a time.
    pub(crate) async fn connect_all(
        &self,
        numbers: Range<usize>,
        parallel: usize,
    ) -> Result<Vec<Client>> {
        let next = Arc::new(AtomicUsize::new(numbers.start));
        let mut workers = JoinSet::new();
        for _ in 0..parallel.min(numbers.len()) {
            let worker = self.clone();
            workers.spawn(worker.connect_some(Arc::clone(&next), numbers.end));
        }
        let mut all = Vec::with_capacity(numbers.len());
        while let Some(clients) = workers.join_next().await {
            all.extend(clients??);
        }
        Ok(all)
    }

    async fn connect_some(self, next: Arc<AtomicUsize>, end: usize) -> Result<Vec<Client>> {
        let mut clients = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= end {
                return Ok(clients);
            }
            clients.push(self.connect(number).await?);
        }
    }
}

/// The domain of component `number`.
pub(crate) fn domain(number: usize) -> String {
    format!("c{number}.load.example")
}

/// How long it took them from `<handshake>` to `<handshake/>`.
pub(crate) fn registered_in(clients: &[Client]) -> Quantiles {
    Quantiles::new(clients.iter().map(|client| client.registered_in).collect())
}
