//! Asking the registry before a domain is called unknown (contract R7).

use super::shared::Shared;
use super::undeliverable::Undeliverable;

impl Shared {
    /// Returns when this node's table holds everything that was committed before the call.
    pub(super) async fn confirm(&self) -> Result<(), Undeliverable> {
        self.metrics.confirmations.add(1);
        match self.registry.confirm().await {
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::debug!(%error, "Registry cannot confirm that a domain is unknown");
                Err(Undeliverable::RegistryUnavailable)
            }
        }
    }
}
