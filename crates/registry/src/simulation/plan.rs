use std::time::Duration;

use super::chance::Chance;

/// Everything that happens to the cluster from outside in one run, as its seed says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// All that there ever are: founders first, then those that join by seeds.
    pub(super) nodes: usize,
    /// The nodes that form the cluster, as voters.
    pub(super) founders: usize,
    /// The voters that there should be.
    pub(super) voters: usize,
    /// When each node starts first.
    pub(super) starts: Vec<Duration>,
    /// Longest time that a message takes.
    pub(super) latency: Duration,
    /// Log entries from one snapshot to the next.
    pub(super) snapshot_entries: u64,
    /// In the order of time.
    pub(super) faults: Vec<(Duration, Fault)>,
    /// When the faults end.
    pub(super) heal_at: Duration,
}

/// What is done to the cluster, from outside or by its operators. Nodes are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing passes between two nodes.
    Cut(usize, usize),
    /// Nothing passes from the first to the second.
    CutOneWay(usize, usize),
    /// What is sent between two nodes waits.
    Hold(usize, usize),
    /// Messages between two nodes take longer.
    Slow(usize, usize, Duration),
    /// The link between two nodes is as it should be. What was held arrives.
    Mend(usize, usize),
    /// The node loses its power now.
    Crash(usize),
    /// The node loses its power at the write to its log that comes after as many more.
    CrashAtWrite(usize, u32),
    /// The node has its power back. One that was removed is a new one then, without data.
    Restart(usize),
    /// The node loses its power and its data.
    Wipe(usize),
    /// An operator asks a node for a change of the membership.
    Ask(usize, Order),
}

/// A change of the membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Promote(usize),
    Remove(usize),
}

/// When the faults begin: by then the cluster has formed, unless its seed was unkind.
const BEGIN: Duration = Duration::from_secs(4);

impl Plan {
    /// The plan of a run with faults for `faulty`.
    pub(super) fn new(seed: u64, faulty: Duration) -> Self {
        let mut chance = Chance::new(seed).fork(1);
        let founders = if chance.percent(70) { 3 } else { 5 };
        let joiners = [0, 0, 1, 2][chance.index(4)];
        let nodes = founders + joiners;
        let mut starts = vec![Duration::ZERO; founders];
        let latest = u64::try_from(faulty.as_millis()).unwrap();
        starts.resize_with(nodes, || Duration::from_millis(chance.below(latest)));
        let mut plan = Self {
            seed,
            nodes,
            founders,
            voters: founders + chance.index(joiners + 1),
            starts,
            latency: Duration::from_millis(chance.between(5, 60)),
            snapshot_entries: chance.between(20, 120),
            faults: Vec::new(),
            heal_at: BEGIN + faulty,
        };
        let mut at = BEGIN;
        while at < plan.heal_at {
            plan.add(at, &mut chance);
            at += Duration::from_millis(chance.between(100, 2500));
        }
        match chance.below(3) {
            0 => plan.wipe(&mut chance),
            1 => plan.operate(&mut chance),
            _ => {}
        }
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }

    /// One node loses its data, more than once perhaps. With two, a majority may have lost what
    /// was committed, which nothing can mend.
    fn wipe(&mut self, chance: &mut Chance) {
        let node = chance.index(self.nodes);
        for _ in 0..=chance.below(2) {
            let (at, end) = self.some_time(chance);
            self.during(at, end, Fault::Wipe(node), Fault::Restart(node));
        }
    }

    /// Operators change the membership. A node that was removed comes back without its data.
    fn operate(&mut self, chance: &mut Chance) {
        for _ in 0..=chance.below(3) {
            let (at, end) = self.some_time(chance);
            let (asked, of) = (chance.index(self.nodes), chance.index(self.nodes));
            if chance.percent(30) {
                self.faults
                    .push((at, Fault::Ask(asked, Order::Promote(of))));
                continue;
            }
            self.faults.push((at, Fault::Ask(asked, Order::Remove(of))));
            if chance.percent(50) {
                self.faults
                    .push((end.min(self.heal_at), Fault::Restart(of)));
            }
        }
    }

    fn some_time(&self, chance: &mut Chance) -> (Duration, Duration) {
        let faulty = u64::try_from((self.heal_at - BEGIN).as_millis()).unwrap();
        let at = BEGIN + Duration::from_millis(chance.below(faulty));
        (at, at + Duration::from_millis(chance.between(100, 7000)))
    }

    fn add(&mut self, at: Duration, chance: &mut Chance) {
        let end = at + Duration::from_millis(chance.between(100, 7000));
        let node = chance.index(self.nodes);
        let other = (node + 1 + chance.index(self.nodes - 1)) % self.nodes;
        match chance.below(10) {
            0 => self.during(at, end, Fault::Cut(node, other), Fault::Mend(node, other)),
            1 => self.during(
                at,
                end,
                Fault::CutOneWay(node, other),
                Fault::Mend(node, other),
            ),
            2 => self.during(at, end, Fault::Hold(node, other), Fault::Mend(node, other)),
            3 => {
                let latency = Duration::from_millis(chance.between(100, 1500));
                let slow = Fault::Slow(node, other, latency);
                self.during(at, end, slow, Fault::Mend(node, other));
            }
            // One node against all others.
            4 | 5 => self.isolate(node, at, end, Fault::Cut),
            6 => self.isolate(node, at, end, Fault::Hold),
            7 => self.split(at, end, chance),
            8 => self.during(at, end, Fault::Crash(node), Fault::Restart(node)),
            _ => {
                let writes = u32::try_from(chance.below(30)).unwrap();
                let crash = Fault::CrashAtWrite(node, writes);
                self.during(at, end, crash, Fault::Restart(node));
            }
        }
    }

    fn during(&mut self, at: Duration, end: Duration, fault: Fault, mended: Fault) {
        self.faults.push((at, fault));
        self.faults.push((end.min(self.heal_at), mended));
    }

    fn isolate(
        &mut self,
        node: usize,
        at: Duration,
        end: Duration,
        fault: impl Fn(usize, usize) -> Fault,
    ) {
        for other in (0..self.nodes).filter(|other| *other != node) {
            self.during(at, end, fault(node, other), Fault::Mend(node, other));
        }
    }

    /// Two halves, as equal as can be.
    fn split(&mut self, at: Duration, end: Duration, chance: &mut Chance) {
        let first = chance.index(self.nodes);
        let in_half = |node: usize| (node + self.nodes - first) % self.nodes < self.nodes / 2;
        let pairs = (0..self.nodes).flat_map(|a| (0..a).map(move |b| (a, b)));
        let cut: Vec<_> = pairs.filter(|(a, b)| in_half(*a) != in_half(*b)).collect();
        for (a, b) in cut {
            self.during(at, end, Fault::Cut(a, b), Fault::Mend(a, b));
        }
    }
}
