//! Tells in the log what happens in the cluster: who comes and goes, who leads, whether there is a
//! quorum. Every node tells it, since an operator may have no more than one log at hand.

mod follow;
mod news;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::Instant;

pub(crate) use self::follow::follow;
use self::news::{Named, News, Voters};
use crate::NodeId;
use crate::table::{Change, Delta};

/// What of the cluster is known to the log already.
///
/// Sans-IO. It does not tell of this node's own lives: whoever begins and ends them does.
#[derive(Debug)]
pub(crate) struct Chronicle {
    own: NodeId,
    seen: View,
    /// The nodes that are in a life.
    joined: BTreeSet<NodeId>,
    quorum_lost_at: Option<Instant>,
}

/// The members and their leader at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// Of all members.
    pub(crate) names: BTreeMap<NodeId, Arc<str>>,
    pub(crate) voters: BTreeSet<NodeId>,
    /// Who leads, and in which term.
    pub(crate) leader: Option<(NodeId, u64)>,
    /// Voters that do not answer, as far as this node has asked them.
    pub(crate) silent: BTreeSet<NodeId>,
    pub(crate) is_quorum_lost: bool,
}

// === impl Chronicle ===

impl Chronicle {
    /// Of the node `own`, from a moment on at which `view` held and the nodes `joined` were in a
    /// life.
    pub(crate) fn new(own: NodeId, view: View, joined: BTreeSet<NodeId>) -> Self {
        Self {
            own,
            seen: view,
            joined,
            quorum_lost_at: None,
        }
    }

    /// What an entry of the log tells.
    pub(crate) fn see_table(&mut self, delta: &Delta) -> Vec<News> {
        let changes = delta.changes.iter();
        changes
            .filter_map(|change| self.see_change(delta, change))
            .collect()
    }

    fn see_change(&mut self, delta: &Delta, change: &Change) -> Option<News> {
        match change {
            Change::NodeJoined { id, info } => {
                self.joined.insert(*id);
                (*id != self.own).then(|| News::Joined {
                    node: named(*id, &info.name),
                    incarnation: info.incarnation,
                    address: Arc::clone(&info.address),
                })
            }
            Change::NodeGone {
                id,
                incarnation,
                name,
                ending,
            } => {
                self.joined.remove(id);
                let is_its = |change: &&Change| {
                    matches!(change, Change::Removed { registration, .. }
                        if (registration.node, registration.incarnation) == (*id, *incarnation))
                };
                (*id != self.own).then(|| News::Gone {
                    node: named(*id, name),
                    incarnation: *incarnation,
                    ending: *ending,
                    registrations: delta.changes.iter().filter(is_its).count(),
                    voters: self.voters(),
                })
            }
            Change::Added { .. } | Change::Removed { .. } => None,
        }
    }

    fn voters(&self) -> Voters {
        Voters {
            up: self.seen.voters.intersection(&self.joined).count(),
            of: self.seen.voters.len(),
        }
    }

    /// What has changed in the cluster since it was last seen.
    pub(crate) fn see_cluster(&mut self, mut new: View, now: Instant) -> Vec<News> {
        // An election that ends as it began is no news, but for the term.
        new.leader = new.leader.or(self.seen.leader);
        let mut news = self.membership_news(&new);
        news.extend(self.leader_news(&new));
        news.extend(self.quorum_news(&new, now));
        self.seen = new;
        news
    }

    fn membership_news(&self, new: &View) -> Vec<News> {
        let old = &self.seen;
        let voters = new.voters.len();
        let come_or_changed = new.names.iter().filter_map(|(id, name)| {
            let node = named(*id, name);
            let is_voter = new.voters.contains(id);
            match (old.names.contains_key(id), old.voters.contains(id)) {
                (false, _) => Some(News::MemberAdded { node, is_voter }),
                (true, false) if is_voter => Some(News::Promoted { node, voters }),
                (true, true) if !is_voter => Some(News::Demoted { node, voters }),
                (true, _) => None,
            }
        });
        let left = old
            .names
            .iter()
            .filter(|(id, _)| !new.names.contains_key(id));
        let gone = left.map(|(id, name)| News::MemberGone {
            node: named(*id, name),
            was_voter: old.voters.contains(id),
        });
        come_or_changed.chain(gone).collect()
    }

    fn leader_news(&self, new: &View) -> Option<News> {
        let (id, term) = new.leader.filter(|_| new.leader != self.seen.leader)?;
        let node = named(id, &new.name(id));
        Some(News::Leads { node, term })
    }

    fn quorum_news(&mut self, new: &View, now: Instant) -> Option<News> {
        if !new.names.contains_key(&self.own) {
            // Whoever is no member any longer hears from nobody.
            return None;
        }
        if new.is_quorum_lost {
            if self.quorum_lost_at.is_some() {
                return None;
            }
            self.quorum_lost_at = Some(now);
            return Some(News::QuorumLost {
                voters: new.names_of(new.voters.iter()),
                silent: new.names_of(new.silent.iter()),
            });
        }
        let since = self.quorum_lost_at.take()?;
        let after = now.duration_since(since);
        Some(News::QuorumFound { after })
    }
}

impl View {
    fn name(&self, id: NodeId) -> Arc<str> {
        let unknown = || id.to_string().into();
        self.names.get(&id).map_or_else(unknown, Arc::clone)
    }

    fn names_of<'a>(&self, ids: impl Iterator<Item = &'a NodeId>) -> String {
        let names: BTreeSet<Arc<str>> = ids.map(|id| self.name(*id)).collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    }
}

fn named(id: NodeId, name: &Arc<str>) -> Named {
    Named {
        id,
        name: Arc::clone(name),
    }
}

#[cfg(test)]
mod chronicle_test;
