//! What may be wrong with a stream header (contract S4).

use switchyard_registry::Domain;

use crate::stream_error::{StreamCondition, StreamError};
use crate::xml::{COMPONENT_ACCEPT, STREAMS, StreamHeader};

/// Why a header is refused.
pub(super) struct HeaderFault {
    /// The name that the component asks for, if it is one.
    pub(super) domain: Option<Domain>,
    pub(super) error: StreamError,
}

/// The name that a component asks for with `header`.
pub(super) fn check(header: &StreamHeader) -> Result<Domain, HeaderFault> {
    let to = header.to.as_deref();
    check_namespaces(header)
        .and_then(|()| check_version(header.version.as_deref().unwrap_or_default()))
        .and_then(|()| check_address(to))
        .map_err(|error| HeaderFault {
            domain: to.and_then(|to| Domain::prepare(to).ok()),
            error,
        })
}

fn check_namespaces(header: &StreamHeader) -> Result<(), StreamError> {
    if header.local != "stream" {
        let text = format!(
            "Expected <stream:stream>, got <{}>",
            header.local.get(..64).unwrap_or(&header.local)
        );
        return Err(StreamError::new(StreamCondition::BadFormat, text));
    }
    let text = match (
        header.namespace.as_deref(),
        header.content_namespace.as_deref(),
    ) {
        (Some(STREAMS), Some(COMPONENT_ACCEPT)) => return Ok(()),
        (Some(STREAMS), Some("jabber:component:connect")) => {
            "This port is for components that connect to it: use jabber:component:accept"
        }
        (Some(STREAMS), Some("jabber:client")) => {
            "This port is not for clients: it speaks jabber:component:accept (XEP-0114)"
        }
        (Some(STREAMS), Some("jabber:server")) => {
            "This port is not for servers: it speaks jabber:component:accept (XEP-0114)"
        }
        (Some(STREAMS), _) => "The content namespace must be jabber:component:accept (XEP-0114)",
        _ => "The namespace of <stream/> must be http://etherx.jabber.org/streams",
    };
    Err(StreamError::new(StreamCondition::InvalidNamespace, text))
}

/// Any version below 2.0 passes, and so does what is no version: XEP-0114 knows none.
fn check_version(version: &str) -> Result<(), StreamError> {
    let major = version.trim().split('.').next().unwrap_or_default();
    let major = major.trim_start_matches('0');
    let is_number = major.bytes().all(|b| b.is_ascii_digit());
    if is_number && !matches!(major, "" | "1") {
        return Err(StreamError::new(
            StreamCondition::UnsupportedVersion,
            "XMPP versions from 2.0 on are not supported",
        ));
    }
    Ok(())
}

/// Whether a header with this version comes from somebody who expects stream features
/// (RFC 6120 §4.7.5).
pub(super) fn knows_features(version: Option<&str>) -> bool {
    let major = version.unwrap_or_default().trim().split('.').next();
    major.unwrap_or_default().trim_start_matches('0') == "1"
}

fn check_address(to: Option<&str>) -> Result<Domain, StreamError> {
    let Some(to) = to else {
        return Err(StreamError::new(
            StreamCondition::ImproperAddressing,
            "The attribute to is missing: it names the component (XEP-0114 section 3)",
        ));
    };
    if to.is_empty() {
        return Err(StreamError::new(
            StreamCondition::ImproperAddressing,
            "The attribute to is empty: it names the component (XEP-0114 section 3)",
        ));
    }
    if to.contains(['@', '/']) {
        return Err(StreamError::new(
            StreamCondition::ImproperAddressing,
            "The attribute to must be a domain alone, without @ and /",
        ));
    }
    Domain::prepare(to).map_err(|error| {
        let text = format!("The attribute to does not name a domain: {error}");
        StreamError::new(StreamCondition::HostUnknown, text)
    })
}
