//! A listener with a router behind it.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use switchyard_listener::{Listener, ListenerConfig, ListenerHandle, ListenerMetrics, Secret};
use switchyard_registry::Domain;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, yield_now};
use tokio_util::sync::CancellationToken;

use crate::client::{Client, SECRET};
use crate::switch::{Switch, SwitchRouter};

pub(crate) struct Fixture {
    pub(crate) address: SocketAddr,
    pub(crate) switch: Arc<Switch>,
    pub(crate) metrics: Arc<ListenerMetrics>,
    pub(crate) handle: ListenerHandle,
    pub(crate) shutdown: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}, Switch::new()).await
    }

    pub(crate) async fn configured(configure: impl FnOnce(&mut ListenerConfig)) -> Self {
        Self::with(configure, Switch::new()).await
    }

    pub(crate) async fn with(configure: impl FnOnce(&mut ListenerConfig), switch: Switch) -> Self {
        Self::listen(configure, Arc::new(switch))
    }

    /// One of several listeners that share a number of connections.
    pub(crate) fn within(budget: &Arc<Semaphore>) -> Self {
        let budget = Arc::clone(budget);
        let switch = Arc::new(Switch::new());
        Self::prepared(|_| {}, |listener| listener.within(budget), switch)
    }

    /// Another listener in front of the same router.
    pub(crate) fn beside(&self, configure: impl FnOnce(&mut ListenerConfig)) -> Self {
        Self::listen(configure, Arc::clone(&self.switch))
    }

    fn listen(configure: impl FnOnce(&mut ListenerConfig), switch: Arc<Switch>) -> Self {
        Self::prepared(configure, |listener| listener, switch)
    }

    fn prepared(
        configure: impl FnOnce(&mut ListenerConfig),
        prepare: impl FnOnce(Listener) -> Listener,
        switch: Arc<Switch>,
    ) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut config = ListenerConfig::new(address, Secret::new(SECRET));
        config.hosts = Arc::new([Domain::prepare("example.org").unwrap()]);
        configure(&mut config);
        let listener = prepare(Listener::bind(config).unwrap());
        let shutdown = CancellationToken::new();
        Self {
            address: listener.local_addr(),
            metrics: listener.metrics(),
            handle: listener.handle(),
            switch: Arc::clone(&switch),
            shutdown: shutdown.clone(),
            serving: tokio::spawn(listener.serve(
                Arc::clone(&switch),
                Arc::new(SwitchRouter(switch)),
                shutdown,
            )),
        }
    }

    /// Changes the configuration while the listener serves.
    pub(crate) fn reload(&self, change: impl FnOnce(&mut ListenerConfig)) {
        let mut config = ListenerConfig::clone(&self.handle.config().load());
        change(&mut config);
        self.handle.reload(config).unwrap();
    }

    pub(crate) async fn connect(&self, domain: &str) -> Client {
        Client::connect(self.address, domain).await
    }

    /// A connection on which the headers have been exchanged.
    pub(crate) async fn open(&self, domain: &str) -> (Client, String) {
        let (client, header) = Client::open(self.address, domain).await;
        (client, header.id.unwrap())
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            yield_now().await;
        }
    };
    bounded(what, waiting).await;
}

pub(crate) async fn bounded<F: Future>(what: &str, future: F) -> F::Output {
    let limit = std::time::Duration::from_secs(60);
    match tokio::time::timeout(limit, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited in vain: {what}"),
    }
}
