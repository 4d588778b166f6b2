//! Bytes per second through the framer with all its checks, and what is done with each stanza
//! before it is routed. `cargo bench -p switchyard-listener --bench framer`

mod inputs;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use switchyard_listener::xml::{Framer, Outcome};
use switchyard_listener::{SenderRule, Stanza};
use switchyard_registry::Domain;

use self::inputs::{chat, chunk_of, framer, stanzas};

fn read(framer: &mut Framer, chunk: &[u8], stanzas: &mut Vec<Stanza>) {
    stanzas.clear();
    let progress = framer.read_elements(black_box(chunk), usize::MAX, stanzas);
    assert_eq!(
        (progress.consumed, progress.outcome),
        (chunk.len(), Outcome::More)
    );
}

/// The same bytes, `size` at a time.
fn read_dribbled(framer: &mut Framer, chunk: &[u8], size: usize, stanzas: &mut Vec<Stanza>) {
    stanzas.clear();
    let mut start = 0;
    for end in (size..chunk.len()).step_by(size).chain([chunk.len()]) {
        start += framer
            .read_elements(&chunk[start..end], usize::MAX, stanzas)
            .consumed;
    }
    assert_eq!(start, chunk.len());
}

fn framing(c: &mut Criterion) {
    let mut group = c.benchmark_group("framer");
    let stanzas = stanzas();
    for (name, stanza) in &stanzas {
        let chunk = chunk_of(stanza);
        let (mut framer, mut found) = (framer(), Vec::new());
        group.throughput(Throughput::Bytes(chunk.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| read(&mut framer, &chunk, &mut found));
        });
    }
    let chunk = chunk_of(&stanzas[3].1);
    group.throughput(Throughput::Bytes(chunk.len() as u64));
    for size in [1460, 100, 1] {
        let (mut framer, mut found) = (framer(), Vec::new());
        group.bench_function(BenchmarkId::new("10kB_in_pieces_of", size), |b| {
            b.iter(|| read_dribbled(&mut framer, &chunk, size, &mut found));
        });
    }
    group.finish();
}

fn checking(c: &mut Criterion) {
    let chunk = chunk_of(&chat(&"hello, world! ".repeat(6)));
    let domain = Domain::prepare("a.example").expect("a domain");
    let rule = SenderRule {
        domain,
        is_subdomain: false,
        hosts: Arc::new([]),
        check_from: true,
    };
    let (mut framer, mut found) = (framer(), Vec::new());
    read(&mut framer, &chunk, &mut found);
    let mut group = c.benchmark_group("sender_rule");
    group.throughput(Throughput::Elements(found.len() as u64));
    group.bench_function("300B", |b| {
        b.iter(|| {
            let good = |stanza: &&Stanza| rule.check(&chunk, stanza).is_ok();
            assert_eq!(found.iter().filter(good).count(), found.len());
        });
    });
    group.finish();
}

criterion_group!(benches, framing, checking);
criterion_main!(benches);
