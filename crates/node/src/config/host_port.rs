use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Where something can be reached: an IP address or a DNS name, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct HostPort {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

/// Why a string is not `host:port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostPortError {
    #[error("expected HOST:PORT, such as \"192.0.2.1:7371\" or \"node1.example:7371\"")]
    Shape,
    #[error("the port must be a number from 1 to 65535")]
    Port,
}

// === impl HostPort ===

impl HostPort {
    /// The host, as in a certificate: without brackets or port.
    pub(crate) fn host(&self) -> String {
        match &self.host {
            Host::Ip(ip) => ip.to_string(),
            Host::Name(name) => name.clone(),
        }
    }

    /// True if only this machine can reach it.
    pub(crate) fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Ip(ip) => ip.is_loopback(),
            Host::Name(name) => name.eq_ignore_ascii_case("localhost"),
        }
    }

    /// True for `0.0.0.0` and `[::]`, which one can listen on but not connect to.
    pub(crate) const fn is_unspecified(&self) -> bool {
        match &self.host {
            Host::Ip(ip) => ip.is_unspecified(),
            Host::Name(_) => false,
        }
    }
}

impl From<std::net::SocketAddr> for HostPort {
    fn from(address: std::net::SocketAddr) -> Self {
        Self {
            host: Host::Ip(address.ip()),
            port: address.port(),
        }
    }
}

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(input: &str) -> Result<Self, HostPortError> {
        let (host, port) = input.rsplit_once(':').ok_or(HostPortError::Shape)?;
        let port = match port.parse() {
            Ok(0) | Err(_) => return Err(HostPortError::Port),
            Ok(port) => port,
        };
        let host = Host::parse(host).ok_or(HostPortError::Shape)?;
        Ok(Self { host, port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V4(ip)) => write!(f, "{ip}:{}", self.port),
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

// === impl Host ===

impl Host {
    fn parse(host: &str) -> Option<Self> {
        if let Some(inner) = host.strip_prefix('[') {
            let ip = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Ip(IpAddr::V6(ip)));
        }
        if let Ok(ip) = host.parse() {
            return Some(Self::Ip(IpAddr::V4(ip)));
        }
        is_dns_name(host).then(|| Self::Name(host.to_owned()))
    }
}

/// Labels of letters, digits, hyphens and underscores; not something that looks like a mistyped
/// IPv4 address.
fn is_dns_name(name: &str) -> bool {
    let label_is_valid = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let last_label = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253
        && name.split('.').all(label_is_valid)
        && !last_label.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_told_from_mistakes() {
        for good in [
            "127.0.0.1:7371",
            "[::1]:7371",
            "node-1.internal:1",
            "localhost:65535",
        ] {
            assert_eq!(good.parse::<HostPort>().unwrap().to_string(), good);
        }
        for (bad, error) in [
            ("node1", HostPortError::Shape),
            (":7371", HostPortError::Shape),
            ("::1:7371", HostPortError::Shape),
            ("10.0.0:7371", HostPortError::Shape),
            ("300.0.0.1:7371", HostPortError::Shape),
            ("http://node1:7371", HostPortError::Shape),
            ("node1:0", HostPortError::Port),
            ("node1:70000", HostPortError::Port),
        ] {
            assert_eq!(bad.parse::<HostPort>(), Err(error), "{bad}");
        }
    }

    #[test]
    fn contract_a2_loopback_is_recognised() {
        for (address, loopback) in [
            ("127.0.0.1:1", true),
            ("127.8.8.8:1", true),
            ("[::1]:1", true),
            ("LocalHost:1", true),
            ("0.0.0.0:1", false),
            ("node1:1", false),
            ("localhost.example:1", false),
        ] {
            let address: HostPort = address.parse().unwrap();
            assert_eq!(address.is_loopback(), loopback, "{address}");
        }
    }
}
