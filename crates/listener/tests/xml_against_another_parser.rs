//! Contract X1, X2 and X5 against a parser that was written by others: what it accepts, the framer
//! accepts, and nothing else; what is forwarded it reads as what was sent.

use bytes::BytesMut;
use proptest::prelude::*;
use rxml::error::EndOrError;
use rxml::{Event, Parse, Parser};
use switchyard_listener::xml::{Framer, Limits, Outcome, STREAMS, XmlError, XmlErrorKind};
use switchyard_listener::{Span, Stanza, StanzaCondition, StanzaKind, error_reply};

const HEADER: &str = "<stream:stream xmlns='jabber:component:accept' xml:lang='pl' \
     xmlns:stream='http://etherx.jabber.org/streams' xmlns:h='urn:h&amp;' \
     xmlns:c='jabber:client' xmlns:p='urn:p' xmlns:q='urn:r'>";
const PLAIN_HEADER: &str = "<stream:stream xmlns='jabber:component:accept' \
     xmlns:stream='http://etherx.jabber.org/streams'>";
const END: &str = "</stream:stream>";

// --- Documents ---

const ATTRIBUTES: [&str; 13] = [
    " a='1'",
    " b = \"2'\"\n",
    " p:a='3'",
    " q:a='&lt;&#x41;'",
    " h:a='é'",
    " xml:lang='en'",
    " type='get'",
    " to=\"b.example/'\"",
    " from='a.example'",
    " id='&quot;'",
    " xmlns:p='urn:p'",
    " xmlns:q='urn:q'",
    " xmlns:h='urn:inner'",
];

const DEFAULTS: [&str; 9] = [
    "",
    "",
    "",
    " xmlns='jabber:client'",
    " xmlns='jabber:&#115;erver'",
    " xmlns=\"jabber:component:accept\"",
    " xmlns='urn:d'",
    " xmlns=''",
    " xmlns:p='urn:q'",
];

const NAMES: [&str; 14] = [
    "message",
    "iq",
    "presence",
    "message",
    "a",
    "presences",
    "p:x",
    "q:y",
    "h:z",
    "c:message",
    "stream:s",
    "xml:b",
    "é",
    "a-1.b",
];

const TEXTS: [&str; 12] = [
    "",
    "x",
    "&amp;",
    "&#65;&#x1F600;",
    "<![CDATA[<&]]>",
    "日本語, at some length",
    "]]",
    ">",
    "\r\n",
    "0123456789abcdef",
    "<![CDATA[]]]]>",
    "\u{FFFD}\u{85}\u{7F}",
];

const JUNK: [&[u8]; 32] = [
    b"<",
    b">",
    b"&",
    b"'",
    b"\"",
    b"/",
    b"=",
    b":",
    b" ",
    b"]]>",
    b"<!--x-->",
    b"<?x?>",
    b"<!DOCTYPE x>",
    b"&#0;",
    b"&x;",
    b"\x00",
    b"\x1f",
    b"\xff",
    b"\xc3",
    b"\xef\xbf\xbf",
    b"\xed\xa0\x80",
    b"\xc8\xa0",
    b"\xc2\xb7",
    b" xmlns:p=''",
    b" xmlns:xml='x'",
    b" p:a='1' q:a='2'",
    b" a='1'",
    b"</a>",
    b"<a>",
    b"<p:x/>",
    b"xmlns",
    b"z:",
];

fn attributes() -> impl Strategy<Value = String> {
    let known = prop::sample::subsequence(ATTRIBUTES.to_vec(), 0..6);
    let default = prop::sample::select(&DEFAULTS[..]);
    (known, default).prop_map(|(known, default)| format!("{}{default}", known.concat()))
}

fn element() -> impl Strategy<Value = String> {
    let name = || prop::sample::select(&NAMES[..]);
    let text = prop::sample::select(&TEXTS[..]).prop_map(str::to_owned);
    let empty = (name(), attributes());
    let empty = empty.prop_map(|(name, attributes)| format!("<{name}{attributes}/>"));
    let content = prop_oneof![text, empty].prop_recursive(4, 24, 4, move |inner| {
        let inner = prop::collection::vec(inner, 0..4);
        (name(), attributes(), inner).prop_map(|(name, attributes, inner)| {
            format!("<{name}{attributes}>{}</{name} >", inner.concat())
        })
    });
    let content = prop::collection::vec(content, 0..4);
    (name(), attributes(), content).prop_map(|(name, attributes, content)| {
        format!("<{name}{attributes}>{}</{name}>", content.concat())
    })
}

fn document() -> impl Strategy<Value = String> {
    let space = Just(" \n".to_owned());
    let elements = prop::collection::vec(prop_oneof![8 => element(), 1 => space], 0..4);
    elements.prop_map(|elements| elements.concat())
}

/// A document with some of its bytes removed or replaced, or others put between them.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let junk = prop::option::of(prop::sample::select(&JUNK[..]));
    let mutation = (any::<prop::sample::Index>(), 0..4_usize, junk);
    let mutations = prop::collection::vec(mutation, 0..4);
    (document(), mutations).prop_map(|(document, mutations)| {
        let mut bytes = document.into_bytes();
        for (index, removed, junk) in mutations {
            let start = index.index(bytes.len() + 1);
            let end = (start + removed).min(bytes.len());
            bytes.splice(start..end, junk.into_iter().flatten().copied());
        }
        bytes
    })
}

// --- Two readings of them ---

/// What the other parser sees, its names resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Element {
        depth: usize,
        name: (String, String),
        attributes: Vec<(String, String, String)>,
    },
    Text {
        depth: usize,
        text: String,
    },
}

/// Everything within the stream, if the other parser accepts all of it.
fn other(input: &[u8]) -> Option<Vec<Seen>> {
    let (mut rest, mut parser, mut depth) = (input, Parser::new(), 0);
    let mut seen = Vec::new();
    loop {
        match parser.parse(&mut rest, true) {
            Ok(Some(Event::StartElement(_, (namespace, name), attributes))) => {
                let attributes = attributes.iter().map(|((namespace, name), value)| {
                    (namespace.to_string(), name.to_string(), value.clone())
                });
                let mut attributes: Vec<_> = attributes.collect();
                attributes.sort();
                if depth > 0 {
                    let name = (namespace.to_string(), name.to_string());
                    seen.push(Seen::Element {
                        depth,
                        name,
                        attributes,
                    });
                }
                depth += 1;
            }
            Ok(Some(Event::EndElement(_))) => depth -= 1,
            Ok(Some(Event::Text(_, more))) => match seen.last_mut() {
                Some(Seen::Text { depth: at, text }) if *at == depth => text.push_str(&more),
                _ => seen.push(Seen::Text { depth, text: more }),
            },
            Ok(Some(Event::XmlDeclaration(..))) => {}
            Ok(None) => return Some(seen),
            Err(EndOrError::Error(_) | EndOrError::NeedMoreData) => return None,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Reading {
    elements: Vec<(StanzaKind, Vec<u8>)>,
    consumed: usize,
    outcome: Outcome,
}

/// Reads `input` in pieces that end at `cuts`.
fn framed(input: &[u8], cuts: &[usize]) -> Reading {
    let mut framer = framer();
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

fn framer() -> Framer {
    let mut framer = Framer::new(Limits::default());
    let header = framer.read_header(HEADER.as_bytes());
    assert!(matches!(header, Ok(Some(header)) if header.len == HEADER.len()));
    framer
}

/// The only stanza of `bytes`, which has nothing of a stream header.
fn only_stanza(bytes: &[u8]) -> Stanza {
    let mut found = Vec::new();
    let progress = Framer::for_stanzas(Limits::forwarded()).read_elements(bytes, 2, &mut found);
    assert_eq!(progress.outcome, Outcome::More, "{}", bytes.escape_ascii());
    assert_eq!(found.len(), 1, "{}", bytes.escape_ascii());
    found[0]
}

// --- What must hold ---

/// The framer refuses on purpose what is well-formed: text between stanzas, headers and other
/// elements of the streams namespace.
fn is_refused(seen: &[Seen]) -> bool {
    seen.iter().any(|seen| match seen {
        Seen::Text { depth, text } => *depth == 1 && !text.trim_ascii().is_empty(),
        Seen::Element { depth, name, .. } => *depth == 1 && name.0 == STREAMS && name.1 != "error",
    })
}

fn check_acceptance(input: &[u8]) {
    let whole = [input, END.as_bytes()].concat();
    let reading = framed(&whole, &[]);
    let accepted = reading.outcome == Outcome::End && reading.consumed == whole.len();
    let seen = other(&[HEADER.as_bytes(), &whole].concat());
    let expected = seen.is_some_and(|seen| !is_refused(&seen));
    let accepts_more = is_known_difference(&whole, &reading);
    assert_eq!(
        accepted,
        expected && !accepts_more,
        "{}: {reading:?}",
        input.escape_ascii()
    );
}

/// What the other parser accepts and the framer does not.
fn is_known_difference(whole: &[u8], reading: &Reading) -> bool {
    let Outcome::Error(error) = &reading.outcome else {
        return false;
    };
    let rest = &whole[reading.consumed..];
    // A CDATA section between stanzas is refused even if it holds nothing but white space.
    let section = error.kind == XmlErrorKind::BadFormat && rest.starts_with(b"<![CDATA[");
    // The other parser lets one element declare the same prefix twice.
    let twice = error.text.contains("there twice");
    section || is_late_name(error) || twice && rest[error.at as usize..].starts_with(b"xmlns")
}

/// The other parser takes the names of the fifth edition of XML 1.0, the framer only those that the
/// editions before it have as well (contract X4).
fn is_late_name(error: &XmlError) -> bool {
    error.kind == XmlErrorKind::NotWellFormed && error.text.contains("before its fifth edition")
}

/// On a component's stream all content namespaces mean the same.
fn normalised(mut seen: Vec<Seen>) -> Vec<Seen> {
    for seen in &mut seen {
        if let Seen::Element { name, .. } = seen
            && matches!(&*name.0, "jabber:client" | "jabber:server")
        {
            "jabber:component:accept".clone_into(&mut name.0);
        }
    }
    seen
}

/// `stanza` as the other parser sees it behind `header`.
fn seen_behind(header: &str, stanza: &[u8]) -> Vec<Seen> {
    let seen = other(&[header.as_bytes(), stanza, END.as_bytes()].concat());
    seen.unwrap_or_else(|| panic!("not well-formed: {}", stanza.escape_ascii()))
}

/// Adds the language of the stream if the root has none.
fn stamped(mut seen: Vec<Seen>) -> Vec<Seen> {
    let language = ("http://www.w3.org/XML/1998/namespace", "lang");
    if let Some(Seen::Element { attributes, .. }) = seen.first_mut()
        && !attributes
            .iter()
            .any(|(namespace, name, _)| (&**namespace, &**name) == language)
    {
        attributes.push((
            language.0.to_owned(),
            language.1.to_owned(),
            "pl".to_owned(),
        ));
        attributes.sort();
    }
    seen
}

fn parts(stanza: &Stanza) -> (StanzaKind, [Span; 3], [Option<Span>; 4]) {
    (
        stanza.kind,
        [stanza.span, stanza.name, stanza.start_tag],
        [stanza.from, stanza.to, stanza.kind_attribute, stanza.id],
    )
}

fn check_forwarding(input: &[u8]) {
    let (mut framer, mut found) = (framer(), Vec::new());
    framer.read_elements(input, usize::MAX, &mut found);
    for stanza in found
        .iter()
        .filter(|stanza| stanza.kind != StanzaKind::Other)
    {
        let (sent, mut out) = (stanza.span.of(input), BytesMut::new());
        let forwarded = framer.rewrite(input, stanza, &mut out);
        if !framer.needs_rewrite(stanza) {
            assert_eq!(out, sent);
        }
        assert_eq!(
            parts(&only_stanza(&out)),
            parts(&forwarded),
            "{}",
            out.escape_ascii()
        );
        let (before, after) = (seen_behind(HEADER, sent), seen_behind(PLAIN_HEADER, &out));
        let is_content = matches!(
            after.first(),
            Some(Seen::Element { name, .. }) if name.0 == "jabber:component:accept"
        );
        assert!(is_content, "{}", out.escape_ascii());
        let before = stamped(normalised(before));
        assert_eq!(before, normalised(after), "{}", out.escape_ascii());
        check_reply(&out, &forwarded);
    }
}

fn check_reply(bytes: &[u8], stanza: &Stanza) {
    let (mut reply, text) = (BytesMut::new(), Some("<&>"));
    if error_reply(bytes, stanza, StanzaCondition::BadRequest, text, &mut reply) {
        assert_eq!(only_stanza(&reply).kind, stanza.kind);
        seen_behind(PLAIN_HEADER, &reply);
    }
}

/// All names of `before` and one character, sorted by what the framer says to them: accepted, not
/// allowed before the fifth edition, and not allowed.
fn names(before: &str) -> [Vec<String>; 3] {
    let mut sorted = [const { Vec::new() }; 3];
    // The other parser lacks a range of the fifth edition, U+FDF0 to U+FFFD.
    for char in ('\u{80}'..'\u{FDF0}').chain('\u{FFFE}'..='\u{20000}') {
        let name = format!("{before}{char}");
        let index = match framed(format!("<{name}/>").as_bytes(), &[]).outcome {
            Outcome::Error(error) if is_late_name(&error) => 1,
            Outcome::Error(_) => 2,
            _ => 0,
        };
        sorted[index].push(name);
    }
    sorted
}

#[test]
fn contract_x4_names_beyond_the_fifth_edition_are_refused_and_before_it_named() {
    for before in ["", "a"] {
        let [accepted, late, refused] = names(before);
        assert!(accepted.len() > 30_000 && late.len() > 70_000 && refused.len() > 5_000);
        for known in [accepted, late] {
            let elements: String = known.iter().map(|name| format!("<{name}/>")).collect();
            let seen = other(format!("{HEADER}{elements}{END}").as_bytes());
            assert_eq!(seen.map(|seen| seen.len()), Some(known.len()));
        }
        for name in refused {
            let seen = other(format!("{HEADER}<{name}/>{END}").as_bytes());
            assert_eq!(seen, None, "{}", name.escape_unicode());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn contract_x2_x5_whole_documents(input in document()) {
        check_acceptance(input.as_bytes());
        check_forwarding(input.as_bytes());
    }

    #[test]
    fn contract_x1_x2_broken_documents(input in mutated()) {
        check_acceptance(&input);
        check_forwarding(&input);
    }

    #[test]
    fn contract_x3_the_pieces_in_which_bytes_arrive_make_no_difference(
        input in mutated(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        bytewise in any::<bool>(),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.sort_unstable();
        if bytewise {
            cuts = (0..input.len()).collect();
        }
        prop_assert_eq!(framed(&input, &cuts), framed(&input, &[]));
    }

    #[test]
    fn any_bytes_at_all_are_read_without_a_panic(
        input in prop::collection::vec(any::<u8>(), 0..200),
        header in "[ -~]{0,40}",
    ) {
        framed(&input, &[input.len() / 2]);
        let _header = Framer::new(Limits::default()).read_header(&input);
        let _header = Framer::new(Limits::default()).read_header(format!("<{header}>").as_bytes());
    }
}
