use crate::xml::Rewrite;

/// A range of bytes in the buffer that a [`Stanza`] was found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// The name of a first-level element in the stream's content namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StanzaKind {
    /// `<iq/>`
    Iq,
    /// `<message/>`
    Message,
    /// `<presence/>`
    Presence,
    /// Anything else (contract V1), `<handshake/>` included.
    Other,
}

/// Where a first-level element and the parts of its start tag that routing needs lie in a buffer.
///
/// Attribute spans cover the value as written, without its quotes: entities are not resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stanza {
    /// What it is.
    pub kind: StanzaKind,
    /// The whole element.
    pub span: Span,
    /// The element's name as written, prefix included.
    pub name: Span,
    /// The start tag, from `<` to `>`.
    pub start_tag: Span,
    /// The attribute `from`.
    pub from: Option<Span>,
    /// The attribute `to`.
    pub to: Option<Span>,
    /// The attribute `type`.
    pub kind_attribute: Option<Span>,
    /// The attribute `id`.
    pub id: Option<Span>,
    /// What has to change before it can stand on another stream.
    pub(crate) rewrite: Rewrite,
}

impl Stanza {
    /// True for `<stream:error/>`: the peer gives up the stream (RFC 6120 §4.9).
    #[must_use]
    pub const fn is_stream_error(&self) -> bool {
        self.rewrite.has(Rewrite::STREAM_ERROR)
    }

    /// The same with all spans `by` bytes further on.
    pub(crate) fn moved(self, by: u32) -> Self {
        let moved = |span: Span| Span {
            start: span.start + by,
            end: span.end + by,
        };
        Self {
            kind: self.kind,
            span: moved(self.span),
            name: moved(self.name),
            start_tag: moved(self.start_tag),
            from: self.from.map(moved),
            to: self.to.map(moved),
            kind_attribute: self.kind_attribute.map(moved),
            id: self.id.map(moved),
            rewrite: self.rewrite,
        }
    }
}

impl Span {
    /// The bytes of `buffer` that it covers; empty if it lies outside.
    #[must_use]
    pub fn of(self, buffer: &[u8]) -> &[u8] {
        buffer
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}
