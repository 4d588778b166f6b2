//! What a link costs. Run with
//! `cargo test --release -p switchyard peer::tests::cost -- --ignored --nocapture`.

use std::fs;

use tokio::time::Instant;

use super::fixture::{Node, destination, parcel, send};

/// About the wire size of a message with a body of 64 bytes.
const STANZA: usize = 210;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, does not test"]
async fn cost_of_a_stanza_over_a_link() {
    // One stanza to a parcel is the worst case; runs are what a pipelining sender makes.
    for (run, count) in [(1, 1_000_000), (8, 250_000), (64, 50_000)] {
        let one = Node::start(1, |_| {}).await;
        let two = Node::start(2, |_| {}).await;
        let link = one.join(two.id, 20, two.address);
        let (cpu, wall) = (cpu_micros(), Instant::now());
        for n in 1..=count {
            send(&link, parcel(destination((n % 10) as u8), n, STANZA * run)).await;
        }
        two.wait(|seen| seen.delivered.last() == Some(&count)).await;
        let stanzas = count * run as u64;
        let cpu = (cpu_micros() - cpu) as f64 / stanzas as f64;
        let rate = stanzas as f64 / wall.elapsed().as_secs_f64();
        println!("runs of {run}: {cpu:.2} µs of CPU a stanza, {rate:.0} stanzas/s");
    }
}

/// User and system time of this process, from `/proc`, in microseconds.
fn cpu_micros() -> u64 {
    const MICROS_PER_TICK: u64 = 10_000;
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    let (_, fields) = stat.rsplit_once(')').expect("a command in parentheses");
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|n| n.parse::<u64>().expect("a number")).sum();
    ticks * MICROS_PER_TICK
}
