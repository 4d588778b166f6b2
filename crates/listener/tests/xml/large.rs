//! Inputs that are too large to be kept: without end, or with too much of something. Each must be
//! refused before more than the limit that it breaks has arrived (contract X2, X3).

use switchyard_listener::StreamCondition;
use switchyard_listener::xml::{Framer, Limits, Outcome};

use crate::framed::{HEADER, framer};

const PIECE: usize = 4096;

/// `start`, and then `more` again and again.
fn endless(start: &str, more: &str) -> impl Iterator<Item = u8> {
    let start = start.as_bytes().to_vec();
    let more = more.as_bytes().to_vec();
    start.into_iter().chain(more.into_iter().cycle())
}

/// The condition, and how many bytes had to arrive for it. Nothing if none is met within
/// `at_most` bytes.
fn refused(
    mut input: impl Iterator<Item = u8>,
    at_most: usize,
) -> Option<(StreamCondition, usize)> {
    let (mut framer, mut buffer, mut arrived) = (framer(HEADER), Vec::new(), 0);
    while arrived < at_most {
        buffer.extend(input.by_ref().take(PIECE));
        arrived += PIECE;
        let mut found = Vec::new();
        let progress = framer.read_elements(&buffer, usize::MAX, &mut found);
        match progress.outcome {
            Outcome::Error(error) => return Some((error.kind.condition(), arrived)),
            Outcome::More => drop(buffer.drain(..progress.consumed)),
            other => panic!("{other:?}"),
        }
    }
    None
}

#[test]
fn contract_x3_what_never_ends_is_refused_at_the_largest_size_of_a_stanza() {
    let max = Limits::default().max_stanza_size as usize;
    for (start, more) in [
        ("<", "a"),
        ("<a:", "b"),
        ("<a ", "b"),
        ("<a b='", "c"),
        ("<a b=\"", "&amp;"),
        ("<a b='&#", "1"),
        ("<a ", " \n"),
        ("<a>", "text"),
        ("<a>", "\u{e9}"),
        ("<a>&#x", "0"),
        ("<a><![CDATA[", "]] >"),
        ("<a>", "<b/>"),
        ("<a>", "<b>c</b>"),
        ("<a></a", " "),
        ("<a></", "a"),
        ("</stream:stream", " "),
        ("</", "stream:"),
    ] {
        let outcome = refused(endless(start, more), 2 * max);
        let Some((StreamCondition::PolicyViolation, arrived)) = outcome else {
            panic!("{start}{more}...: {outcome:?}");
        };
        assert!(arrived <= max + PIECE, "{start}{more}...: {arrived}");
    }
}

#[test]
fn contract_x3_elements_that_end_and_white_space_may_go_on_for_ever() {
    for more in [" ", "<iq/>", "<iq>text</iq>\n", "<a b='c'></a >"] {
        assert_eq!(refused(endless("", more), 4 << 20), None, "{more}");
    }
}

#[test]
fn contract_x2_too_much_of_something_is_refused_as_soon_as_it_is_there() {
    let attributes = |count: usize| {
        let attributes: String = (0..count).map(|i| format!(" a{i}=''")).collect();
        format!("<iq{attributes}/>")
    };
    let prefixes = |count: usize| {
        let elements: String = (0..count).map(|i| format!("<a xmlns:p{i}='u'>")).collect();
        format!("<iq>{elements}")
    };
    for (name, input) in [
        ("10 000 levels", "<a>".repeat(10_000)),
        ("10 000 attributes", attributes(10_000)),
        ("200 prefixes", prefixes(200)),
        // As one that is complete.
        (
            "300 levels",
            format!("{}{}", "<a>".repeat(300), "</a>".repeat(300)),
        ),
    ] {
        let outcome = refused(endless(&input, " "), 2 << 20);
        let Some((condition, arrived)) = outcome else {
            panic!("{name} are accepted");
        };
        assert_eq!(condition, StreamCondition::PolicyViolation, "{name}");
        assert!(arrived <= input.len() + PIECE, "{name}: {arrived}");
    }
    // A million attributes are more than a stanza may have bytes.
    let outcome = refused(endless(&attributes(1_000_000), " "), 20 << 20);
    let Some((StreamCondition::PolicyViolation, arrived)) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(arrived <= Limits::default().max_stanza_size as usize + PIECE);
}

#[test]
fn contract_s7_a_header_that_never_ends_is_refused_at_its_largest_size() {
    let max = Limits::default().max_header_size as usize;
    for (start, more) in [
        ("", " "),
        ("<?xml ", " "),
        ("<?xml version='1", "0"),
        ("<", "a"),
        ("<stream:stream xmlns='", "a"),
        ("<stream:stream ", "a"),
        ("<stream:stream", " "),
    ] {
        let input: Vec<u8> = endless(start, more).take(max + 1).collect();
        let mut framer = Framer::new(Limits::default());
        for end in 0..=max {
            let read = framer.read_header(&input[..end]);
            assert_eq!(read, Ok(None), "{start}{more}...");
        }
        let error = framer.read_header(&input).unwrap_err();
        let condition = error.kind.condition();
        assert_eq!(
            condition,
            StreamCondition::PolicyViolation,
            "{start}{more}..."
        );
    }
}
