//! The header of the PROXY protocol, by which a proxy in front of a listener says who connects
//! (<https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>): decisions alone, no sockets.
//!
//! Where a header ends is decided here; what a whole one says is left to `ppp`, which takes what
//! is wrong in a partial header for final, and some that are wrong for partial.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use ppp::{v1, v2};

/// The longest header of version 1, its line end included (§2.1).
const MAX_V1: usize = 107;
/// The longest header of version 2 that is accepted, extensions included: the protocol allows
/// 64 KiB, which nobody may make us keep for somebody unknown. As in nginx.
pub(crate) const MAX_V2: usize = 4096;

/// How version 1 begins, its separator included.
const V1_START: &[u8] = b"PROXY ";
/// The part of a header of version 2 that every header has.
const V2_FIXED: usize = 16;

/// A complete header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProxyHeader {
    /// Its length in bytes; what is behind it belongs to TLS or the stream.
    pub(crate) len: usize,
    /// Who connected to the proxy. `None` if the proxy speaks for itself (LOCAL), does not say
    /// (UNKNOWN, unspecified), or took a connection that has no IP address: then the address of the
    /// connection stands.
    pub(crate) source: Option<SocketAddr>,
}

/// Why a header is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProxyFault {
    /// Something else came first.
    #[error("this port expects a header of the PROXY protocol first, as a load balancer sends it")]
    Missing,
    /// More bytes than a header may have.
    #[error("the header of the PROXY protocol is too long")]
    TooLong,
    /// Text that does not keep to version 1.
    #[error("a malformed header of the PROXY protocol, version 1")]
    V1,
    /// Bytes that do not keep to version 2.
    #[error("a malformed header of the PROXY protocol, version 2")]
    V2,
}

/// Reads the header at the beginning of `bytes`; `None` if its end has not arrived.
///
/// # Errors
///
/// When more bytes cannot make a header of them.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyFault> {
    if is_prefix(bytes, V1_START) {
        read_v1(bytes)
    } else if is_prefix(bytes, v2::PROTOCOL_PREFIX) {
        read_v2(bytes)
    } else {
        Err(ProxyFault::Missing)
    }
}

/// Whether as much of `start` as fits is at the beginning of `bytes`.
fn is_prefix(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(a, b)| a == b)
}

fn read_v1(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyFault> {
    let line = bytes.get(..MAX_V1).unwrap_or(bytes);
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return match line.len() {
            MAX_V1.. => Err(ProxyFault::TooLong),
            _ => Ok(None),
        };
    };
    let (text, len) = (&line[..end], end + 2);
    // Whatever else the line says is to be ignored (§2.1), and `ppp` does not ignore all of it.
    let is_unknown = text
        .strip_prefix(b"PROXY UNKNOWN")
        .is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b' '));
    let source = match is_unknown {
        true => None,
        false => v1_source(&line[..len])?,
    };
    Ok(Some(ProxyHeader { len, source }))
}

fn v1_source(line: &[u8]) -> Result<Option<SocketAddr>, ProxyFault> {
    let header = v1::Header::try_from(line).map_err(|_| ProxyFault::V1)?;
    Ok(match header.addresses {
        v1::Addresses::Tcp4(of) => Some(SocketAddr::from((of.source_address, of.source_port))),
        v1::Addresses::Tcp6(of) => Some(canonical((of.source_address, of.source_port))),
        v1::Addresses::Unknown => None,
    })
}

fn read_v2(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyFault> {
    let Some(fixed) = bytes.get(..V2_FIXED) else {
        return Ok(None);
    };
    let (version_and_command, length) = (fixed[12], [fixed[14], fixed[15]]);
    let len = V2_FIXED + usize::from(u16::from_be_bytes(length));
    if len > MAX_V2 {
        return Err(ProxyFault::TooLong);
    }
    // For LOCAL the rest is to be skipped whatever it says (§2.2).
    let is_local = version_and_command == 0x20;
    // What is wrong in the fixed part need not wait for the rest.
    let source = match (bytes.get(..len), is_local) {
        (None, true) => return Ok(None),
        (Some(_), true) => None,
        (header, false) => match v2::Header::try_from(header.unwrap_or(fixed)) {
            Ok(header) => v2_source(&header),
            Err(v2::ParseError::Partial(..)) => return Ok(None),
            Err(_) => return Err(ProxyFault::V2),
        },
    };
    Ok(Some(ProxyHeader { len, source }))
}

fn v2_source(header: &v2::Header<'_>) -> Option<SocketAddr> {
    match header.addresses {
        _ if header.protocol != v2::Protocol::Stream => None,
        v2::Addresses::IPv4(of) => Some(SocketAddr::from((of.source_address, of.source_port))),
        v2::Addresses::IPv6(of) => Some(canonical((of.source_address, of.source_port))),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    }
}

/// An IPv4 address in IPv6 clothing is an IPv4 address: nobody is to be two sources.
fn canonical(address: impl Into<SocketAddr>) -> SocketAddr {
    let mut address = address.into();
    address.set_ip(address.ip().to_canonical());
    address
}
