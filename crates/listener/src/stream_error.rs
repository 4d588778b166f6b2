use std::borrow::Cow;
use std::fmt;

use bytes::{BufMut, BytesMut};

use crate::xml::escape;

/// The conditions of stream errors that a component's stream can end with (RFC 6120 §4.9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamCondition {
    /// `bad-format`
    BadFormat,
    /// `conflict`
    Conflict,
    /// `connection-timeout`
    ConnectionTimeout,
    /// `host-unknown`
    HostUnknown,
    /// `improper-addressing`
    ImproperAddressing,
    /// `internal-server-error`
    InternalServerError,
    /// `invalid-namespace`
    InvalidNamespace,
    /// `not-authorized`
    NotAuthorized,
    /// `not-well-formed`
    NotWellFormed,
    /// `policy-violation`
    PolicyViolation,
    /// `reset`
    Reset,
    /// `resource-constraint`
    ResourceConstraint,
    /// `restricted-xml`
    RestrictedXml,
    /// `system-shutdown`
    SystemShutdown,
    /// `unsupported-encoding`
    UnsupportedEncoding,
    /// `unsupported-version`
    UnsupportedVersion,
}

/// A stream error: its condition and a text for the person who reads the component's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{condition}: {text}")]
pub(crate) struct StreamError {
    pub(crate) condition: StreamCondition,
    pub(crate) text: Cow<'static, str>,
}

// === impl StreamCondition ===

impl StreamCondition {
    /// Every condition, in the order of their discriminants.
    pub const ALL: [Self; 16] = [
        Self::BadFormat,
        Self::Conflict,
        Self::ConnectionTimeout,
        Self::HostUnknown,
        Self::ImproperAddressing,
        Self::InternalServerError,
        Self::InvalidNamespace,
        Self::NotAuthorized,
        Self::NotWellFormed,
        Self::PolicyViolation,
        Self::Reset,
        Self::ResourceConstraint,
        Self::RestrictedXml,
        Self::SystemShutdown,
        Self::UnsupportedEncoding,
        Self::UnsupportedVersion,
    ];

    /// The name of its element.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadFormat => "bad-format",
            Self::Conflict => "conflict",
            Self::ConnectionTimeout => "connection-timeout",
            Self::HostUnknown => "host-unknown",
            Self::ImproperAddressing => "improper-addressing",
            Self::InternalServerError => "internal-server-error",
            Self::InvalidNamespace => "invalid-namespace",
            Self::NotAuthorized => "not-authorized",
            Self::NotWellFormed => "not-well-formed",
            Self::PolicyViolation => "policy-violation",
            Self::Reset => "reset",
            Self::ResourceConstraint => "resource-constraint",
            Self::RestrictedXml => "restricted-xml",
            Self::SystemShutdown => "system-shutdown",
            Self::UnsupportedEncoding => "unsupported-encoding",
            Self::UnsupportedVersion => "unsupported-version",
        }
    }
}

impl fmt::Display for StreamCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl StreamError ===

impl StreamError {
    pub(crate) fn new(condition: StreamCondition, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            condition,
            text: text.into(),
        }
    }

    /// Appends the `<stream:error/>` element. The stream's header must have been written before.
    pub(crate) fn write(&self, out: &mut BytesMut) {
        const NAMESPACE: &str = "urn:ietf:params:xml:ns:xmpp-streams";
        let name = self.condition.as_str();
        out.put_slice(b"<stream:error><");
        out.put_slice(name.as_bytes());
        out.put_slice(b" xmlns='");
        out.put_slice(NAMESPACE.as_bytes());
        out.put_slice(b"'/><text xmlns='");
        out.put_slice(NAMESPACE.as_bytes());
        out.put_slice(b"' xml:lang='en'>");
        escape(&self.text.replace(is_unprintable, "\u{fffd}"), out);
        out.put_slice(b"</text></stream:error>");
    }
}

/// What no XML 1.0 document may hold, and line breaks, which a log does not need.
fn is_unprintable(character: char) -> bool {
    matches!(character, '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contract_s3_an_error_has_condition_and_text_and_cannot_break_the_stream() {
        let mut out = BytesMut::new();
        let text = "got <a b='c'>&\u{1}]]>\"";
        StreamError::new(StreamCondition::NotWellFormed, text).write(&mut out);
        assert_eq!(
            std::str::from_utf8(&out).unwrap(),
            "<stream:error><not-well-formed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
             <text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>\
             got &lt;a b=&apos;c&apos;&gt;&amp;\u{fffd}]]&gt;&quot;</text></stream:error>"
        );
    }

    #[test]
    fn all_lists_every_condition_at_its_index() {
        for (index, condition) in StreamCondition::ALL.into_iter().enumerate() {
            assert_eq!(condition as usize, index, "{condition}");
        }
    }
}
