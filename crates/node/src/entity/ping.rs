//! XMPP Ping (XEP-0199): the answer is an empty result.

/// `urn:xmpp:ping`
pub(super) const NAMESPACE: &str = "urn:xmpp:ping";
