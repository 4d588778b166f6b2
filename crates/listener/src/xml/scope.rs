/// What the stream header says about every first-level element behind it.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// The prefixes it declares.
    pub(super) prefixes: Vec<Prefix>,
    /// The header's name as written, which its end tag has to repeat.
    pub(super) root: Option<Box<[u8]>>,
    /// Its `xml:lang`.
    pub(super) language: Option<Box<str>>,
}

/// A prefix that the stream header declares.
#[derive(Debug, Clone)]
pub(super) struct Prefix {
    /// The prefix.
    pub(super) name: Box<[u8]>,
    /// The namespace name, unescaped.
    pub(super) namespace: Box<str>,
}
