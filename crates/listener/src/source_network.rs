use std::net::{IpAddr, Ipv6Addr};

/// Where a connection comes from, as far as limits per source tell it: an IPv4 address, or the
/// /64 network of an IPv6 address, which is what one host can have all addresses of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SourceNetwork(IpAddr);

impl From<IpAddr> for SourceNetwork {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> SourceNetwork {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn an_ipv6_host_is_one_source_whatever_addresses_it_takes() {
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1:2:3"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("::ffff:192.0.2.2"));
    }
}
