use std::sync::Arc;

use switchyard_registry::Domain;

use super::{JidPart, PartTest};
use crate::jid::PreparedJid;

/// A class of `[acl]`: a set of JIDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessClass {
    /// The built-in class `all`.
    All,
    /// The built-in class `none`.
    None,
    /// Whoever matches one of the patterns.
    Patterns(Arc<[AccessPattern]>),
}

/// One pattern of a class: a JID matches if it is in scope and passes every test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessPattern {
    scope: AccessScope,
    tests: Vec<(JidPart, PartTest)>,
}

/// What the option `match` of a pattern says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessScope {
    /// `all`, and `current_domain` too: MongooseIM checks the rule of a component listener with the
    /// sender's own domain as the current one, so that every sender is in it.
    All,
    /// `any_hosted_domain`: senders at one of these, the router's own domains (`general.hosts`).
    Hosted(Arc<[Domain]>),
    /// `none`
    None,
}

// === impl AccessClass ===

impl AccessClass {
    /// Whether `jid` belongs to it.
    pub(super) fn has(&self, jid: &PreparedJid<'_>) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Patterns(patterns) => patterns.iter().any(|pattern| pattern.matches(jid)),
        }
    }
}

// === impl AccessPattern ===

impl AccessPattern {
    /// What matches if all of `tests` do, within `scope`.
    #[must_use]
    pub fn new(scope: AccessScope, tests: Vec<(JidPart, PartTest)>) -> Self {
        Self { scope, tests }
    }

    fn matches(&self, jid: &PreparedJid<'_>) -> bool {
        self.scope.has(jid.domain())
            && self
                .tests
                .iter()
                .all(|(part, test)| test.passes(part.of(jid)))
    }
}

// === impl AccessScope ===

impl AccessScope {
    fn has(&self, domain: &str) -> bool {
        match self {
            Self::All => true,
            Self::Hosted(hosts) => hosts.iter().any(|host| host.as_str() == domain),
            Self::None => false,
        }
    }
}
