use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::{Incarnation, NodeId};

/// The leases of the nodes that are joined, as their leader keeps them: in memory only.
///
/// Sans-IO. A new leader knows nothing of renewals before its time and grants everybody a full
/// lease first. That is enough: its predecessor proves for each renewal that it leads, so a node
/// counts its own lease from before the election. A leader that notices that it was itself held up
/// gives everybody as much again, and one that could not prove for long that it leads, for want of a
/// quorum, a full lease: nobody could renew meanwhile, so silence is no proof of anybody's death.
#[derive(Debug)]
pub(crate) struct LeaseBook {
    lease: Duration,
    /// The term in which this node leads.
    term: Option<u64>,
    /// In an order that is the same in every run, as what expires together is one entry.
    leases: BTreeMap<NodeId, Lease>,
    last_tick: Option<Instant>,
    /// When this node last proved that it leads, or began to.
    proved_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    incarnation: Incarnation,
    until: Instant,
    /// Its end is on the way into the log: it is not renewed any more.
    is_condemned: bool,
}

/// How late a tick may be before the leader distrusts itself.
const LATE: Duration = Duration::from_millis(500);

impl LeaseBook {
    /// Nobody's leases. Each will be `lease` long.
    pub(crate) fn new(lease: Duration) -> Self {
        Self {
            lease,
            term: None,
            leases: BTreeMap::new(),
            last_tick: None,
            proved_at: None,
        }
    }

    /// This node leads in `term`.
    pub(crate) fn lead(&mut self, term: u64) {
        if self.term != Some(term) {
            self.stand_down();
            self.term = Some(term);
        }
    }

    /// This node does not lead.
    pub(crate) fn stand_down(&mut self) {
        self.term = None;
        self.leases.clear();
        self.last_tick = None;
        self.proved_at = None;
    }

    /// This node has just proved to a majority that it leads. It does so for each renewal, its own
    /// among them, so three times within a lease as long as there is a quorum.
    pub(crate) fn prove(&mut self, now: Instant) {
        let last = self.proved_at.replace(now).unwrap_or(now);
        if now.duration_since(last) <= self.lease / 2 {
            return;
        }
        let leases = self.leases.values_mut();
        for lease in leases.filter(|lease| !lease.is_condemned) {
            lease.until = lease.until.max(now + self.lease);
        }
    }

    /// The node is alive now, in `incarnation`. False: it is too late for it.
    pub(crate) fn renew(&mut self, node: NodeId, incarnation: Incarnation, now: Instant) -> bool {
        let new = Lease {
            incarnation,
            until: now + self.lease,
            is_condemned: false,
        };
        let lease = self.leases.entry(node).or_insert(new);
        if incarnation > lease.incarnation {
            *lease = new;
        } else if incarnation == lease.incarnation && !lease.is_condemned {
            lease.until = lease.until.max(new.until);
        }
        !lease.is_condemned
    }

    /// Which of `expired` are still without a renewal: from now on they get none, so that nobody
    /// has a lease while its end is on the way into the log.
    pub(crate) fn condemn(
        &mut self,
        expired: Vec<(NodeId, Incarnation)>,
        now: Instant,
    ) -> Vec<(NodeId, Incarnation)> {
        let mut condemned = expired;
        condemned.retain(|(node, incarnation)| {
            let lease = self.leases.get_mut(node);
            lease.is_some_and(|lease| {
                let is_out = lease.incarnation == *incarnation && lease.until <= now;
                lease.is_condemned |= is_out;
                is_out
            })
        });
        condemned
    }

    /// Called every `period` with the nodes that are joined: which of them have run out.
    pub(crate) fn tick(
        &mut self,
        joined: &[(NodeId, Incarnation)],
        period: Duration,
        now: Instant,
    ) -> Vec<(NodeId, Incarnation)> {
        self.forgive(period, now);
        self.proved_at.get_or_insert(now);
        self.leases
            .retain(|id, lease| joined.contains(&(*id, lease.incarnation)));
        let first = now + self.lease;
        for (node, incarnation) in joined {
            self.leases.entry(*node).or_insert(Lease {
                incarnation: *incarnation,
                until: first,
                is_condemned: false,
            });
        }
        let expired = self.leases.iter().filter(|(_, lease)| lease.until <= now);
        expired
            .map(|(node, lease)| (*node, lease.incarnation))
            .collect()
    }

    /// True while the lease of a node runs.
    pub(crate) fn is_alive(&self, node: NodeId, now: Instant) -> bool {
        self.leases
            .get(&node)
            .is_some_and(|lease| lease.until > now)
    }

    fn forgive(&mut self, period: Duration, now: Instant) {
        let last = self.last_tick.replace(now).unwrap_or(now);
        let late = now.duration_since(last).saturating_sub(period);
        if late > LATE {
            for lease in self.leases.values_mut() {
                lease.until += late;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(10);
    const PERIOD: Duration = Duration::from_millis(500);
    const A: (NodeId, Incarnation) = (NodeId(1), Incarnation(5));
    const B: (NodeId, Incarnation) = (NodeId(2), Incarnation(6));

    /// Ticks in time until `end` and returns who had expired by then.
    fn tick_until(
        book: &mut LeaseBook,
        mut now: Instant,
        end: Instant,
    ) -> Vec<(NodeId, Incarnation)> {
        let mut expired = Vec::new();
        while now < end {
            now += PERIOD;
            expired = book.tick(&[A, B], PERIOD, now);
        }
        expired.sort();
        expired
    }

    fn leading(now: Instant) -> LeaseBook {
        let mut book = LeaseBook::new(LEASE);
        book.lead(1);
        assert!(book.tick(&[A, B], PERIOD, now).is_empty());
        book
    }

    #[test]
    fn contract_r5_a_silent_node_expires_and_one_that_renews_does_not() {
        let start = Instant::now();
        let mut book = leading(start);
        let almost = start + LEASE - PERIOD;
        assert!(tick_until(&mut book, start, almost).is_empty());
        book.renew(A.0, A.1, almost);
        assert_eq!(tick_until(&mut book, almost, almost + 2 * PERIOD), [B]);
        assert!(book.is_alive(A.0, almost + 2 * PERIOD));
        assert!(!book.is_alive(B.0, almost + 2 * PERIOD));
    }

    #[test]
    fn a_new_leader_grants_everybody_a_full_lease_first() {
        let start = Instant::now();
        let mut book = leading(start);
        let end = start + LEASE;
        assert_eq!(tick_until(&mut book, start, end), [A, B]);
        book.lead(2);
        assert!(tick_until(&mut book, end, end + LEASE - PERIOD).is_empty());
    }

    #[test]
    fn a_leader_that_was_held_up_expires_nobody_for_that() {
        let start = Instant::now();
        let mut book = leading(start);
        let woken = start + 10 * LEASE;
        assert!(book.tick(&[A, B], PERIOD, woken).is_empty());
    }

    #[test]
    fn contract_r6_a_leader_without_quorum_expires_nobody_for_that() {
        let start = Instant::now();
        let mut book = leading(start);
        // It asks again and again, and hears of a majority much later.
        let back = start + 2 * LEASE;
        let expired = tick_until(&mut book, start, back);
        assert_eq!(expired, [A, B]);
        book.prove(back);
        assert_eq!(book.condemn(expired, back), []);
        // With a quorum, who does not renew expires.
        let third = LEASE / 3;
        let (mut now, mut expired) = (back, Vec::new());
        while now < back + LEASE {
            expired = tick_until(&mut book, now, now + third);
            now += third;
            book.prove(now);
            book.renew(A.0, A.1, now);
        }
        assert_eq!(book.condemn(expired, now), [B]);
    }

    #[test]
    fn a_renewal_of_a_former_life_does_not_keep_the_present_one() {
        let start = Instant::now();
        let mut book = leading(start);
        let newer = (A.0, Incarnation(9));
        book.renew(newer.0, newer.1, start);
        book.renew(A.0, A.1, start + LEASE);
        assert_eq!(book.tick(&[newer], LEASE, start + LEASE), [newer]);
    }

    /// Between the decision to end a life and the entry that ends it, its node may come back: it
    /// must not be told that it has a lease.
    #[test]
    fn contract_r5_a_life_that_is_being_ended_is_not_renewed() {
        let start = Instant::now();
        let mut book = LeaseBook::new(LEASE);
        book.lead(1);
        assert!(book.renew(A.0, A.1, start));
        assert!(book.renew(B.0, B.1, start));
        let end = start + LEASE;
        // One comes back before the decision, one after it.
        assert!(book.renew(B.0, B.1, end));
        assert_eq!(book.condemn(vec![A, B], end), [A]);
        assert!(!book.renew(A.0, A.1, end));
        assert!(!book.is_alive(A.0, end));
        assert!(
            book.renew(A.0, Incarnation(A.1.0 + 10), end),
            "its next life"
        );
    }
}
