//! JIDs as the attributes `from` and `to` hold them (RFC 7622).
//!
//! All functions take the value of an attribute as written, between its quotes: references such as
//! `&amp;` are resolved where there are any. Values without them, in ASCII and with a domain in
//! lower case, which are nearly all, cost no allocation.

mod parts;
mod plain;
mod prepared;

use std::borrow::Cow;

use memchr::memchr;
use precis_profiles::precis_core::profile::{PrecisFastInvocation, stabilize};
use precis_profiles::{OpaqueString, UsernameCaseMapped};
use switchyard_registry::{Domain, DomainError};

pub use self::parts::JidParts;
pub use self::prepared::PreparedJid;
use crate::xml::unescape_attribute;

/// Longest localpart and longest resourcepart in octets (RFC 7622 §3.3, §3.4).
pub const MAX_PART_LEN: usize = 1023;

/// Why a value is not a JID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JidError {
    /// The domainpart is not one.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// Nothing before the `@`.
    #[error("the part before the @ is empty")]
    LocalEmpty,
    /// A character that no localpart has.
    #[error("the part before the @ has a forbidden character")]
    LocalMalformed,
    /// More than [`MAX_PART_LEN`] octets before the `@`.
    #[error("the part before the @ is longer than {MAX_PART_LEN} octets")]
    LocalTooLong,
    /// Nothing behind the `/`.
    #[error("the resource is empty")]
    ResourceEmpty,
    /// A character that no resourcepart has.
    #[error("the resource has a forbidden character")]
    ResourceMalformed,
    /// More than [`MAX_PART_LEN`] octets behind the `/`.
    #[error("the resource is longer than {MAX_PART_LEN} octets")]
    ResourceTooLong,
}

/// Splits `raw` into the parts of a JID and checks each.
///
/// # Errors
///
/// When `raw` is not a JID.
pub fn check(raw: &[u8]) -> Result<JidParts<'_>, JidError> {
    if let Some(parts) = plain::check(raw) {
        return Ok(parts);
    }
    let parts = JidParts::split(unescape_attribute(raw));
    if let Some(local) = parts.local() {
        prepared_local(local)?;
    }
    Domain::prepare(parts.domain())?;
    if let Some(resource) = parts.resource() {
        prepared_resource(resource)?;
    }
    Ok(parts)
}

/// The domain of the JID `raw`, prepared. Other parts are not checked.
///
/// # Errors
///
/// When it is no domain.
pub fn prepared_domain(raw: &[u8]) -> Result<Domain, JidError> {
    let parts = JidParts::split(unescape_attribute(raw));
    Ok(Domain::prepare(parts.domain())?)
}

/// The JID `raw` without its resource, prepared: equal for all spellings of one address. The
/// resource is not checked.
///
/// # Errors
///
/// When the rest is no JID.
pub fn bare_prepared(raw: &[u8]) -> Result<Cow<'_, str>, JidError> {
    if let Some(bare) = plain::bare(raw) {
        return Ok(Cow::Borrowed(bare));
    }
    let parts = JidParts::split(unescape_attribute(raw));
    let domain = Domain::prepare(parts.domain())?;
    let Some(local) = parts.local() else {
        return Ok(Cow::Owned(domain.as_str().to_owned()));
    };
    let local = prepared_local(local)?;
    Ok(Cow::Owned(format!("{local}@{domain}")))
}

/// The domain of the JID `raw` as written, unchecked; all of `raw` if it has references or is no JID
/// for having a second `@`. Either can be given to [`prepared_domain`] in place of `raw`, and equal
/// bytes are equal domains.
#[must_use]
pub fn domain_bytes(raw: &[u8]) -> &[u8] {
    if memchr(b'&', raw).is_some() {
        return raw;
    }
    let bare = memchr(b'/', raw).map_or(raw, |slash| &raw[..slash]);
    let Some(at) = memchr(b'@', bare) else {
        return bare;
    };
    let domain = &bare[at + 1..];
    match memchr(b'@', domain) {
        Some(_) => raw,
        None => domain,
    }
}

/// The domain of `raw` if that is a JID and its domain is its own preparation, both told at first
/// sight. If not, it may still be a JID.
#[inline]
pub(crate) fn plain_domain(raw: &[u8]) -> Option<&[u8]> {
    plain::domain(raw)
}

/// True if the JID `raw` has a localpart: it belongs to a user, not to a server.
#[must_use]
pub fn has_local(raw: &[u8]) -> bool {
    JidParts::split(unescape_attribute(raw)).local().is_some()
}

/// True if the JID `raw` is a domain and nothing more.
#[must_use]
pub fn is_domain(raw: &[u8]) -> bool {
    let parts = JidParts::split(unescape_attribute(raw));
    parts.local().is_none() && parts.resource().is_none()
}

/// Splits `raw` into the parts of a JID, unchecked.
#[must_use]
pub fn split(raw: &[u8]) -> JidParts<'_> {
    JidParts::split(unescape_attribute(raw))
}

/// Prepares a localpart (RFC 7622 §3.3).
///
/// # Errors
///
/// When it is none.
pub fn prepared_local(local: &str) -> Result<Cow<'_, str>, JidError> {
    if plain::is_prepared_local(local) {
        return Ok(Cow::Borrowed(local));
    }
    local_in_full(local)
}

fn local_in_full(local: &str) -> Result<Cow<'_, str>, JidError> {
    if local.is_empty() {
        return Err(JidError::LocalEmpty);
    }
    // Before preparation too, which bounds its cost.
    if local.len() > MAX_PART_LEN {
        return Err(JidError::LocalTooLong);
    }
    // The rules may give what they map to something else in turn, or forbid (RFC 8264 §7).
    let local = stabilize(local, |local| UsernameCaseMapped::enforce(local))
        .map_err(|_| JidError::LocalMalformed)?;
    if local.contains(['"', '&', '\'', '/', ':', '<', '>', '@']) {
        return Err(JidError::LocalMalformed);
    }
    if local.len() > MAX_PART_LEN {
        return Err(JidError::LocalTooLong);
    }
    Ok(local)
}

/// Prepares a resourcepart (RFC 7622 §3.4).
///
/// # Errors
///
/// When it is none.
pub fn prepared_resource(resource: &str) -> Result<Cow<'_, str>, JidError> {
    if plain::is_resource(resource) {
        return Ok(Cow::Borrowed(resource));
    }
    resource_in_full(resource)
}

fn resource_in_full(resource: &str) -> Result<Cow<'_, str>, JidError> {
    if resource.is_empty() {
        return Err(JidError::ResourceEmpty);
    }
    if resource.len() > MAX_PART_LEN {
        return Err(JidError::ResourceTooLong);
    }
    let resource = stabilize(resource, |resource| OpaqueString::enforce(resource))
        .map_err(|_| JidError::ResourceMalformed)?;
    if resource.len() > MAX_PART_LEN {
        return Err(JidError::ResourceTooLong);
    }
    Ok(resource)
}

#[cfg(test)]
mod tests;
