use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

/// What an iq request asks for: its addresses and its payload element.
#[derive(Debug, Default)]
pub(super) struct Query {
    /// Namespace of the payload.
    pub(super) namespace: String,
    /// Local name of the payload.
    pub(super) name: String,
    /// The attribute `node` of the payload, of service discovery.
    pub(super) node: Option<String>,
    /// The asker as written.
    pub(super) from: Option<String>,
    /// The asked as written.
    pub(super) to: Option<String>,
    /// The iq's id.
    pub(super) id: Option<String>,
}

impl Query {
    /// Reads a whole iq stanza that the framer has found well-formed. `None` if it has no payload.
    pub(super) fn parse(stanza: &[u8]) -> Option<Self> {
        let mut reader = NsReader::from_str(std::str::from_utf8(stanza).ok()?);
        let mut query = Self::default();
        let mut inside = false;
        loop {
            match reader.read_resolved_event().ok()? {
                (namespace, Event::Start(start) | Event::Empty(start)) if inside => {
                    query.take_payload(&namespace, &start)?;
                    return Some(query);
                }
                (_, Event::Start(start)) => {
                    query.take_addresses(&start)?;
                    inside = true;
                }
                (_, Event::Text(_)) => {}
                _ => return None,
            }
        }
    }

    fn take_addresses(&mut self, start: &BytesStart<'_>) -> Option<()> {
        self.from = attribute(start, "from")?;
        self.to = attribute(start, "to")?;
        self.id = attribute(start, "id")?;
        Some(())
    }

    fn take_payload(
        &mut self,
        namespace: &ResolveResult<'_>,
        start: &BytesStart<'_>,
    ) -> Option<()> {
        if let ResolveResult::Bound(namespace) = namespace {
            self.namespace = namespace.0.to_owned();
        }
        self.name = start.local_name().as_ref().to_owned();
        self.node = attribute(start, "node")?;
        Some(())
    }
}

/// The unescaped value of an attribute; the outer `None` if it cannot be read.
fn attribute(start: &BytesStart<'_>, name: &str) -> Option<Option<String>> {
    match start.try_get_attribute(name).ok()? {
        Some(found) => Some(Some(
            found
                .normalized_value(XmlVersion::Implicit1_0)
                .ok()?
                .into_owned(),
        )),
        None => Some(None),
    }
}
