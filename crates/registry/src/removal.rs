//! The end of a node that was removed.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tonic::Status;

use crate::core::{Core, Leader};
use crate::leader_search::find_leader;
use crate::liveness;
use crate::pb::peer as pb;
use crate::progress::Progress;

const PAUSE: Duration = Duration::from_millis(100);
/// Longest wait for one answer.
const ASK: Duration = Duration::from_secs(1);

/// Waits, in a node that was removed, until the cluster can do without its vote: a change of the
/// voters takes a majority of the former ones too, so of two, one would wait for the other for ever.
/// Ready at once in any other node.
pub(crate) async fn until_dispensable(core: &Core) {
    let mut progress = Progress::new("Waiting until the cluster can do without this node's vote");
    while may_be_needed(core) {
        match ask_leader(core).await {
            Ok(pb::RenewResponse {
                still_votes: false, ..
            }) => return,
            Ok(_) => progress.report("the change of the voters is not finished"),
            Err(status) => {
                progress.report(status.message());
                let _ = timeout(ASK, find_leader(core)).await;
            }
        }
        sleep(PAUSE).await;
    }
}

/// Whether its vote may be needed, as far as this node knows: until a membership in which it has none
/// is committed. Nobody need tell it of that last step.
fn may_be_needed(core: &Core) -> bool {
    let metrics = core.raft.metrics();
    let metrics = metrics.borrow();
    let membership = &metrics.membership_config;
    let is_committed = metrics.last_applied >= *membership.log_id();
    !is_committed || membership.voter_ids().any(|id| id == core.id().0)
}

async fn ask_leader(core: &Core) -> Result<pb::RenewResponse, Status> {
    match core.leader() {
        None => Err(Status::unavailable("no leader is known")),
        Some(Leader::Me) => Ok(pb::RenewResponse {
            still_votes: true,
            ..pb::RenewResponse::default()
        }),
        Some(Leader::Other { id, address }) => {
            let request = pb::RenewRequest {
                header: Some(core.identity.header(id)),
                // Of no life.
                incarnation: 0,
                lease_ms: liveness::lease_ms(core.config.timings.lease),
                drained: false,
            };
            let mut client = core.client_of(id, &address)?;
            let answer = timeout(ASK, client.renew(request)).await;
            let answer = answer.map_err(|_| Status::unavailable("no answer in time"))?;
            Ok(answer?.into_inner())
        }
    }
}
