use std::net::{Ipv4Addr, SocketAddr};

use super::*;
use crate::xml::{Framer, Limits};
use crate::{Secret, SecretSet};

const STREAM: &str = "http://etherx.jabber.org/streams";

fn stream() -> Stream {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config = ListenerConfig::new(address, Secret::new("secret"));
    config.hosts = ["example.org", "other.example"]
        .map(|host| Domain::prepare(host).unwrap())
        .into();
    Stream::new(Arc::new(config), StreamId::random().unwrap())
}

fn header(text: &str) -> StreamHeader {
    let mut framer = Framer::new(Limits::default());
    framer.read_header(text.as_bytes()).unwrap().unwrap()
}

fn usual_header(to: &str) -> StreamHeader {
    header(&format!(
        "<stream:stream xmlns='jabber:component:accept' xmlns:stream='{STREAM}' to='{to}'>"
    ))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn condition(farewell: &Farewell) -> StreamCondition {
    let error = farewell.error.as_ref().expect("an error");
    let bytes = text(&farewell.bytes);
    assert!(bytes.contains(&format!("<stream:error><{} xmlns", error.condition)));
    assert!(bytes.ends_with("</stream:error></stream:stream>"));
    assert!(!error.text.is_empty());
    error.condition
}

fn proof(stream: &Stream, secret: &str) -> String {
    use sha1::{Digest, Sha1};
    let digest = Sha1::digest(format!("{}{secret}", stream.id.as_str()));
    format!("<handshake>{}</handshake>", hex::encode(digest))
}

fn shake(stream: &mut Stream, element: &str) -> Result<Authenticated, Farewell> {
    stream.handshake(element.as_bytes(), &Secret::new("secret").into())
}

#[test]
fn contract_s1_the_header_has_four_attributes() {
    let mut stream = stream();
    let answer = stream.header(&usual_header("Bot.EXAMPLE.org.")).unwrap();
    assert_eq!(
        text(&answer),
        format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
             xmlns:stream='{STREAM}' from='bot.example.org' id='{}'>",
            stream.id.as_str()
        )
    );
}

#[test]
fn contract_s1_what_clients_add_to_their_header_is_accepted() {
    for text in [
        format!(
            "<?xml version='1.0' encoding='utf-8'?>\n<stream:stream to='a.example' version='1.0' \
             xml:lang='pl' xmlns='jabber:component:accept' xmlns:stream='{STREAM}' \
             allowMultiple='true'>"
        ),
        format!("<s:stream xmlns:s='{STREAM}' xmlns='jabber:component:accept' to='a.example'>"),
        format!(
            "<stream:stream xmlns='jabber:component:accept' xmlns:stream='{STREAM}' to='a.example' \
             version='0.9'>"
        ),
    ] {
        assert!(stream().header(&header(&text)).is_ok(), "{text}");
    }
}

#[test]
fn contract_s4_header_errors() {
    use StreamCondition::*;
    let accept = "xmlns='jabber:component:accept'";
    let streams = format!("xmlns:stream='{STREAM}'");
    let to = "to='a.example'";
    for (text, expected) in [
        (
            format!("<stream:stream xmlns='jabber:client' {streams} {to}>"),
            InvalidNamespace,
        ),
        (
            format!("<stream:stream xmlns='jabber:component:connect' {streams} {to}>"),
            InvalidNamespace,
        ),
        (format!("<stream:stream {streams} {to}>"), InvalidNamespace),
        (
            format!("<stream:stream {accept} xmlns:stream='urn:x' {to}>"),
            InvalidNamespace,
        ),
        (format!("<stream {accept} {to}>"), InvalidNamespace),
        (
            format!("<stream:stream {accept} {streams}>"),
            ImproperAddressing,
        ),
        (
            format!("<stream:stream {accept} {streams} to='me@a.example'>"),
            ImproperAddressing,
        ),
        (
            format!("<stream:stream {accept} {streams} to='a.example/x'>"),
            ImproperAddressing,
        ),
        (
            format!("<stream:stream {accept} {streams} to=''>"),
            ImproperAddressing,
        ),
        (
            format!("<stream:stream {accept} {streams} to='a..example'>"),
            HostUnknown,
        ),
        (
            format!("<stream:stream {accept} {streams} {to} version='2.0'>"),
            UnsupportedVersion,
        ),
        (
            format!("<stream:stream {accept} {streams} {to} version='99999999999999999999.1'>"),
            UnsupportedVersion,
        ),
        (
            format!("<stream:features {accept} {streams} {to}>"),
            BadFormat,
        ),
        ("<html>".to_owned(), BadFormat),
    ] {
        let farewell = stream().header(&header(&text)).unwrap_err();
        assert_eq!(condition(&farewell), expected, "{text}");
        // Contract S3: the header comes first.
        let bytes = self::text(&farewell.bytes);
        assert!(bytes.starts_with("<?xml version='1.0'?><stream:stream "));
        let from = if text.contains(to) {
            "a.example"
        } else {
            "example.org"
        };
        assert!(bytes.contains(&format!(" from='{from}' ")), "{bytes}");
    }
}

#[test]
fn contract_s4_not_xml_and_wrong_encodings() {
    for (bytes, expected) in [
        (
            &b"\x16\x03\x01\x02\x00\x01"[..],
            StreamCondition::NotWellFormed,
        ),
        (b"GET / HTTP/1.1\r\n\r\n", StreamCondition::NotWellFormed),
        (b"\x01\x02\x03\x04", StreamCondition::NotWellFormed),
        (b"\0\0\0\0", StreamCondition::NotWellFormed),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
            StreamCondition::NotWellFormed,
        ),
        (b"\xff\xfe<\0", StreamCondition::UnsupportedEncoding),
        (
            b"<?xml version='1.0' encoding='UTF-16'?><stream:stream>",
            StreamCondition::UnsupportedEncoding,
        ),
        (b"<!DOCTYPE x>", StreamCondition::RestrictedXml),
        (b"<!-- x -->", StreamCondition::RestrictedXml),
    ] {
        let error = Framer::new(Limits::default())
            .read_header(bytes)
            .unwrap_err();
        assert_eq!(condition(&stream().xml_error(&error)), expected, "{error}");
    }
}

#[test]
fn contract_s5_the_first_element_is_a_valid_handshake() {
    let mut stream = stream();
    stream.header(&usual_header("a.example")).unwrap();
    let valid = proof(&stream, "secret");
    let component = shake(&mut stream, &valid).unwrap().component;
    assert_eq!(component.domain.as_str(), "a.example");
    assert_eq!(stream.registered(Ok(())).unwrap(), b"<handshake/>");
    assert_eq!(text(&stream.end().bytes), "</stream:stream>");
}

#[test]
fn contract_s5_anything_else_is_not_authorized() {
    let mut reference = stream();
    reference.header(&usual_header("a.example")).unwrap();
    let upper = proof(&reference, "secret")
        .to_uppercase()
        .replace("HANDSHAKE", "handshake");
    for element in [
        proof(&reference, "wrong"),
        proof(&reference, ""),
        "<handshake/>".to_owned(),
        "<handshake>0</handshake>".to_owned(),
        upper,
        "<message to='b.example'/>".to_owned(),
        "<handshake xmlns='urn:x'/>".to_owned(),
    ] {
        let mut stream = stream();
        stream.id = reference.id.clone();
        stream.header(&usual_header("a.example")).unwrap();
        let farewell = shake(&mut stream, &element).unwrap_err();
        assert_eq!(
            condition(&farewell),
            StreamCondition::NotAuthorized,
            "{element}"
        );
        assert!(
            !text(&farewell.bytes).contains("<?xml"),
            "one header is enough"
        );
        assert_eq!(stream.end().bytes, "", "nothing follows the farewell");
    }
}

#[test]
fn contract_s5_a_name_without_a_secret_is_refused_like_a_wrong_secret() {
    let table = [(
        Domain::prepare("a.example").unwrap(),
        SecretSet::new(Secret::new("secret")),
    )];
    let secrets = Secrets::new(None, table.into());
    let [known, unknown] = ["a.example", "b.example"].map(|name| {
        let mut stream = stream();
        stream.header(&usual_header(name)).unwrap();
        let wrong = proof(&stream, "wrong");
        let farewell = stream.handshake(wrong.as_bytes(), &secrets).unwrap_err();
        text(&farewell.bytes)
    });
    assert_eq!(known, unknown);
}

#[test]
fn contract_s8_names_that_are_taken() {
    let register = |to: &str| {
        let mut stream = stream();
        stream.header(&usual_header(to)).unwrap();
        let valid = proof(&stream, "secret");
        let outcome = shake(&mut stream, &valid);
        (stream, outcome)
    };
    let refusals = [
        (
            RegisterError::Conflict("taken".to_owned()),
            StreamCondition::Conflict,
        ),
        (
            RegisterError::Unavailable("no cluster quorum".to_owned()),
            StreamCondition::ResourceConstraint,
        ),
    ];
    for (error, expected) in refusals {
        let (mut stream, _) = register("a.example");
        let farewell = stream.registered(Err(error.clone())).unwrap_err();
        assert_eq!(condition(&farewell), expected);
        assert_eq!(farewell.error.unwrap().text, error.to_string());
    }
    let (mut stream, _) = register("a.example");
    assert!(stream.registered(Ok(())).is_ok());
    let farewell = stream.close(CloseReason::Replaced);
    assert_eq!(condition(&farewell), StreamCondition::Conflict);
    assert!(text(&farewell.bytes).contains(">Replaced by new connection<"));
}

#[test]
fn contract_s8_r1_a_served_host_is_for_the_registrar_to_refuse() {
    for (attribute, is_subdomain) in [("", false), (" is_subdomain='true'", true)] {
        let mut stream = stream();
        let text = format!(
            "<stream:stream xmlns='jabber:component:accept' xmlns:stream='{STREAM}' \
             to='Example.ORG'{attribute}>"
        );
        stream.header(&header(&text)).unwrap();
        let valid = proof(&stream, "secret");
        let component = shake(&mut stream, &valid).unwrap().component;
        assert_eq!(component.domain.as_str(), "example.org");
        assert_eq!(component.is_subdomain, is_subdomain);
    }
}

#[test]
fn contract_s7_who_is_too_slow_is_told() {
    let mut stream = stream();
    assert_eq!(
        condition(&stream.timeout()),
        StreamCondition::ConnectionTimeout
    );
    let mut stream = self::stream();
    stream.header(&usual_header("a.example")).unwrap();
    assert_eq!(
        condition(&stream.timeout()),
        StreamCondition::ConnectionTimeout
    );
    // The component has done its part here.
    let mut stream = self::stream();
    stream.header(&usual_header("a.example")).unwrap();
    let valid = proof(&stream, "secret");
    shake(&mut stream, &valid).unwrap();
    assert_eq!(
        condition(&stream.timeout()),
        StreamCondition::ResourceConstraint
    );
}

#[test]
fn contract_s10_before_the_header_there_is_nothing_to_close() {
    assert_eq!(stream().end().bytes, "");
    let mut stream = stream();
    let text = format!(
        "<stream:stream xmlns='jabber:component:accept' xmlns:stream='{STREAM}' to='a.example'/>"
    );
    let farewell = stream.header(&header(&text)).unwrap_err();
    assert!(farewell.error.is_none());
    assert!(self::text(&farewell.bytes).ends_with("'></stream:stream>"));
}
