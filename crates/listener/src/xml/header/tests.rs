//! Contract S1, S4 and S7: the stream header, each in one piece and byte by byte.

use super::*;
use crate::xml::{COMPONENT_ACCEPT, Framer, Outcome, STREAMS, XmlError, XmlErrorKind};

fn header_each_way(input: &[u8]) -> Result<Option<StreamHeader>, XmlError> {
    let whole = Framer::new(Limits::default()).read_header(input);
    let mut framer = Framer::new(Limits::default());
    let mut bytes = Ok(None);
    for end in 0..=input.len() {
        bytes = framer.read_header(&input[..end]);
        if !matches!(bytes, Ok(None)) {
            break;
        }
    }
    assert_eq!(whole, bytes, "{}", input.escape_ascii());
    bytes
}

#[test]
fn contract_s1_headers_of_all_sorts_are_read() {
    for declaration in [
        "",
        " \n",
        "<?xml version='1.0'?>",
        "<?xml version=\"1.0\" encoding=\"utf-8\" standalone='no' ?>\n",
        "<?xml version='1.1' standalone='yes'?>",
    ] {
        let input = format!(
            "{declaration}<x:stream xmlns='jabber:component:accept' version='1.0' foo='bar'\n \
             xmlns:x='http://etherx.jabber.org/streams' to='a&amp;b' xml:lang='pl' \
             is_subdomain='true'>"
        );
        let header = header_each_way(input.as_bytes()).unwrap().unwrap();
        assert_eq!(header.len, input.len());
        assert_eq!(header.prefix.as_deref(), Some("x"));
        assert_eq!(header.local, "stream");
        assert_eq!(header.namespace.as_deref(), Some(STREAMS));
        assert_eq!(header.content_namespace.as_deref(), Some(COMPONENT_ACCEPT));
        assert_eq!(header.to.as_deref(), Some("a&b"));
        assert_eq!(header.version.as_deref(), Some("1.0"));
        assert_eq!(header.xml_lang.as_deref(), Some("pl"));
        assert!(header.is_subdomain && !header.is_empty);
    }
}

#[test]
fn contract_s4_what_is_no_header_is_told_by_its_kind() {
    use XmlErrorKind::{LooksLike, NotWellFormed, Policy, Restricted, UnsupportedEncoding};
    let long = [b"<stream a='", "x".repeat(8192).as_bytes()].concat();
    let spaces = " ".repeat(8193);
    let cases: &[(&[u8], XmlErrorKind)] = &[
        (b"\x16\x03\x01", LooksLike(Protocol::Tls)),
        (b"GET / HTTP/1.1\r\n", LooksLike(Protocol::Http)),
        (b"POST /", LooksLike(Protocol::Http)),
        (b"PROXY TCP4 ", LooksLike(Protocol::Proxy)),
        (b"\r\n\r\n\0\r\nQUIT\n\x21", LooksLike(Protocol::Proxy)),
        (b"\0\0\0\0", NotWellFormed),
        (b"\0\r\nQUIET", NotWellFormed),
        (b"\xff\xff", NotWellFormed),
        (b"\xfe\xff\0<", UnsupportedEncoding),
        (b"POSTAL", NotWellFormed),
        (b"hello", NotWellFormed),
        (b"\xef\xbb\xbf<stream/>", NotWellFormed),
        (b"\xff\xfe<\0", UnsupportedEncoding),
        (b"<\0?\0x\0", UnsupportedEncoding),
        (b"\0<\0?", UnsupportedEncoding),
        (
            b"<?xml version='1.0' encoding='UTF-16'?>",
            UnsupportedEncoding,
        ),
        (
            b"<?xml version='1.0' encoding='ISO-8859-1'?>",
            UnsupportedEncoding,
        ),
        (b"<?xml version='2.0'?>", NotWellFormed),
        (b"<?xml encoding='UTF-8'?>", NotWellFormed),
        (b"<?xml version='1.0'encoding='UTF-8'?>", NotWellFormed),
        (b"<?xml ?>", NotWellFormed),
        (b"<?xml version='1.0 ?>", NotWellFormed),
        (b" <?xml version='1.0'?>", NotWellFormed),
        (b"<?xml version='1.0'?><?xml version='1.0'?>", NotWellFormed),
        (b"<?xml-stylesheet ?>", Restricted),
        (b"<?php", Restricted),
        (b"<!DOCTYPE", Restricted),
        (b"<!--", Restricted),
        (b"</stream:stream>", NotWellFormed),
        (b"<stream:stream>", NotWellFormed),
        (b"<stream a='1' a='2'>", NotWellFormed),
        (b"<stream a='\xff'>", NotWellFormed),
        (b"<stream <", NotWellFormed),
        (&long, Policy),
        (spaces.as_bytes(), Policy),
    ];
    for (input, kind) in cases {
        let error = header_each_way(input).unwrap_err();
        assert_eq!(error.kind, *kind, "{}", input.escape_ascii());
    }
}

#[test]
fn contract_r4_is_subdomain_is_true_and_nothing_else() {
    for (value, expected) in [("true", true), ("1", false), ("TRUE", false), ("", false)] {
        let input = format!("<stream is_subdomain='{value}'>");
        let header = header_each_way(input.as_bytes()).unwrap().unwrap();
        assert_eq!(header.is_subdomain, expected, "{value}");
    }
}

#[test]
fn an_empty_header_ends_the_stream_and_nothing_behind_it_is_looked_at() {
    let mut framer = Framer::new(Limits::default());
    let header = framer.read_header(b"<stream/>").unwrap().unwrap();
    assert!(header.is_empty);
    for behind in [&b""[..], b" \n", b" <iq/>", b"\x01"] {
        let progress = framer.read_elements(behind, 1, &mut Vec::new());
        assert_eq!((progress.consumed, progress.outcome), (0, Outcome::End));
    }
}
