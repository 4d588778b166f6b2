use crate::{Component, ListenerConfig, Secret};

/// A component that has proven to know a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authenticated {
    pub(crate) component: Component,
    pub(crate) secret: Secret,
}

impl Authenticated {
    /// Tells if its connection may stay open under `config`, which has replaced the one that it
    /// was authenticated under (contract A4).
    pub(crate) fn stays_valid(&self, config: &ListenerConfig) -> bool {
        let candidates = config.secrets.of(&self.component, &config.hosts);
        match config.disconnect_revoked {
            true => candidates.contains(&self.secret),
            false => !candidates.is_empty(),
        }
    }
}
