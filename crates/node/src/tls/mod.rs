//! TLS on the ports of peers and of the API (contract A2): who connects, and to whom.
//!
//! A node's certificate carries its `node.name` as a DNS name. The dialling side sees that the
//! certificate is that of the node it wants ([`TlsDialer`]); the serving side hands the names of
//! the certificate to the services ([`mod@incoming`]), which see that nobody speaks as another.

mod api_dialer;
mod api_server;
mod connection;
mod dialer;
mod explain;
mod incoming;
mod node_verifier;
mod peer_tls;
mod pinned_verifier;

pub(crate) use api_dialer::{ApiDialer, ServerTrust};
pub(crate) use api_server::api_server;
use connection::Connection;
pub(crate) use dialer::TlsDialer;
use explain::explain;
pub(crate) use incoming::{MostConnections, incoming};
pub(crate) use peer_tls::PeerTls;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_rustls::rustls::ServerConfig;

/// How a port speaks TLS from the next connection on.
pub(crate) type LiveServer = Arc<ArcSwap<ServerConfig>>;

/// HTTP/2, as gRPC uses it (RFC 9113 §3.2).
const ALPN: &[u8] = b"h2";
