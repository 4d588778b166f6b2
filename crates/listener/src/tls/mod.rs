//! TLS: what a port of a node needs to speak it, from the contents of files to types of rustls.
//!
//! Nothing here reads a file or a socket, and nothing knows XMPP: a caller reads the files, so that
//! it can name the one that is wrong, and gives their contents. [`Identity`] is who this side is,
//! [`TrustAnchors`] and [`RevocationLists`] say whom it trusts; [`ServerTls`] makes a
//! [`rustls::ServerConfig`] of them, with what may be configured besides.

mod certificate;
mod cipher_suites;
mod client_verifier;
mod explain;
mod identity;
mod listener_tls;
mod pem;
mod private_key;
mod server;
mod trust;
mod validity;
mod version;

#[cfg(test)]
mod tests;

pub use tokio_rustls::rustls;

pub use cipher_suites::{CipherError, CipherSuites};
pub use client_verifier::ClientVerification;
pub use explain::explain;
pub use identity::{CertificateChain, CertificateError, Identity, IdentityError, dns_names};
pub use listener_tls::{ListenerTls, TlsMode};
pub use private_key::{KeyError, PrivateKey};
pub use server::{ServerTls, ServerTlsError};
pub use trust::{RevocationLists, TrustAnchors, TrustError};
pub use validity::Validity;
pub use version::TlsVersion;
