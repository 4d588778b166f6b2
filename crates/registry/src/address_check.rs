use std::sync::Arc;

use tonic::Status;

use crate::command::{Batch, Command};
use crate::core::Core;
use crate::dialer::PeerAddress;
use crate::log_limit::LogLimit;
use crate::{NodeId, formation};

/// Sees, in the leader, that a node that has moved answers where it says that it is, before that is
/// put into the log. With a wrong address there nobody would find it, perhaps not even to correct it:
/// of two voters, neither could lead.
#[derive(Clone)]
pub(crate) struct AddressCheck {
    core: Core,
    log: Arc<LogLimit>,
}

impl AddressCheck {
    pub(crate) fn new(core: Core) -> Self {
        Self {
            core,
            log: Arc::default(),
        }
    }

    /// Checks the new addresses in `batch`, which a node proposes for itself.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED` when somebody else answers there; `UNAVAILABLE` when nobody does.
    pub(crate) async fn check(&self, batch: &Batch) -> Result<(), Status> {
        for command in &batch.0 {
            if let Command::NodeJoined {
                node,
                name,
                address,
                ..
            } = command
                && !self.is_known(*node, address)
            {
                self.check_node(*node, name, address).await?;
            }
        }
        Ok(())
    }

    fn is_known(&self, node: NodeId, address: &str) -> bool {
        let metrics = self.core.raft.metrics();
        let metrics = metrics.borrow();
        let member = metrics
            .membership_config
            .membership()
            .get_node(&node.0)
            .cloned();
        self.core.address(node.0, member.as_ref()).as_deref() == Some(address)
    }

    async fn check_node(&self, node: NodeId, name: &str, address: &str) -> Result<(), Status> {
        let peer = PeerAddress {
            address: address.to_owned(),
            name: Some(name.to_owned()),
        };
        let status = match formation::ask(&self.core, peer).await {
            Ok(answer) if answer.id == node.0 => return Ok(()),
            Ok(answer) => Status::permission_denied(format!(
                "cluster.advertise is {address}, where node {:?} of cluster {:?} answers",
                answer.name, answer.cluster
            )),
            Err(reason) => Status::unavailable(format!(
                "nobody answers at its cluster.advertise, {address}: {reason}"
            )),
        };
        if let Some(suppressed) = self.log.admit() {
            let reason = status.message();
            tracing::warn!(
                node = name,
                reason,
                suppressed,
                "A node has moved to where it cannot be reached"
            );
        }
        Err(status)
    }
}
