//! A cluster in which one seed fixes everything: what the components do, when messages arrive,
//! which links fail, which nodes lose their power, what is left on their disks. `docs/testing.md`
//! tells what is simulated, what must hold, and how to run one seed again.
//!
//! The registries are the real ones, each on a runtime of its own with a clock of its own, over
//! turmoil's network; their logs are on simulated disks.

mod chance;
mod checks;
mod components;
mod contenders;
mod disk;
mod environment;
mod history;
mod linearizability;
mod network;
mod node;
mod operators;
mod plan;
mod record;
mod run;

use std::ops::Range;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use self::plan::Plan;
use self::run::Outcome;

/// The time with faults, unless the environment says otherwise.
const FAULTY: Duration = Duration::from_secs(15);

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

fn plan(seed: u64) -> Plan {
    let faulty = setting("SIMULATE_SECONDS").map_or(FAULTY, Duration::from_secs);
    Plan::new(seed, faulty)
}

/// Runs one seed on a thread of its own: what a thread has drawn before would show.
fn run(seed: u64, is_loud: bool) -> Outcome {
    let thread = std::thread::spawn(move || run::run(plan(seed), is_loud));
    thread.join().unwrap_or_else(|panic| Outcome {
        failure: Some(format!("panicked: {:?}", panic.downcast_ref::<String>())),
        fingerprint: (0, 0),
        recovery: Duration::ZERO,
    })
}

/// Runs one seed in a process of its own, so that it is the run that [`replay`] shows: two at a time in
/// one process are not always the same again. Returns what is wrong.
fn replay_apart(seed: u64) -> Option<String> {
    let program = std::env::current_exe().expect("this program has a path");
    let replay = Command::new(program)
        .args(["simulation::replay", "--exact", "--nocapture"])
        .env("SEED", seed.to_string())
        .output()
        .expect("this program runs once more");
    let said = String::from_utf8_lossy(&replay.stderr);
    let outcome = said.lines().find(|line| line.starts_with("Outcome"));
    match outcome {
        Some(_) if replay.status.success() => None,
        Some(outcome) => Some(outcome.to_owned()),
        None => Some(format!("{}: {:.2000}", replay.status, said)),
    }
}

/// Runs many seeds on all processors. Returns those that failed.
fn run_all(seeds: Range<u64>) -> Vec<u64> {
    let next = AtomicU64::new(seeds.start);
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    if let Some(failure) = replay_apart(seed) {
                        eprintln!(
                            "seed {seed}: {failure}\n\
                             REPRODUCE WITH: SEED={seed} cargo simulate replay -- --nocapture"
                        );
                        failures.lock().push(seed);
                    }
                }
            });
        }
    });
    failures.into_inner()
}

/// Every seed of a range: `SIMULATE_FROM` (0), `SIMULATE_SEEDS` (so many; a few by default).
#[test]
fn clusters_that_fail_come_right_and_never_go_wrong() {
    let from = setting("SIMULATE_FROM").unwrap_or(0);
    let seeds = from..from + setting("SIMULATE_SEEDS").unwrap_or(6);
    let count = seeds.end - seeds.start;
    let failures = run_all(seeds);
    assert!(
        failures.is_empty(),
        "{} of {count} seeds failed: {failures:?}",
        failures.len()
    );
}

/// One seed, with everything that happens: `SEED`.
#[test]
fn replay() {
    let Some(seed) = setting("SEED") else {
        return;
    };
    let plan = plan(seed);
    eprintln!("{plan:#?}");
    let outcome = run(seed, true);
    eprintln!("{outcome:?}");
    assert_eq!(outcome.failure, None);
}

#[test]
fn a_seed_fixes_its_run() {
    let seed = setting("SEED").unwrap_or(1);
    let (first, second) = (run(seed, false), run(seed, false));
    assert!(first.fingerprint.0 > 100, "{first:?}");
    // Without it, tokio draws the order of what is ready from a source of its own.
    if cfg!(tokio_unstable) {
        assert_eq!(first, second);
    }
}
