//! Who leads, as others say.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use crate::ClusterId;
use crate::core::{Core, Leader};
use crate::dialer::PeerAddress;
use crate::formation;
use crate::pb::peer as pb;

/// Asks everybody whose address is known who leads, and notes what they say as it comes in: some
/// may never answer.
///
/// For a node that hears from no leader. One that does not know this node's new address cannot make
/// itself known to it, and nobody tells a node that was removed.
pub(crate) async fn find_leader(core: &Core) {
    let own = core.cluster();
    let believed = match core.leader() {
        Some(Leader::Other { id, .. }) => Some(id),
        Some(Leader::Me) | None => None,
    };
    let mut claims = Claims::new(believed);
    let asked = contacts(core).into_iter().map(|address| async {
        let peer = PeerAddress {
            address: address.clone(),
            name: None,
        };
        (address, formation::ask(core, peer).await)
    });
    let mut answers: FuturesUnordered<_> = asked.collect();
    while let Some((address, answer)) = answers.next().await {
        let Ok(answer) = answer else { continue };
        if Some(ClusterId(answer.cluster_id)) == own {
            let claim = answer.leader.filter(|leader| leader.id != core.id().0);
            if let Some(leader) = claim.map(|leader| claims.add(leader)) {
                core.hint_leader(leader.id, &leader.address);
            }
        } else if answer.cluster_id != 0 {
            let theirs = ClusterId(answer.cluster_id);
            core.identity
                .warn_of_other_cluster(&address, &answer.cluster, theirs);
        }
    }
}

/// Where other nodes of the cluster may be: founders, seeds and, once it is one, fellow members.
fn contacts(core: &Core) -> BTreeSet<String> {
    let configured = core.config.founders().into_iter();
    let configured = configured.map(|founder| founder.address);
    let seeds = core.config.seeds.iter().flatten().cloned();
    let metrics = core.raft.metrics();
    let metrics = metrics.borrow();
    let members = metrics.membership_config.membership().nodes();
    let members = members.map(|(id, member)| core.address(*id, Some(member)));
    let members = members.flatten().map(|address| address.to_string());
    let mut contacts: BTreeSet<String> = configured.chain(seeds).chain(members).collect();
    contacts.remove(&core.config.advertise);
    contacts
}

/// Who leads by the word of how many. Some of them may be as cut off as the one who asks.
///
/// Sans-IO.
#[derive(Debug, Default)]
struct Claims {
    /// Whom the asker has believed in, in vain.
    believed: Option<u64>,
    /// By the leader's id.
    claims: BTreeMap<u64, (usize, pb::Member)>,
}

impl Claims {
    fn new(believed: Option<u64>) -> Self {
        Self {
            believed,
            ..Self::default()
        }
    }

    /// Adds a claim. Returns the best so far: anybody else than whom the asker has believed in, and
    /// the one that most name.
    fn add(&mut self, leader: pb::Member) -> &pb::Member {
        let id = leader.id;
        let claim = self.claims.entry(id).or_insert((0, leader));
        claim.0 += 1;
        let rank = |id: &u64| {
            let votes = self.claims.get(id).map_or(0, |(votes, _)| *votes);
            (Some(*id) != self.believed, votes)
        };
        let best = self.claims.keys().copied().max_by_key(rank).unwrap_or(id);
        &self.claims[&best].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(believed: Option<u64>, claims: &[u64]) -> u64 {
        let mut tally = Claims::new(believed);
        let leader = |id: &u64| pb::Member {
            id: *id,
            ..pb::Member::default()
        };
        let best = claims.iter().map(|claim| tally.add(leader(claim)).id);
        best.last().unwrap()
    }

    #[test]
    fn the_leader_whom_most_name_is_asked_next_but_not_the_one_that_failed() {
        assert_eq!(best(None, &[1]), 1);
        assert_eq!(best(None, &[1, 2, 2]), 2);
        assert_eq!(best(None, &[2, 2, 1]), 2);
        assert_eq!(best(Some(1), &[1, 1, 2]), 2);
        assert_eq!(best(Some(1), &[1, 1]), 1, "rather than nobody");
    }
}
