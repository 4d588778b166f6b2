use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::section::Section;
use super::value::socket_address;

/// Where `[http]` listens when it does not say.
pub(crate) const DEFAULT_HTTP_LISTEN: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7391);

/// `[http]`: `/healthz`, `/readyz`, `/metrics`. Left out: not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Http {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
}

impl Http {
    pub(crate) fn read(mut section: Section<'_>) -> Self {
        let listen = section.optional("listen", socket_address);
        section.refuse_unless("tls", |_| false);
        section.finish();
        Self {
            listen: listen.unwrap_or(DEFAULT_HTTP_LISTEN),
        }
    }
}
