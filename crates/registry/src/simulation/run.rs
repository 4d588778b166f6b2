use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use tempfile::TempDir;
use turmoil::Sim;

use super::chance::Chance;
use super::checks::{self, Check};
use super::linearizability::{self, Verdict};
use super::node::{End, Node, TICK, name};
use super::plan::{Fault, Order, Plan};
use super::record::{Record, Sample};

/// One run of the simulated cluster: a time with faults, in which nothing may go wrong, then a time
/// without, in which everything must come right.
pub(super) struct Run {
    plan: Rc<Plan>,
    sim: Sim<'static>,
    nodes: Vec<Rc<Node>>,
    record: Rc<RefCell<Record>>,
    is_busy: Rc<Cell<bool>>,
    checks: Vec<Box<dyn Check>>,
    /// How each node was seen last, while it runs.
    last: BTreeMap<usize, Sample>,
    chance: Chance,
    _dir: TempDir,
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Why the run failed.
    pub(super) failure: Option<String>,
    /// The number of its events, and what tells them from others.
    pub(super) fingerprint: (u64, u64),
    /// How long after the last fault everything had come right.
    pub(super) recovery: Duration,
}

/// Longest time for everything to come right. Connections on which something was lost are given
/// up after 7 s, for one.
const RECOVERY: Duration = Duration::from_secs(40);

/// Runs a plan to its end.
pub(super) fn run(plan: Plan, is_loud: bool) -> Outcome {
    let mut run = Run::new(plan, is_loud);
    let failure = run.go().err();
    let recovery = run.sim.elapsed().saturating_sub(run.plan.heal_at);
    let record = run.record.borrow();
    Outcome {
        failure,
        fingerprint: record.fingerprint(),
        recovery,
    }
}

impl Run {
    fn new(plan: Plan, is_loud: bool) -> Self {
        let mut sim = turmoil::Builder::new()
            .rng_seed(plan.seed)
            .epoch(UNIX_EPOCH)
            .tick_duration(TICK)
            .simulation_duration(Duration::MAX)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(plan.latency)
            .tcp_capacity(1024)
            .build();
        let dir = tempfile::tempdir().unwrap();
        let record: Rc<RefCell<Record>> = Rc::default();
        record.borrow_mut().is_loud = is_loud;
        let plan = Rc::new(plan);
        let is_busy = Rc::new(Cell::new(true));
        let nodes: Vec<_> = (0..plan.nodes)
            .map(|index| {
                Rc::new(Node {
                    index,
                    plan: Rc::clone(&plan),
                    data_dir: dir.path().join(name(index)),
                    platter: Default::default(),
                    record: Rc::clone(&record),
                    boot: Cell::new(0),
                    without_lease_at: Cell::new(None),
                    is_busy: Rc::clone(&is_busy),
                    orders: RefCell::default(),
                    was_wiped: Cell::new(false),
                    end: Cell::new(None),
                })
            })
            .collect();
        for node in &nodes {
            let node = Rc::clone(node);
            sim.host(name(node.index), move || Rc::clone(&node).run());
        }
        Self {
            sim,
            nodes,
            record,
            is_busy,
            checks: checks::all(),
            last: BTreeMap::new(),
            chance: Chance::new(plan.seed).fork(2),
            plan,
            _dir: dir,
        }
    }

    fn go(&mut self) -> Result<(), String> {
        for (at, fault) in self.plan.faults.clone() {
            while self.sim.elapsed() < at {
                self.step()?;
            }
            self.inject(&fault);
        }
        while self.sim.elapsed() < self.plan.heal_at {
            self.step()?;
        }
        self.heal();
        self.recover()?;
        self.check_histories()
    }

    /// Goes on by one tick, and looks at what happened.
    fn step(&mut self) -> Result<(), String> {
        self.sim.step().map_err(|error| error.to_string())?;
        for node in self.nodes.clone() {
            if node.platter.is_off() || node.end.get().is_some() {
                self.crash(&node);
            }
            // As whoever watches over a process does.
            if node.end.get() == Some(End::NameInUse) {
                node.end.set(None);
                self.restart(&node);
            }
        }
        let samples = std::mem::take(&mut self.record.borrow_mut().samples);
        for sample in samples {
            for check in &mut self.checks {
                check.see(&sample)?;
            }
            self.note(&sample);
            self.last.insert(sample.node, sample);
        }
        self.record.borrow_mut().broken.take().map_or(Ok(()), Err)
    }

    /// Notes what has changed about a node.
    fn note(&self, sample: &Sample) {
        let is_same = self.last.get(&sample.node).is_some_and(|last| {
            last.boot == sample.boot
                && last.vote == sample.vote
                && last.applied == sample.applied
                && last.alive == sample.alive
        });
        if !is_same {
            let Sample {
                at,
                vote,
                leads,
                applied,
                alive,
                ..
            } = sample;
            let applied = applied.map_or(0, |applied| applied.index);
            self.record.borrow_mut().event(format_args!(
                "{at:?} {} vote {vote} leads {leads} applied {applied} alive {alive:?}",
                name(sample.node),
            ));
        }
    }

    /// Every link and every node is as it should be, and the components stay as they are.
    fn heal(&mut self) {
        let at = self.sim.elapsed();
        self.record.borrow_mut().event(format_args!("{at:?} heal"));
        for a in 0..self.nodes.len() {
            for b in 0..a {
                self.inject(&Fault::Mend(a, b));
            }
            if self.nodes[a].end.get() != Some(End::Removed) {
                self.inject(&Fault::Restart(a));
            }
        }
    }

    /// Waits until everything has come right, with the components coming and going for a while
    /// and at rest then.
    fn recover(&mut self) -> Result<(), String> {
        let end = self.plan.heal_at + RECOVERY;
        let rest_at = self.plan.heal_at + RECOVERY / 10;
        loop {
            self.step()?;
            let now = self.sim.elapsed();
            if now < rest_at {
                continue;
            }
            self.is_busy.set(false);
            match checks::converged(
                &self.plan,
                &self.removed(),
                &self.last,
                &self.record.borrow(),
            ) {
                Ok(()) => return Ok(()),
                Err(reason) if now > end => return Err(format!("never came right: {reason}")),
                Err(_) => {}
            }
        }
    }

    fn check_histories(&self) -> Result<(), String> {
        let record = self.record.borrow();
        for ((domain, node), operations) in record.history.cells() {
            match linearizability::check(operations) {
                Verdict::Linearizable => {}
                Verdict::Violation(operation) => {
                    let node = name(node);
                    return Err(format!(
                        "what {node} holds of {domain} is not linearizable: {operation:?} in \
                         {operations:#?}"
                    ));
                }
                Verdict::Undecided => {
                    let node = name(node);
                    return Err(format!(
                        "whether what {node} holds of {domain} is linearizable was not decided: \
                         raise the limit of steps"
                    ));
                }
            }
        }
        Ok(())
    }
}

// === faults ===

impl Run {
    fn inject(&mut self, fault: &Fault) {
        let at = self.sim.elapsed();
        self.record
            .borrow_mut()
            .event(format_args!("{at:?} {fault:?}"));
        match *fault {
            Fault::Cut(a, b) => self.sim.partition(name(a), name(b)),
            Fault::CutOneWay(a, b) => self.sim.partition_oneway(name(a), name(b)),
            Fault::Hold(a, b) => self.sim.hold(name(a), name(b)),
            Fault::Slow(a, b, latency) => {
                self.sim
                    .set_link_max_message_latency(name(a), name(b), latency);
            }
            Fault::Mend(a, b) => {
                let latency = self.plan.latency;
                self.sim
                    .set_link_max_message_latency(name(a), name(b), latency);
                self.sim.release(name(a), name(b));
                self.sim.repair(name(a), name(b));
            }
            Fault::Crash(node) => {
                let node = Rc::clone(&self.nodes[node]);
                self.crash(&node);
            }
            Fault::CrashAtWrite(node, writes) => self.nodes[node].platter.cut_power_after(writes),
            Fault::Wipe(node) => {
                let node = Rc::clone(&self.nodes[node]);
                self.crash(&node);
                self.wipe(&node);
            }
            Fault::Ask(asked, order) => {
                if let Order::Remove(of) = order {
                    self.record.borrow_mut().doom(of);
                }
                self.nodes[asked].orders.borrow_mut().push_back(order);
            }
            Fault::Restart(node) => {
                let node = Rc::clone(&self.nodes[node]);
                if node.end.get() == Some(End::Removed) {
                    self.wipe(&node);
                }
                // It may have written too little to have crashed.
                node.platter.keep_power();
                if !self.sim.is_host_running(name(node.index)) {
                    self.restart(&node);
                }
            }
        }
    }

    fn crash(&mut self, node: &Node) {
        if !self.sim.is_host_running(name(node.index)) {
            return;
        }
        node.platter.cut_power();
        self.sim.crash(name(node.index));
        self.last.remove(&node.index);
        self.record.borrow_mut().crashed(node.index);
    }

    /// The node, which has no power, becomes a new one of the same name.
    fn wipe(&self, node: &Node) {
        node.platter.replace();
        // There is none yet if it was never started.
        let _missing = std::fs::remove_dir_all(&node.data_dir);
        node.was_wiped.set(true);
        node.end.set(None);
    }

    /// The nodes that were removed and have not come back.
    fn removed(&self) -> BTreeSet<usize> {
        let nodes = self.nodes.iter();
        let removed = nodes.filter(|node| node.end.get() == Some(End::Removed));
        removed.map(|node| node.index).collect()
    }

    fn restart(&mut self, node: &Node) {
        node.platter.restore_power(&mut self.chance);
        self.sim.bounce(name(node.index));
    }
}
