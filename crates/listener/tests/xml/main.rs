//! Contract X against two parsers that others have written, rxml and expat: what they accept, the
//! framer accepts, and nothing else; what is forwarded they read as what was sent.

#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

mod checks;
mod corpus;
mod documents;
mod expat;
mod framed;
mod large;
mod meaning;
mod names;
mod seen;

use proptest::prelude::*;
use proptest::sample::Index;
use switchyard_listener::xml::{Framer, Limits};

use checks::{Parser, check_acceptance, check_forwarding, check_with_rxml};
use documents::{cuts, document, header, mutated};
use expat::Expat;

/// Tries `cases` inputs of `strategy`.
fn try_each<S: Strategy>(cases: u32, strategy: S, mut check: impl FnMut(S::Value)) {
    use proptest::test_runner::{Config, TestRunner};
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let test = std::cell::RefCell::new(&mut check);
    let outcome = TestRunner::new(config).run(&strategy, |value| {
        (test.borrow_mut())(value);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// A document or a damaged one, behind a header, and cuts.
fn inputs() -> impl Strategy<Value = (String, Vec<u8>, Vec<Index>)> {
    let document = document().prop_map(String::into_bytes);
    let cuts = prop::collection::vec(any::<Index>(), 0..8);
    (header(), prop_oneof![document, mutated()], cuts)
}

#[test]
fn contract_x1_x2_x3_x5_as_rxml_reads_it() {
    try_each(3000, inputs(), |(header, input, of)| {
        check_with_rxml(&header, &input, &cuts(&input, &of));
    });
}

#[test]
fn contract_x1_x2_x3_x5_as_expat_reads_it() {
    let mut expat = Expat::start();
    try_each(3000, inputs(), |(header, input, of)| {
        let mut parser = Parser {
            parse: &mut |document| expat.seen(document),
            accepts_too_much: |_, _| false,
        };
        check_acceptance(&header, &input, &cuts(&input, &of), &mut parser);
        check_forwarding(&header, &input, &mut |document| expat.seen(document));
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_at_all_are_read_without_a_panic(
        input in prop::collection::vec(any::<u8>(), 0..200),
        header in "[ -~]{0,40}",
    ) {
        framed::read(framed::framer(framed::HEADER), &input, &[input.len() / 2]);
        let _header = Framer::new(Limits::default()).read_header(&input);
        let _header = Framer::new(Limits::default()).read_header(format!("<{header}>").as_bytes());
    }
}
