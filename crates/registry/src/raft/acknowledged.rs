use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::types::Vote;

/// Up to where each peer has acknowledged this node's log while it leads. The peer is told, so that one
/// that has lost some of it since finds out: see [`super::contradiction`].
#[derive(Debug, Default)]
pub(crate) struct Acknowledged {
    /// Under another vote this node leads anew, and a peer may have had to give up what it had.
    peers: Mutex<BTreeMap<u64, (Vote, u64)>>,
}

impl Acknowledged {
    pub(super) fn note(&self, peer: u64, vote: Vote, index: u64) {
        let mut peers = self.peers.lock();
        let known = peers.entry(peer).or_insert((vote, index));
        if known.0 == vote {
            known.1 = known.1.max(index);
        } else {
            *known = (vote, index);
        }
    }

    /// 0: nothing is known.
    pub(super) fn by(&self, peer: u64, vote: Vote) -> u64 {
        let peers = self.peers.lock();
        let known = peers.get(&peer).filter(|known| known.0 == vote);
        known.map_or(0, |known| known.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_counts_under_one_vote() {
        let (first, second) = (Vote::new_committed(1, 7), Vote::new_committed(2, 7));
        let peers = Acknowledged::default();
        assert_eq!(peers.by(8, first), 0);
        peers.note(8, first, 5);
        peers.note(8, first, 3);
        assert_eq!(peers.by(8, first), 5);
        assert_eq!(peers.by(9, first), 0);
        assert_eq!(peers.by(8, second), 0);
        peers.note(8, second, 4);
        assert_eq!(peers.by(8, second), 4);
    }
}
