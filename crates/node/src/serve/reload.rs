//! SIGHUP: the configuration file is read again, and what can change while a node runs does
//! (contract A4).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use switchyard_listener::{Listener, ListenerConfig};
use tokio::task::spawn_blocking;

use super::component_ports::ComponentPorts;
use super::reload_counters::ReloadCounters;
use super::security::Security;
use crate::config::{self, Changes, Config};
use crate::logging::Logging;
use crate::router::Switch;

/// Replaces the configuration of a node that runs: all that can be replaced, or nothing.
pub(super) struct Reloader {
    file: PathBuf,
    /// What the node runs with.
    running: Config,
    ports: Arc<ComponentPorts>,
    switch: Switch,
    logging: Logging,
    security: Security,
    counters: Arc<ReloadCounters>,
}

// === impl Reloader ===

impl Reloader {
    /// For a node that was started with `running`, the configuration in `file`.
    pub(super) fn new(
        file: &Path,
        running: Config,
        ports: Arc<ComponentPorts>,
        switch: Switch,
        logging: Logging,
        security: Security,
    ) -> Self {
        Self {
            file: file.to_owned(),
            running,
            ports,
            switch,
            logging,
            security,
            counters: Arc::default(),
        }
    }

    /// What became of the reloads.
    pub(super) fn counters(&self) -> &Arc<ReloadCounters> {
        &self.counters
    }

    /// Reads the file again. If anything is wrong, says what, and the node goes on as before.
    pub(super) async fn reload(&mut self) {
        match self.try_reload().await {
            Ok(()) => self.counters.applied(),
            Err(error) => {
                for line in format!("{error:#}").lines() {
                    tracing::error!("{line}");
                }
                let file = self.file.display();
                tracing::error!(%file, "Configuration not reloaded: kept the old configuration");
                self.counters.refused();
            }
        }
    }

    async fn try_reload(&mut self) -> anyhow::Result<()> {
        let file = self.file.clone();
        let loaded = spawn_blocking(move || config::load(&file))
            .await
            .context("reading the configuration failed")??;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let mut new = loaded.config;
        let changes = Changes::between(&self.running, &new);
        new.keep_what_needs_a_restart(&self.running);
        let added = self.bind_added(&new)?;
        self.apply(&new, added).await;
        self.running = new;
        self.report(&changes);
        Ok(())
    }

    /// Binds every new address before anything changes.
    fn bind_added(&self, new: &Config) -> anyhow::Result<Vec<Listener>> {
        let bound = new.listener_configs().filter(|config| {
            let mut running = self.running.listeners.iter();
            !running.any(|listener| listener.address == config.address)
        });
        bound.map(|config| self.bind(config)).collect()
    }

    fn bind(&self, config: ListenerConfig) -> anyhow::Result<Listener> {
        let address = config.address;
        let mut running = self.running.listeners.iter().map(|running| running.address);
        let holder = running.find(|running| running.port() == address.port());
        Listener::bind(config).map_err(|error| {
            let error = anyhow::Error::from(error);
            match holder {
                Some(holder) => anyhow!(
                    "{error:#}: the listener on {holder} holds the port, perhaps: reload without \
                     it first, then with the one on {address}"
                ),
                None => error,
            }
        })
    }

    async fn apply(&self, new: &Config, added: Vec<Listener>) {
        self.logging.set(new.general.loglevel);
        self.security.reload(new);
        self.switch.set_disco(new.disco.clone());
        for handle in self.ports.handles() {
            let address = handle.address();
            match new
                .listener_configs()
                .find(|config| config.address == address)
            {
                Some(config) => {
                    if let Err(error) = handle.reload(config) {
                        tracing::error!(%error, "Listener not reloaded");
                    }
                }
                None => self.ports.remove(address).await,
            }
        }
        for listener in added {
            let address = listener.local_addr();
            tracing::info!(%address, purpose = "components", "Listening");
            self.ports.serve(listener);
        }
    }

    fn report(&self, changes: &Changes) {
        let file = self.file.display();
        for key in &changes.pending {
            tracing::warn!("{file}: \"{key}\" has changed, which needs a restart");
        }
        match changes.live.is_empty() {
            true => tracing::info!("Configuration reloaded, nothing has changed"),
            false => {
                let changed = changes.live.join("; ");
                tracing::info!(changed, "Configuration reloaded");
            }
        }
    }
}
