use std::thread;
use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use switchyard_tests::{Cluster, Cut};

use crate::LEASE;
use crate::ledger::Ledger;

/// Faults of one round, one after the other; some of them last longer than the next begins.
#[derive(Debug)]
pub(crate) struct Faults {
    chance: Rng,
    paused: Vec<usize>,
}

const STEPS: usize = 5;

impl Faults {
    pub(crate) fn new(chance: Rng) -> Self {
        Self {
            chance,
            paused: Vec::new(),
        }
    }

    /// Leaves nodes killed, stopped and cut off.
    pub(crate) fn play(&mut self, cluster: &mut Cluster, ledger: &Ledger) -> Result<()> {
        for _ in 0..STEPS {
            let does = self.step(cluster, ledger)?;
            let pause = self.pause();
            eprintln!("{does}, then {pause:?}");
            thread::sleep(pause);
        }
        Ok(())
    }

    /// Most last for a moment, some long enough for a node to be given up.
    fn pause(&mut self) -> Duration {
        if self.chance.u8(..4) == 0 {
            return LEASE * 3 / 2 + Duration::from_millis(self.chance.u64(..2000));
        }
        Duration::from_millis(self.chance.u64(20..1500))
    }

    fn step(&mut self, cluster: &mut Cluster, ledger: &Ledger) -> Result<String> {
        let node = self.chance.usize(..cluster.len());
        let other = (node + self.chance.usize(1..cluster.len())) % cluster.len();
        let name = cluster[node].name().to_owned();
        let kind = match self.chance.bool() {
            true => Cut::Silent,
            false => Cut::Broken,
        };
        if !cluster[node].is_running() {
            cluster[node].start()?;
            return Ok(format!("start {name}"));
        }
        if let Some(at) = self.paused.iter().position(|paused| *paused == node) {
            self.paused.swap_remove(at);
            cluster[node].resume()?;
            return Ok(format!("resume {name}"));
        }
        Ok(match self.chance.u8(..10) {
            0..3 => {
                ledger.kill(node);
                cluster[node].kill();
                format!("kill {name}")
            }
            3..5 => {
                ledger.disturb(node);
                cluster[node].pause()?;
                self.paused.push(node);
                format!("stop {name}")
            }
            5..7 => {
                ledger.disturb(node);
                cluster.links().isolate(node, kind);
                format!("isolate {name}, {kind:?}")
            }
            7 => {
                ledger.disturb(node);
                ledger.disturb(other);
                cluster.links().cut(node, other, kind);
                format!("cut {name} to {}, {kind:?}", cluster[other].name())
            }
            8 => {
                self.split(cluster, ledger, kind);
                format!("split, {kind:?}")
            }
            _ => {
                cluster.links().heal_all();
                "heal all links".to_owned()
            }
        })
    }

    /// Two halves that do not hear each other.
    fn split(&mut self, cluster: &Cluster, ledger: &Ledger, kind: Cut) {
        let sides: Vec<bool> = (0..cluster.len()).map(|_| self.chance.bool()).collect();
        for (from, side) in sides.iter().enumerate() {
            for (to, _) in sides.iter().enumerate().filter(|(_, s)| *s != side) {
                ledger.disturb(from);
                ledger.disturb(to);
                cluster.links().cut(from, to, kind);
            }
        }
    }
}
