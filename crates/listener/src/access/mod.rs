//! Who may send to the components of a listener (contract L2): MongooseIM's access rules and
//! classes, decided without I/O.

mod class;
mod glob;
mod part_test;

#[cfg(test)]
mod tests;

use crate::jid::{self, PreparedJid};

pub use self::class::{AccessClass, AccessPattern, AccessScope};
pub use self::part_test::{JidPart, PartTest, RegexpError};
pub use globset::Error as GlobError;

/// A rule of `[access]`: clauses in order, the first whose class the sender belongs to decides. If
/// none does, the sender is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    clauses: Vec<AccessClause>,
}

/// One clause of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessClause {
    /// Whom it is about.
    pub class: AccessClass,
    /// What it says about them.
    pub decision: Decision,
}

/// What a rule says about a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// What it sends is delivered.
    Allow,
    /// What it sends is answered with `not-allowed`.
    Deny,
}

// === impl AccessRule ===

impl AccessRule {
    /// A rule of these clauses, in this order.
    #[must_use]
    pub fn new(clauses: Vec<AccessClause>) -> Self {
        Self { clauses }
    }

    /// The built-in rule `all`: everybody is allowed.
    #[must_use]
    pub fn all() -> Self {
        Self::new(vec![AccessClause {
            class: AccessClass::All,
            decision: Decision::Allow,
        }])
    }

    /// The built-in rule `none`: everybody is denied.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Vec::new())
    }

    /// True if the rule allows everybody, whoever asks: no stanza need be looked at.
    #[must_use]
    pub fn admits_all(&self) -> bool {
        let first = self.clauses.first();
        first.is_some_and(|first| {
            first.class == AccessClass::All && first.decision == Decision::Allow
        })
    }

    /// What the rule says about the sender whose JID is `from`, the value of an attribute as
    /// written. What is no JID is denied.
    #[must_use]
    pub fn decide(&self, from: &[u8]) -> Decision {
        let parts = jid::split(from);
        let Ok(sender) = PreparedJid::prepare(&parts) else {
            return Decision::Deny;
        };
        let clause = self.clauses.iter().find(|clause| clause.class.has(&sender));
        clause.map_or(Decision::Deny, |clause| clause.decision)
    }
}

impl Default for AccessRule {
    /// The rule `all`.
    fn default() -> Self {
        Self::all()
    }
}
