use std::borrow::Cow;

use switchyard_registry::Domain;

use super::{JidError, JidParts, prepared_local, prepared_resource};

/// The parts of a JID, prepared (RFC 7622 §3): the same for every spelling of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedJid<'a> {
    local: Cow<'a, str>,
    domain: Cow<'a, str>,
    resource: Cow<'a, str>,
}

impl<'a> PreparedJid<'a> {
    /// Prepares each part.
    ///
    /// # Errors
    ///
    /// When one of them is not what it should be.
    pub fn prepare(parts: &'a JidParts<'_>) -> Result<Self, JidError> {
        let domain = parts.domain();
        Ok(Self {
            local: match parts.local() {
                Some(local) => prepared_local(local)?,
                None => Cow::Borrowed(""),
            },
            domain: match Domain::is_plainly_prepared(domain) {
                true => Cow::Borrowed(domain),
                false => Cow::Owned(Domain::prepare(domain)?.as_str().to_owned()),
            },
            resource: match parts.resource() {
                Some(resource) => prepared_resource(resource)?,
                None => Cow::Borrowed(""),
            },
        })
    }

    /// The localpart; empty if there is none.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The resourcepart; empty if there is none.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }
}
