//! Contract X1 to X3, S4, S9 and S11, each case in one piece and byte by byte. What is well-formed and
//! what is not: `tests/xml/corpus`.

use super::*;
use crate::{Stanza, StanzaKind};

const HEADER: &str = "<stream:stream xmlns='jabber:component:accept' \
     xmlns:stream='http://etherx.jabber.org/streams' to='a.example'>";

/// All elements as text, the bytes left over, and the last outcome.
#[derive(Debug, PartialEq, Eq)]
struct Reading {
    elements: Vec<(StanzaKind, String)>,
    left: usize,
    outcome: Outcome,
}

fn small() -> Limits {
    Limits {
        max_stanza_size: 200,
        max_depth: 4,
        max_attributes: 6,
        max_prefixes: 3,
        ..Limits::default()
    }
}

fn framer(limits: Limits) -> Framer {
    let mut framer = Framer::new(limits);
    assert_eq!(
        framer.read_header(HEADER.as_bytes()).unwrap().unwrap().len,
        HEADER.len()
    );
    framer
}

/// Feeds `input` in pieces of `size` bytes.
fn read(mut framer: Framer, input: &[u8], size: usize) -> Reading {
    let (mut buffer, mut elements) = (Vec::new(), Vec::new());
    let mut outcome = Outcome::More;
    for piece in input.chunks(size.max(1)) {
        buffer.extend_from_slice(piece);
        let mut found: Vec<Stanza> = Vec::new();
        let progress = framer.read_elements(&buffer, usize::MAX, &mut found);
        for stanza in found {
            let text = String::from_utf8(stanza.span.of(&buffer).to_vec()).unwrap();
            elements.push((stanza.kind, text));
        }
        buffer.drain(..progress.consumed);
        outcome = progress.outcome;
        if outcome != Outcome::More {
            break;
        }
    }
    Reading {
        elements,
        left: buffer.len(),
        outcome,
    }
}

fn read_each_way(input: &[u8]) -> Reading {
    let whole = read(framer(small()), input, input.len());
    let bytes = read(framer(small()), input, 1);
    assert_eq!(whole.elements, bytes.elements, "{}", input.escape_ascii());
    assert_eq!(whole.outcome, bytes.outcome, "{}", input.escape_ascii());
    bytes
}

fn error_of(input: &[u8]) -> XmlErrorKind {
    match read_each_way(input).outcome {
        Outcome::Error(error) => error.kind,
        other => panic!("{}: {other:?}", input.escape_ascii()),
    }
}

#[test]
fn contract_x1_restricted_xml_is_refused_as_soon_as_it_shows() {
    for bad in [
        "<!-",
        "<!DOCTYPE",
        "<?",
        "<?xml version='1.0'?>",
        "<a><!-",
        "<a><?",
        "<a><!D",
    ] {
        assert_eq!(error_of(bad.as_bytes()), XmlErrorKind::Restricted, "{bad}");
    }
}

#[test]
fn contract_x2_text_between_stanzas_is_bad_format_and_space_a_keepalive() {
    for bad in ["x", " é", "&amp;", "<iq/> y", "<![CDATA[ ]]>"] {
        assert_eq!(error_of(bad.as_bytes()), XmlErrorKind::BadFormat, "{bad}");
    }
    let reading = read_each_way(b" \r\n\t<iq/> \n<iq/>\n");
    assert_eq!(reading.elements.len(), 2);
    assert_eq!((reading.left, reading.outcome), (0, Outcome::More));
}

#[test]
fn contract_x2_depth_attributes_and_prefixes_are_bounded() {
    for bad in [
        "<a><b><c><d><e/>",
        "<a a='' b='' c='' d='' e='' f='' g=''/>",
        "<a xmlns:a='u' xmlns:b='u'><b xmlns:a='u' xmlns:b='u'/>",
    ] {
        assert_eq!(error_of(bad.as_bytes()), XmlErrorKind::Policy, "{bad}");
    }
}

#[test]
fn contract_x3_size_counts_bytes_as_they_arrive() {
    let fill = |len: usize| format!("<a>{}</a>", "x".repeat(len - 7));
    assert_eq!(read_each_way(fill(200).as_bytes()).outcome, Outcome::More);
    assert_eq!(error_of(fill(201).as_bytes()), XmlErrorKind::Policy);
    for endless in [
        "<a b='",
        "<a>",
        "<a><![CDATA[",
        "<a></a",
        "<a",
        "</stream:stream ",
    ] {
        let input = format!("{endless}{:200}", "");
        assert_eq!(
            error_of(input.as_bytes()),
            XmlErrorKind::Policy,
            "{endless}"
        );
    }
    let late = format!("<a>{}<!-", "x".repeat(200));
    assert_eq!(error_of(late.as_bytes()), XmlErrorKind::Policy);
}

#[test]
fn contract_s9_a_second_header_is_told_at_its_start_tag() {
    for bad in [
        HEADER,
        "<iq/><stream xmlns='http://etherx.jabber.org/streams'>",
        "<s:stream xmlns:s='http://etherx.jabber.org/streams'>",
    ] {
        assert_eq!(
            error_of(bad.as_bytes()),
            XmlErrorKind::SecondHeader,
            "{bad}"
        );
    }
}

#[test]
fn contract_s10_the_end_tag_ends_the_stream() {
    let reading = read_each_way(b"<iq/> </stream:stream\n>garbage");
    assert_eq!(reading.outcome, Outcome::End);
    assert_eq!(reading.elements.len(), 1);
}

#[test]
fn contract_v1_first_level_elements_are_told_by_name_and_namespace() {
    for (input, kind) in [
        ("<iq/>", StanzaKind::Iq),
        ("<message xmlns='jabber:client'/>", StanzaKind::Message),
        ("<presence xmlns='jabber:server'/>", StanzaKind::Presence),
        ("<c:iq xmlns:c='jabber:component:accept'/>", StanzaKind::Iq),
        ("<c:iq xmlns:c='jabber:&#x63;lient'/>", StanzaKind::Iq),
        ("<message xmlns='urn:x'/>", StanzaKind::Other),
        ("<message xmlns=''/>", StanzaKind::Other),
        ("<handshake/>", StanzaKind::Other),
    ] {
        assert_eq!(
            read_each_way(input.as_bytes()).elements[0].0,
            kind,
            "{input}"
        );
    }
}

#[test]
fn a_stream_error_of_the_peer_is_told_apart() {
    for (input, expected) in [
        ("<stream:error><conflict/></stream:error>", true),
        ("<error/>", false),
    ] {
        let mut found = Vec::new();
        framer(small()).read_elements(input.as_bytes(), 1, &mut found);
        assert_eq!(found[0].is_stream_error(), expected, "{input}");
    }
}

#[test]
fn contract_x4_names_are_those_that_every_receiver_accepts() {
    for char in "\u{220}\u{370}\u{200C}\u{2C00}\u{3001}\u{A000}\u{10000}".chars() {
        for input in [
            format!("<{char}/>"),
            format!("<a{char}></a{char}>"),
            format!("<message a{char}b='1'/>"),
            format!("<message {char}='1'/>"),
            format!("<message xmlns:{char}='urn:x'/>"),
            format!("<message><a:{char} xmlns:a='urn:x'/></message>"),
        ] {
            let Outcome::Error(error) = read_each_way(input.as_bytes()).outcome else {
                panic!("{input} is accepted");
            };
            assert_eq!(error.kind, XmlErrorKind::NotWellFormed, "{input}");
            let expected = format!(
                "a character not allowed in names by XML 1.0 before its fifth edition, which \
                 receivers may enforce: U+{:04X}",
                u32::from(char)
            );
            assert_eq!(error.text, expected, "{input}");
            assert!(input[error.at as usize..].starts_with(char), "{input}");
        }
        let header = format!("<stream:stream xmlns:{char}='urn:x'>");
        let error = Framer::new(small()).read_header(header.as_bytes());
        let text = error.unwrap_err().text;
        assert!(
            text.ends_with(&format!("U+{:04X}", u32::from(char))),
            "{text}"
        );
    }
}

#[test]
fn contract_x4_namespaces_have_the_characters_of_uris() {
    for char in [
        "}", " ", "|", "\"", "^", "`", "\\", "{", "\x7f", "\t", "&#9;", "&#x7D;", "&lt;",
    ] {
        let header = format!("<stream:stream xmlns:stream='{STREAMS}' xmlns:p='urn:{char}'>");
        let error = Framer::new(small()).read_header(header.as_bytes());
        assert_eq!(error.unwrap_err().kind, XmlErrorKind::NotWellFormed);
        for input in [
            format!("<message xmlns='urn:{char}'/>"),
            format!("<message><x xmlns='{char}a'/></message>"),
            format!("<message><x xmlns:p='{char}'/></message>"),
        ] {
            assert_eq!(
                error_of(input.as_bytes()),
                XmlErrorKind::NotWellFormed,
                "{input}"
            );
        }
    }
    let fine = "<m xmlns:p='http://user@[::1]:80/%7Ea(b)*c;d=e?f&amp;g=h!$,+#é' xmlns='a&apos;'/>";
    let mut found = Vec::new();
    framer(small()).read_elements(fine.as_bytes(), 1, &mut found);
    assert_eq!(found.len(), 1);
}

#[test]
fn contract_x4_names_are_bounded() {
    let (longest, longer) = ("n".repeat(4096), "n".repeat(4097));
    for [start, end] in [["<", "/>"], ["<m ", "='1'/>"], ["<m xmlns:", "='u'/>"]] {
        let wrong = format!("{start}{longer}{end}");
        let read = read(framer(Limits::default()), wrong.as_bytes(), 1000);
        let Outcome::Error(error) = read.outcome else {
            panic!("{start}: {:?}", read.outcome);
        };
        assert_eq!(
            (error.kind, &*error.text),
            (XmlErrorKind::Policy, "a name that is too long")
        );
    }
    for input in [format!("<{longest}/>"), format!("<m {longest}='1'/>")] {
        let mut found = Vec::new();
        framer(Limits::default()).read_elements(input.as_bytes(), 1, &mut found);
        assert_eq!(found.len(), 1);
    }
}

#[test]
fn contract_x4_no_other_element_of_the_streams_namespace_is_let_through() {
    for input in [
        "<stream:features/>",
        "<features xmlns='http://etherx.jabber.org/streams'>",
        "<stream:message from='a.example' to='b.example'>",
    ] {
        let mut found = Vec::new();
        let progress = framer(small()).read_elements(input.as_bytes(), 1, &mut found);
        let Outcome::Error(error) = progress.outcome else {
            panic!("{input}: {:?}", progress.outcome);
        };
        assert_eq!(error.kind, XmlErrorKind::BadFormat, "{input}");
        assert!(found.is_empty(), "{input}");
    }
}

#[test]
fn spans_of_a_stanza_cover_its_parts() {
    let input = b"  <iq id='&lt;' to=\"b\" from = 'a' type='get' x='y'><q/></iq>";
    let mut found = Vec::new();
    let progress = framer(small()).read_elements(input, 1, &mut found);
    assert_eq!(progress.consumed, input.len());
    let stanza = found[0];
    let text = |span: crate::Span| std::str::from_utf8(span.of(input)).unwrap();
    assert_eq!(
        text(stanza.span),
        "<iq id='&lt;' to=\"b\" from = 'a' type='get' x='y'><q/></iq>"
    );
    assert_eq!(
        text(stanza.start_tag),
        "<iq id='&lt;' to=\"b\" from = 'a' type='get' x='y'>"
    );
    assert_eq!(text(stanza.name), "iq");
    assert_eq!(stanza.id.map(text), Some("&lt;"));
    assert_eq!(stanza.to.map(text), Some("b"));
    assert_eq!(stanza.from.map(text), Some("a"));
    assert_eq!(stanza.kind_attribute.map(text), Some("get"));
}

#[test]
fn no_more_elements_than_asked_for() {
    let input = b"<iq/><iq/> <iq/>";
    let (mut framer, mut found) = (framer(small()), Vec::new());
    let progress = framer.read_elements(input, 2, &mut found);
    assert_eq!((progress.consumed, progress.outcome), (11, Outcome::Limit));
    let progress = framer.read_elements(&input[11..], 2, &mut found);
    assert_eq!((progress.consumed, progress.outcome), (5, Outcome::More));
    assert_eq!(found.len(), 3);
}

#[test]
fn text_content_takes_references_and_sections() {
    for (input, expected) in [
        ("<h/>", Some("")),
        ("<h></h>", Some("")),
        ("<h> a&#98;<![CDATA[c]]>d\n</h>", Some(" abcd\n")),
        ("<h>a<b/></h>", None),
    ] {
        let mut found = Vec::new();
        framer(small()).read_elements(input.as_bytes(), 1, &mut found);
        assert_eq!(
            text_content(input.as_bytes(), &found[0]).as_deref(),
            expected,
            "{input}"
        );
    }
}

/// Bytes looked at for each byte that arrived, in pieces of `size`.
fn cost(input: &[u8], size: usize) -> f64 {
    let (mut framer, mut start) = (framer(Limits::default()), 0);
    for end in (size..input.len()).step_by(size).chain([input.len()]) {
        let mut found = Vec::new();
        start += framer
            .read_elements(&input[start..end], usize::MAX, &mut found)
            .consumed;
    }
    assert_eq!(start, input.len(), "{}", input.escape_ascii());
    framer.looked_at() as f64 / input.len() as f64
}

#[test]
fn contract_x3_a_stanza_in_a_thousand_pieces_costs_the_same_as_in_one() {
    let fill = "x".repeat(20_000);
    let name = &fill[..4096];
    for stanza in [
        format!("<a>{fill}</a>"),
        format!("<a>{}</a>", "&amp;\u{e9}".repeat(4000)),
        format!("<a b='{fill}'/>"),
        format!("<{name}></{name}>"),
        format!("<a><![CDATA[{fill}]]></a>"),
        format!("<a {}/>", " ".repeat(20_000)),
        format!("<a></a{}>", " ".repeat(20_000)),
        format!("<a>{}</a>", "<b c='d'>e</b>".repeat(2000)),
        "<iq/>".repeat(4000),
        " ".repeat(20_000),
    ] {
        for size in [1, 7, 1000] {
            let cost = cost(stanza.as_bytes(), size);
            assert!(cost <= 6.0, "{cost} for {size} of {}", &stanza[..20]);
        }
        assert!(cost(stanza.as_bytes(), usize::MAX >> 1) <= 1.0);
    }
}
