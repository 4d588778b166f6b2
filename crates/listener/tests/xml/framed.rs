//! What the framer makes of the bytes of a stream, in whatever pieces they arrive.

use switchyard_listener::xml::{Framer, Limits, Outcome};
use switchyard_listener::{Stanza, StanzaKind};

/// A stream's header with all that can have an effect on what is behind it.
pub(crate) const HEADER: &str = "<stream:stream xmlns='jabber:component:accept' xml:lang='pl' \
     xmlns:stream='http://etherx.jabber.org/streams' xmlns:h='urn:h&amp;' \
     xmlns:c='jabber:client' xmlns:p='urn:p' xmlns:q='urn:r' \
     xmlns:a='jabber:component:accept'>";
/// The header that Switchyard writes.
pub(crate) const PLAIN_HEADER: &str = "<stream:stream xmlns='jabber:component:accept' \
     xmlns:stream='http://etherx.jabber.org/streams'>";
pub(crate) const END: &str = "</stream:stream>";

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) elements: Vec<(StanzaKind, Vec<u8>)>,
    pub(crate) consumed: usize,
    pub(crate) outcome: Outcome,
}

/// A framer behind `header`.
pub(crate) fn framer(header: &str) -> Framer {
    let mut framer = Framer::new(Limits::default());
    let read = framer.read_header(header.as_bytes());
    assert!(matches!(read, Ok(Some(read)) if read.len == header.len()));
    framer
}

/// Gives `input` to `framer` in pieces that end at `cuts`.
pub(crate) fn read(mut framer: Framer, input: &[u8], cuts: &[usize]) -> Reading {
    let (mut consumed, mut elements, mut outcome) = (0, Vec::new(), Outcome::More);
    for &end in cuts.iter().chain([&input.len()]) {
        let (buffer, mut found) = (&input[consumed..end], Vec::new());
        let progress = framer.read_elements(buffer, usize::MAX, &mut found);
        let bytes = |stanza: &Stanza| (stanza.kind, stanza.span.of(buffer).to_vec());
        elements.extend(found.iter().map(bytes));
        consumed += progress.consumed;
        outcome = progress.outcome;
        if outcome != Outcome::More {
            break;
        }
    }
    Reading {
        elements,
        consumed,
        outcome,
    }
}

/// Reads `input` behind `header` whole, byte by byte and cut at `cuts`, which must make no
/// difference (contract X3).
pub(crate) fn read_each_way(header: &str, input: &[u8], cuts: &[usize]) -> Reading {
    let whole = read(framer(header), input, &[]);
    let every: Vec<usize> = (0..input.len()).collect();
    for cuts in [cuts, &every] {
        let pieces = read(framer(header), input, cuts);
        assert_eq!(pieces, whole, "{}", input.escape_ascii());
    }
    whole
}
