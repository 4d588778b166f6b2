use globset::GlobMatcher;
use regex::Regex;

use super::{GlobError, glob};
use crate::jid::{self, JidError, PreparedJid};

/// A part of a JID, as the options of a pattern name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JidPart {
    /// `user`: the localpart.
    User,
    /// `server`: the domain.
    Server,
    /// `resource`
    Resource,
}

/// What one part of a JID, prepared, must be. A part that is missing counts as empty.
#[derive(Debug, Clone)]
pub enum PartTest {
    /// The same as this, which is prepared too.
    Is(Box<str>),
    /// Somewhere in it the expression matches.
    Regexp(Regex),
    /// All of it matches the pattern.
    Glob(GlobMatcher),
}

/// A regular expression that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RegexpError(String);

// === impl JidPart ===

impl JidPart {
    pub(super) fn of<'a>(self, jid: &'a PreparedJid<'_>) -> &'a str {
        match self {
            Self::User => jid.local(),
            Self::Server => jid.domain(),
            Self::Resource => jid.resource(),
        }
    }
}

// === impl PartTest ===

impl PartTest {
    /// `part` is `value`, however either is spelt. An empty value asks for a JID without that part.
    ///
    /// # Errors
    ///
    /// When no JID has `value` for that part.
    pub fn is(part: JidPart, value: &str) -> Result<Self, JidError> {
        let prepared = match part {
            JidPart::User | JidPart::Resource if value.is_empty() => Box::default(),
            JidPart::User => jid::prepared_local(value)?.into(),
            JidPart::Server => switchyard_registry::Domain::prepare(value)?.as_str().into(),
            JidPart::Resource => jid::prepared_resource(value)?.into(),
        };
        Ok(Self::Is(prepared))
    }

    /// A regular expression, taken as it is: against localparts and domains, which are in lower
    /// case when they are prepared, one with capitals matches nothing. Not anchored.
    ///
    /// # Errors
    ///
    /// When it is malformed, too large, or uses what only backtracking engines have:
    /// back-references, look-around.
    pub fn regexp(expression: &str) -> Result<Self, RegexpError> {
        Regex::new(expression)
            .map(Self::Regexp)
            .map_err(|error| RegexpError(in_one_line(&error)))
    }

    /// A shell pattern for `part`: `*` any text, `?` any character, `[a-z]` and `[!a-z]` one
    /// character of a set, all else itself. Localparts and domains are compared in lower case.
    ///
    /// # Errors
    ///
    /// When a `[` is not closed, or a range ends before it begins.
    pub fn glob(part: JidPart, pattern: &str) -> Result<Self, GlobError> {
        let matcher = match part {
            JidPart::User | JidPart::Server => glob::matcher(&pattern.to_lowercase()),
            JidPart::Resource => glob::matcher(pattern),
        };
        matcher.map(Self::Glob)
    }

    pub(super) fn passes(&self, part: &str) -> bool {
        match self {
            Self::Is(value) => **value == *part,
            Self::Regexp(expression) => expression.is_match(part),
            Self::Glob(pattern) => pattern.is_match(part),
        }
    }
}

impl PartialEq for PartTest {
    /// Equal if they were written the same.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Is(a), Self::Is(b)) => a == b,
            (Self::Regexp(a), Self::Regexp(b)) => a.as_str() == b.as_str(),
            (Self::Glob(a), Self::Glob(b)) => a.glob() == b.glob(),
            _ => false,
        }
    }
}

impl Eq for PartTest {}

/// What is wrong, without the picture of where that syntax errors come with.
fn in_one_line(error: &regex::Error) -> String {
    let message = error.to_string();
    let last = message.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}
