use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tonic::Status;

use crate::membership::Membership;
use crate::roster::Upkeep;

/// Keeps the membership as it should be, whenever this node leads: enough voters, nobody who was
/// removed, no change left unfinished. Never ends.
pub(crate) async fn keep_membership(membership: Membership) {
    let mut ticks = interval(period(&membership));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(upkeep) = next(&membership)
            && let Err(status) = attend(&membership, upkeep).await
        {
            tracing::debug!(%status, "Membership not changed");
        }
    }
}

fn period(membership: &Membership) -> Duration {
    let lease = membership.core.config.timings.lease;
    (lease / 10).max(Duration::from_millis(100))
}

fn next(membership: &Membership) -> Option<Upkeep> {
    if !membership.core.is_leader() {
        return None;
    }
    membership.roster().upkeep(membership.core.config.voters)
}

async fn attend(membership: &Membership, seen: Upkeep) -> Result<(), Status> {
    let turn = membership.turn().await?;
    let roster = membership.roster();
    let name = |id: &u64| roster.members.get(id).map(|entry| entry.name.clone());
    // Another change may have come first.
    let Some(upkeep) = roster.upkeep(membership.core.config.voters) else {
        return Ok(());
    };
    if upkeep != seen {
        return Ok(());
    }
    match upkeep {
        Upkeep::FinishChange => {
            tracing::info!("Finishing a change of voters that another leader has begun");
            membership.finish_change(&turn).await
        }
        Upkeep::Remove(id) => {
            membership.remove(&turn, id).await?;
            tracing::debug!(node = name(&id), id, "Removed");
            Ok(())
        }
        Upkeep::Promote(id) => {
            membership.promote(&turn, id).await?;
            tracing::debug!(
                node = name(&id),
                id,
                "Promoted a learner: voters were too few"
            );
            Ok(())
        }
    }
}
