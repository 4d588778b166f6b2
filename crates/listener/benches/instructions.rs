//! Instructions for each byte and each stanza that the framer reads with all its checks, counted by
//! callgrind and therefore the same on a busy machine. Needs `valgrind`.
//! `cargo bench --workspace --bench instructions`
//!
//! Each input is read by this program, run by valgrind, a few times and many times: the difference
//! is the work, without what the program does to start and to end.

mod inputs;

use std::env;
use std::hint::black_box;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use switchyard_listener::xml::Outcome;

use self::inputs::{chunk_of, framer, stanzas};

/// How often the input is read, in the two runs.
const ROUNDS: [u64; 2] = [2, 12];

fn main() -> Result<()> {
    // `cargo bench` passes `--bench`.
    let arguments: Vec<String> = env::args().skip(1).filter(|a| a != "--bench").collect();
    match &arguments[..] {
        [] => report(),
        [name, rounds] => read(name, rounds.parse()?),
        _ => bail!("usage: instructions [INPUT ROUNDS]"),
    }
}

fn report() -> Result<()> {
    println!("{:15} {:>10} {:>12}", "input", "per byte", "per stanza");
    for (name, stanza) in stanzas() {
        let few = count(name, ROUNDS[0])?;
        let many = count(name, ROUNDS[1])?;
        let chunk = chunk_of(&stanza).len() as f64;
        let per_byte = (many - few) as f64 / (ROUNDS[1] - ROUNDS[0]) as f64 / chunk;
        println!(
            "{name:15} {per_byte:>10.2} {:>12.0}",
            per_byte * stanza.len() as f64
        );
    }
    Ok(())
}

/// Instructions of a whole run.
fn count(name: &str, rounds: u64) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args([name, &rounds.to_string()])
        .output()
        .context("valgrind does not start: install the package `valgrind`")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind failed:\n{said}");
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .context("valgrind did not say what it collected")?;
    Ok(collected.1.trim().parse()?)
}

fn read(name: &str, rounds: u64) -> Result<()> {
    let stanzas = stanzas();
    let (_, stanza) = stanzas
        .iter()
        .find(|(known, _)| *known == name)
        .with_context(|| format!("no input is called {name:?}"))?;
    let chunk = chunk_of(stanza);
    let (mut framer, mut found) = (framer(), Vec::new());
    for _ in 0..rounds {
        found.clear();
        let progress = framer.read_elements(black_box(&chunk), usize::MAX, &mut found);
        ensure!(
            (progress.consumed, progress.outcome) == (chunk.len(), Outcome::More),
            "{name} is not read to its end"
        );
    }
    Ok(())
}
