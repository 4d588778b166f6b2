//! What must hold for any bytes behind a stream header. The fuzz target `framer` checks the same.

use bytes::BytesMut;
use switchyard_listener::xml::{Framer, Limits, Outcome, STREAMS, XmlError, XmlErrorKind};
use switchyard_listener::{Span, Stanza, StanzaCondition, StanzaKind, error_reply};

use crate::framed::{END, PLAIN_HEADER, Reading, framer, read_each_way};
use crate::meaning::{expected, is_content};
use crate::seen::{Seen, by_rxml};

/// Another parser.
pub(crate) struct Parser<'a> {
    /// What is within the root of a document, if it accepts all of it.
    pub(crate) parse: &'a mut dyn FnMut(&[u8]) -> Option<Vec<Seen>>,
    /// What it accepts by mistake.
    pub(crate) accepts_too_much: fn(&XmlError, &[u8]) -> bool,
}

/// rxml, as [`Parser`].
pub(crate) fn rxml(parse: &mut dyn FnMut(&[u8]) -> Option<Vec<Seen>>) -> Parser<'_> {
    Parser {
        parse,
        // It goes by the fifth edition of XML 1.0, lets an element declare a prefix twice, any prefix
        // be bound to the namespace of xmlns, and a namespace be of any characters.
        accepts_too_much: |error, at| {
            let of_declaration =
                error.text.contains("there twice") || error.text.contains("declaration");
            is_late_name(error)
                || error.text.contains("no URI has")
                || of_declaration && at.starts_with(b"xmlns")
        },
    }
}

/// Contract X1 to X3: the framer accepts what the other parser accepts, and nothing else, but for
/// what it refuses for reasons beyond well-formedness. The pieces in which bytes arrive make no
/// difference.
pub(crate) fn check_acceptance(header: &str, input: &[u8], cuts: &[usize], other: &mut Parser<'_>) {
    let whole = [input, END.as_bytes()].concat();
    let reading = read_each_way(header, &whole, cuts);
    let accepted = reading.outcome == Outcome::End && reading.consumed == whole.len();
    let seen = (other.parse)(&[header.as_bytes(), &whole].concat());
    let expected = seen.is_some_and(|seen| !is_refused(&seen));
    let differs = is_known_difference(&whole, &reading, other);
    let text = input.escape_ascii();
    assert_eq!(accepted, expected && !differs, "{text}: {reading:?}");
}

/// The framer refuses on purpose what is well-formed: text between stanzas, headers and other
/// elements of the streams namespace.
fn is_refused(seen: &[Seen]) -> bool {
    seen.iter().any(|seen| match seen {
        Seen::Text { depth, text } => *depth == 1 && !text.trim_ascii().is_empty(),
        Seen::Element { depth, name, .. } => *depth == 1 && name.0 == STREAMS && name.1 != "error",
    })
}

/// What the other parser accepts and the framer does not, for a reason.
fn is_known_difference(whole: &[u8], reading: &Reading, other: &Parser<'_>) -> bool {
    let Outcome::Error(error) = &reading.outcome else {
        return false;
    };
    let rest = &whole[reading.consumed..];
    // White space between stanzas is refused in a CDATA section and as a reference.
    let is_space = rest.starts_with(b"<![CDATA[") || rest.starts_with(b"&#");
    let is_odd_space = error.kind == XmlErrorKind::BadFormat && is_space;
    // Bounds, and what cannot be forwarded though it is well-formed.
    let policy = error.kind == XmlErrorKind::Policy;
    let at = rest.get(error.at as usize..).unwrap_or_default();
    is_odd_space || policy || (other.accepts_too_much)(error, at)
}

/// Receivers may go by any edition of XML 1.0 (contract X4).
pub(crate) fn is_late_name(error: &XmlError) -> bool {
    error.kind == XmlErrorKind::NotWellFormed && error.text.contains("before its fifth edition")
}

/// Contract X4 and X5: every stanza in `input` can stand on another stream, where `parse`, of another
/// parser, sees what the sender meant.
pub(crate) fn check_forwarding(
    header: &str,
    input: &[u8],
    parse: &mut dyn FnMut(&[u8]) -> Option<Vec<Seen>>,
) {
    let (mut framer, mut found) = (framer(header), Vec::new());
    framer.read_elements(input, usize::MAX, &mut found);
    let mut behind = |header: &str, stanza: &[u8]| {
        let seen = parse(&[header.as_bytes(), stanza, END.as_bytes()].concat());
        seen.unwrap_or_else(|| panic!("not well-formed: {}", stanza.escape_ascii()))
    };
    for stanza in found {
        let sent = stanza.span.of(input);
        if stanza.kind != StanzaKind::Other {
            let (bytes, forwarded) = forward(&framer, input, &stanza);
            let meant = expected(&[header.as_bytes(), sent, END.as_bytes()].concat());
            let received = behind(PLAIN_HEADER, forwarded.span.of(&bytes));
            if let Some(meant) = meant {
                assert_eq!(meant, received, "{}", sent.escape_ascii());
            }
            let first = received.first();
            let is_stanza =
                matches!(first, Some(Seen::Element { name, .. }) if is_content(&name.0));
            assert!(is_stanza, "{}", sent.escape_ascii());
        }
        let mut rewritten = BytesMut::new();
        let rewritten_stanza = framer.rewrite(input, &stanza, &mut rewritten);
        let (mut reply, text) = (BytesMut::new(), Some("<&>"));
        let condition = StanzaCondition::BadRequest;
        if error_reply(&rewritten, &rewritten_stanza, condition, text, &mut reply) {
            assert_eq!(only_stanza(&reply).kind, stanza.kind);
            behind(PLAIN_HEADER, &reply);
        }
    }
}

/// `stanza` of `input` as it is forwarded, in bytes of its own.
fn forward(framer: &Framer, input: &[u8], stanza: &Stanza) -> (BytesMut, Stanza) {
    let mut bytes = BytesMut::new();
    let forwarded = framer.rewrite(input, stanza, &mut bytes);
    if !framer.needs_rewrite(stanza) {
        assert_eq!(bytes, stanza.span.of(input));
    }
    let text = bytes.escape_ascii().to_string();
    assert_eq!(parts(&only_stanza(&bytes)), parts(&forwarded), "{text}");
    // Contract X5: the payload is not touched.
    let content = |bytes: &[u8], stanza: &Stanza| {
        bytes[stanza.start_tag.end as usize..stanza.span.end as usize].to_vec()
    };
    assert_eq!(
        content(input, stanza),
        content(&bytes, &forwarded),
        "{text}"
    );
    (bytes, forwarded)
}

/// The only stanza of `bytes`, which has nothing of a stream header.
fn only_stanza(bytes: &[u8]) -> Stanza {
    let mut found = Vec::new();
    let progress = Framer::for_stanzas(Limits::forwarded()).read_elements(bytes, 2, &mut found);
    assert_eq!(progress.outcome, Outcome::More, "{}", bytes.escape_ascii());
    assert_eq!(found.len(), 1, "{}", bytes.escape_ascii());
    found[0]
}

fn parts(stanza: &Stanza) -> (StanzaKind, [Span; 3], [Option<Span>; 4]) {
    (
        stanza.kind,
        [stanza.span, stanza.name, stanza.start_tag],
        [stanza.from, stanza.to, stanza.kind_attribute, stanza.id],
    )
}

/// All of it, with rxml as the other parser.
pub(crate) fn check_with_rxml(header: &str, input: &[u8], cuts: &[usize]) {
    if rxml_refuses_too_much(input) {
        read_each_way(header, input, cuts);
        return;
    }
    check_acceptance(header, input, cuts, &mut rxml(&mut by_rxml));
    check_forwarding(header, input, &mut by_rxml);
}

/// A carriage return alone, which rxml refuses in attribute values, or a reference that is longer
/// than rxml takes.
fn rxml_refuses_too_much(input: &[u8]) -> bool {
    let has_return = |pair: &[u8]| pair[0] == b'\r' && pair[1] != b'\n';
    let is_long = |run: &[u8]| run.starts_with(b"&#") && !run.contains(&b';');
    input.windows(2).any(has_return) || input.windows(10).any(is_long)
}
