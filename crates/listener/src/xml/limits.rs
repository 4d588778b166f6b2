/// Bounds on what one peer may send (contract X2, X3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one first-level element. `u32::MAX` means no bound but that of the offsets in a
    /// [`Stanza`](crate::Stanza), which are 32 bits wide.
    pub max_stanza_size: u32,
    /// Bytes of the XML declaration and the stream header together.
    pub max_header_size: u32,
    /// Elements open at once within a first-level element, itself included.
    ///
    /// libxml2 ends its stream over more than 256, that of the stream included (contract X4).
    pub max_depth: u32,
    /// Attributes of one element, namespace declarations included.
    pub max_attributes: u32,
    /// Namespace prefixes in scope at once, those of the stream header not counted. A look-up
    /// costs time in proportion.
    pub max_prefixes: u32,
}

impl Limits {
    /// Bounds for stanzas that passed a [`Framer`](super::Framer) before: a rewrite (contract X5)
    /// may have pushed them over the bounds that they kept when they came in.
    #[must_use]
    pub const fn forwarded() -> Self {
        Self {
            max_stanza_size: u32::MAX,
            max_header_size: u32::MAX,
            max_depth: u32::MAX,
            max_attributes: u32::MAX,
            max_prefixes: u32::MAX,
        }
    }

    /// The bound on an element that is still in reach of 32-bit offsets.
    pub(super) const fn stanza_bytes(&self) -> usize {
        if self.max_stanza_size == u32::MAX {
            u32::MAX as usize - 1
        } else {
            self.max_stanza_size as usize
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_stanza_size: 1 << 20,
            max_header_size: 8192,
            max_depth: 255,
            max_attributes: 128,
            max_prefixes: 128,
        }
    }
}
