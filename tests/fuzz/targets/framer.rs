//! Any bytes behind a stream header, and in its place: the framer and rxml agree, the pieces in which
//! bytes arrive make no difference, and what is forwarded means what was sent (contract X). The same
//! checks as in `crates/listener/tests/xml`.

#![no_main]

#[path = "../../../crates/listener/tests/xml/checks.rs"]
mod checks;
#[path = "../../../crates/listener/tests/xml/framed.rs"]
mod framed;
#[path = "../../../crates/listener/tests/xml/meaning.rs"]
mod meaning;
#[path = "../../../crates/listener/tests/xml/seen.rs"]
mod seen;

use libfuzzer_sys::fuzz_target;
use switchyard_listener::xml::{Framer, Limits, StreamHeader, XmlError};

fuzz_target!(|input: &[u8]| {
    let cuts = cuts_of(input);
    checks::check_with_rxml(framed::HEADER, input, &cuts);
    let whole = header(input, &[]);
    assert_eq!(header(input, &cuts), whole);
    let every: Vec<usize> = (0..input.len()).collect();
    assert_eq!(header(input, &every), whole);
    if let Some(Ok(header)) = whole {
        let (head, behind) = input.split_at(header.len);
        let head = String::from_utf8(head.to_vec()).expect("a header is UTF-8");
        framed::read_each_way(&head, behind, &cuts_of(behind));
    }
});

/// Where the input is cut: the same places for the same bytes.
fn cuts_of(input: &[u8]) -> Vec<usize> {
    let sum = input.iter().fold(17_usize, |sum, &byte| {
        sum.wrapping_mul(31).wrapping_add(usize::from(byte))
    });
    let mut cuts: Vec<usize> = [3, 5, 7, 11, 13]
        .map(|prime| (sum / prime) % (input.len() + 1))
        .into();
    cuts.sort_unstable();
    cuts
}

/// The header at the start of `input`, which comes in pieces that end at `cuts`.
fn header(input: &[u8], cuts: &[usize]) -> Option<Result<StreamHeader, XmlError>> {
    let mut framer = Framer::new(Limits::default());
    let mut ends = cuts.iter().copied().chain([input.len()]);
    ends.find_map(|end| framer.read_header(&input[..end]).transpose())
}
