use std::io;

use bytes::Bytes;
use quick_xml::writer::Writer;

use super::query::Query;

/// An iq result on its way to the asker.
#[derive(Debug)]
pub(super) struct Reply<'a> {
    attributes: Vec<(&'static str, &'a str)>,
}

/// Where payloads are written.
pub(super) type Payload = Writer<Vec<u8>>;

impl<'a> Reply<'a> {
    /// The result for `query`, addressed to its asker (RFC 6120 §8.2.3).
    pub(super) fn to(query: &'a Query) -> Self {
        let addresses = [("from", &query.to), ("to", &query.from), ("id", &query.id)];
        let mut attributes = vec![("type", "result")];
        attributes.extend(
            addresses
                .into_iter()
                .filter_map(|(name, value)| Some((name, value.as_deref()?))),
        );
        Self { attributes }
    }

    /// Writes the stanza with what `payload` writes as its content.
    pub(super) fn with(
        self,
        payload: impl FnOnce(&mut Payload) -> io::Result<()>,
    ) -> io::Result<Bytes> {
        let mut writer = Writer::new(Vec::with_capacity(512));
        writer
            .create_element("iq")
            .with_attributes(self.attributes)
            .write_inner_content(payload)?;
        Ok(writer.into_inner().into())
    }
}
