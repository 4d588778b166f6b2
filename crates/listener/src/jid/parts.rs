use std::borrow::Cow;

/// The parts of a JID as written, references resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JidParts<'a> {
    text: Cow<'a, str>,
    /// Position of the `@` behind the localpart.
    at: Option<usize>,
    /// Position of the `/` before the resourcepart.
    slash: Option<usize>,
}

impl<'a> JidParts<'a> {
    /// The first `/` begins the resource, the first `@` before it ends the localpart
    /// (RFC 7622 §3.1).
    pub(super) fn split(text: Cow<'a, str>) -> Self {
        let slash = text.find('/');
        let bare = text.get(..slash.unwrap_or(text.len()));
        let at = bare.and_then(|bare| bare.find('@'));
        Self { text, at, slash }
    }

    pub(super) const fn new(text: &'a str, at: Option<usize>, slash: Option<usize>) -> Self {
        Self {
            text: Cow::Borrowed(text),
            at,
            slash,
        }
    }

    /// What stands before the `@`.
    #[must_use]
    pub fn local(&self) -> Option<&str> {
        self.at.and_then(|at| self.text.get(..at))
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> &str {
        let start = self.at.map_or(0, |at| at + 1);
        let end = self.slash.unwrap_or(self.text.len());
        self.text.get(start..end).unwrap_or_default()
    }

    /// What stands behind the `/`.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        self.slash.and_then(|slash| self.text.get(slash + 1..))
    }
}
