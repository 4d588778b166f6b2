use std::fmt::Write;

use bytes::{BufMut, BytesMut};
use memchr::{memmem, memrchr};
use quick_xml::events::Event;

use crate::xml::{self, declarations, escape, unescape_attribute};
use crate::{Span, Stanza, StanzaCondition, StanzaKind};

/// An error reply carries the original children, and the namespace declarations that they may
/// need, while they are not longer than this, in bytes.
const MAX_PAYLOAD: usize = 4096;

const CONDITIONS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// Tells if an error may be the answer to `stanza`: not if it is an error itself or the result of
/// an iq (contract V5).
#[must_use]
pub fn may_be_answered(buffer: &[u8], stanza: &Stanza) -> bool {
    let Some(raw) = stanza.kind_attribute else {
        return true;
    };
    match &*unescape_attribute(raw.of(buffer)) {
        "error" => false,
        "result" => stanza.kind != StanzaKind::Iq,
        _ => true,
    }
}

/// Appends to `out` the error reply to the stanza of `buffer` (contract V6, RFC 6120 §8.3).
/// Appends nothing and gives false if it must not be answered.
///
/// ### To ensure correctness
///
/// The stanza must be one that needs no [rewrite](xml::Framer::rewrite), or the rewritten one: a
/// prefix that is declared on its stream header would not be bound in the reply.
pub fn error_reply(
    buffer: &[u8],
    stanza: &Stanza,
    condition: StanzaCondition,
    text: Option<&str>,
    out: &mut BytesMut,
) -> bool {
    if !may_be_answered(buffer, stanza) {
        return false;
    }
    let (name, payload, inherits) = name_and_payload(buffer, stanza, out);
    put_attribute("from", stanza.to, buffer, out);
    put_attribute("to", stanza.from, buffer, out);
    put_attribute("id", stanza.id, buffer, out);
    out.put_slice(b" type='error'>");
    out.put_slice(payload);
    put_error(condition, text, inherits, out);
    out.put_slice(b"</");
    out.put_slice(name);
    out.put_u8(b'>');
    true
}

/// Begins the start tag with a name, and with the declarations that the payload needs. Gives both,
/// and true if the content namespace is the default within.
fn name_and_payload<'a>(
    buffer: &'a [u8],
    stanza: &Stanza,
    out: &mut BytesMut,
) -> (&'a [u8], &'a [u8], bool) {
    let children = children(buffer, stanza);
    let (declarations, inherits) = declarations(buffer, stanza);
    let size: usize = declarations.iter().map(|span| span.of(buffer).len()).sum();
    let name = stanza.name.of(buffer);
    let keeps_children = size + children.len() <= MAX_PAYLOAD && !has_error(children);
    out.put_u8(b'<');
    // What is no stanza must not become one: its name goes with its namespace, however long.
    if keeps_children || stanza.kind == StanzaKind::Other {
        out.put_slice(name);
        for declaration in declarations {
            out.put_slice(declaration.of(buffer));
        }
        let payload = if keeps_children { children } else { b"" };
        return (name, payload, inherits);
    }
    let local = name.iter().position(|&byte| byte == b':');
    let name = local.map_or(name, |colon| &name[colon + 1..]);
    out.put_slice(name);
    (name, b"", true)
}

/// What stands between the start tag and the end tag.
fn children<'a>(buffer: &'a [u8], stanza: &Stanza) -> &'a [u8] {
    let behind = Span {
        start: stanza.start_tag.end,
        end: stanza.span.end,
    };
    let behind = behind.of(buffer);
    // The last `<` is that of the end tag.
    &behind[..memrchr(b'<', behind).unwrap_or(0)]
}

/// Whether one of these elements is called `error`: beside the reply's own, a client could take it
/// for the reason.
fn has_error(children: &[u8]) -> bool {
    if memmem::find(children, b"error").is_none() {
        return false;
    }
    let mut reader = quick_xml::Reader::from_reader(children);
    let mut depth = 0_usize;
    loop {
        match reader.read_event() {
            Ok(Event::Start(element) | Event::Empty(element))
                if depth == 0 && element.local_name().as_ref() == "error" =>
            {
                return true;
            }
            Ok(Event::Start(_)) => depth += 1,
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            Ok(Event::Eof) => return false,
            Ok(_) => {}
            // What was framed is well-formed; if it were not, it had better not be sent back.
            Err(_) => return true,
        }
    }
}

/// Puts an attribute with the value of another, as written and in the quotes it was written in.
fn put_attribute(name: &str, value: Option<Span>, buffer: &[u8], out: &mut BytesMut) {
    let Some(value) = value else { return };
    let quote = match buffer.get(value.end as usize) {
        Some(b'"') => b'"',
        _ => b'\'',
    };
    out.put_u8(b' ');
    out.put_slice(name.as_bytes());
    out.put_slice(&[b'=', quote]);
    out.put_slice(value.of(buffer));
    out.put_u8(quote);
}

fn put_error(condition: StanzaCondition, text: Option<&str>, inherits: bool, out: &mut BytesMut) {
    let (name, error_type, code) = (condition.name(), condition.error_type(), condition.code());
    out.put_slice(b"<error");
    if !inherits {
        let _infallible = write!(out, " xmlns='{}'", xml::COMPONENT_ACCEPT);
    }
    let _infallible = write!(
        out,
        " type='{error_type}' code='{code}'><{name} xmlns='{CONDITIONS}'/>"
    );
    if let Some(text) = text {
        let _infallible = write!(out, "<text xmlns='{CONDITIONS}' xml:lang='en'>");
        escape(text, out);
        out.put_slice(b"</text>");
    }
    out.put_slice(b"</error>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Framer, Limits, Outcome};

    const CONDITION: StanzaCondition = StanzaCondition::RemoteServerNotFound;
    const ERROR: &str = "<error type='cancel' code='404'>\
         <remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";

    fn frame(input: &[u8]) -> Stanza {
        let (mut framer, mut found) = (Framer::for_stanzas(Limits::forwarded()), Vec::new());
        let progress = framer.read_elements(input, 2, &mut found);
        assert_eq!(progress.outcome, Outcome::More, "{}", input.escape_ascii());
        assert_eq!(found.len(), 1, "{}", input.escape_ascii());
        found[0]
    }

    /// The reply, framed again: it is always a whole stanza.
    fn reply(input: &str) -> Option<String> {
        let mut out = BytesMut::from("<before/>");
        let stanza = frame(input.as_bytes());
        if !error_reply(input.as_bytes(), &stanza, CONDITION, None, &mut out) {
            assert_eq!(&*out, b"<before/>");
            return None;
        }
        let reply = &out[9..];
        let kind = frame(reply).kind_attribute.map(|kind| kind.of(reply));
        assert_eq!(kind, Some(&b"error"[..]));
        Some(String::from_utf8(reply.to_vec()).unwrap())
    }

    #[test]
    fn contract_v5_errors_and_results_are_not_answered() {
        for silent in [
            "<message type='error'/>",
            "<iq type='error'/>",
            "<iq type='result'/>",
            "<iq type='r&#101;sult'/>",
            "<presence type=\"error\"/>",
            "<foo type='error'/>",
        ] {
            assert_eq!(reply(silent), None, "{silent}");
        }
        for loud in ["<message type='result'/>", "<iq/>", "<foo type='result'/>"] {
            assert!(reply(loud).is_some(), "{loud}");
        }
    }

    #[test]
    fn contract_v6_addresses_are_swapped_and_the_rest_is_kept() {
        let cases = [
            (
                "<iq type='get' id='1&amp;2' from='U@a' to=\"b/'\"><q xmlns='u'>x</q></iq>",
                format!(
                    "<iq from=\"b/'\" to='U@a' id='1&amp;2' type='error'>\
                     <q xmlns='u'>x</q>{ERROR}</iq>"
                ),
            ),
            (
                "<message/>",
                format!("<message type='error'>{ERROR}</message>"),
            ),
            (
                "<message xmlns:p='u' xmlns='jabber:client'><p:x/></message>",
                format!("<message xmlns:p='u' type='error'><p:x/>{ERROR}</message>"),
            ),
            (
                "<c:iq  xmlns:c='jabber:component:accept' id='1'>text</c:iq >",
                format!(
                    "<c:iq  xmlns:c='jabber:component:accept' id='1' type='error'>\
                     text{ERROR}</c:iq>"
                ),
            ),
            (
                "<foo xmlns='urn:x'><bar/></foo>",
                format!(
                    "<foo xmlns='urn:x' type='error'><bar/>{}</foo>",
                    ERROR.replace("<error", "<error xmlns='jabber:component:accept'")
                ),
            ),
        ];
        for (input, expected) in cases {
            assert_eq!(reply(input).as_deref(), Some(&*expected));
        }
    }

    #[test]
    fn contract_v6_there_is_one_error_in_a_reply() {
        let start = "<iq from='a@a.example' to='b@b.example' id='1' type='get'>";
        let answer = "<iq from='b@b.example' to='a@a.example' id='1' type='error'>";
        for (children, kept) in [
            ("<error type='wait'/>", false),
            ("<x/><e:error xmlns:e='urn:e'><y/></e:error>", false),
            ("<x><error/></x><![CDATA[<error/>]]>error", true),
        ] {
            let expected = format!("{answer}{}{ERROR}</iq>", if kept { children } else { "" });
            let found = reply(&format!("{start}{children}</iq>"));
            assert_eq!(found.as_deref(), Some(&*expected), "{children}");
        }
    }

    #[test]
    fn contract_v6_what_is_no_stanza_does_not_become_one() {
        let long = "x".repeat(MAX_PAYLOAD);
        for (tag, child) in [
            ("x:message xmlns:x='urn:x'", "<error/>"),
            (&*format!("x:iq xmlns:x='urn:{long}'"), "<a/>"),
            (&*format!("message xmlns='urn:x' xmlns:y='urn:{long}'"), ""),
        ] {
            let name = tag.split(' ').next().unwrap();
            let reply = reply(&format!("<{tag}>{child}</{name}>")).unwrap();
            assert!(reply.starts_with(&format!("<{tag} type='error'><error")));
            assert_eq!(frame(reply.as_bytes()).kind, StanzaKind::Other);
        }
    }

    #[test]
    fn contract_v6_children_are_left_out_when_they_are_long() {
        let at = |len: usize| format!("<c:iq xmlns:c='jabber:client'>{}</c:iq>", "x".repeat(len));
        let declaration = " xmlns:c='jabber:client'".len();
        assert!(
            reply(&at(MAX_PAYLOAD - declaration))
                .unwrap()
                .contains("xxx")
        );
        let without = reply(&at(MAX_PAYLOAD - declaration + 1)).unwrap();
        assert_eq!(without, format!("<iq type='error'>{ERROR}</iq>"));
    }

    #[test]
    fn contract_v6_the_text_is_escaped() {
        let (input, mut out) = (b"<iq/>", BytesMut::new());
        assert!(error_reply(
            input,
            &frame(input),
            CONDITION,
            Some("<&>"),
            &mut out
        ));
        frame(&out);
        assert!(memmem::find(&out, b"xml:lang='en'>&lt;&amp;&gt;</text>").is_some());
    }
}
