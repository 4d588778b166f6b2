use quick_xml::NsReader;
use quick_xml::events::Event;
use quick_xml::name::{Namespace, ResolveResult};

/// The namespace of STARTTLS (RFC 6120 §5.4.2.1).
const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";

/// Whether `element`, which is well-formed and declares every prefix that it uses, is
/// `<starttls/>`. Whatever it may contain has no meaning.
pub(super) fn is_start_tls(element: &[u8]) -> bool {
    let Ok(element) = std::str::from_utf8(element) else {
        return false;
    };
    let mut reader = NsReader::from_str(element);
    let Ok((namespace, Event::Start(tag) | Event::Empty(tag))) = reader.read_resolved_event()
    else {
        return false;
    };
    let is_tls =
        matches!(namespace, ResolveResult::Bound(Namespace(namespace)) if namespace == TLS);
    is_tls && tag.local_name().as_ref() == "starttls"
}
