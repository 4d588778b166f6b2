use std::net::{Ipv4Addr, SocketAddr};

use super::refuse_plaintext;
use super::section::Section;
use super::value::{boolean, socket_address};

/// Where the API is served when the file does not say, and where the command line looks for it.
pub(crate) const DEFAULT_API_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7381);

/// `[api]`: gRPC for operators and programs. Left out: served on [`DEFAULT_API_LISTEN`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Api {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: DEFAULT_API_LISTEN,
        }
    }
}

impl Api {
    pub(crate) fn read(mut section: Section<'_>) -> Self {
        let listen = section.optional("listen", socket_address);
        let insecure = section.optional("insecure", boolean).unwrap_or(false);
        section.refuse_unless("tls", |_| false);
        let api = listen.map_or_else(Self::default, |listen| Self { listen });
        if !api.listen.ip().is_loopback() && !insecure {
            refuse_plaintext(&section, "listen", "api");
        }
        section.finish();
        api
    }
}
