use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::{KeyLogFile, ServerConfig};

use super::{CipherSuites, ClientVerification, Identity, TlsVersion};

/// How a port speaks TLS.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// Who the port is.
    pub identity: Identity,
    /// How its clients are verified; `None`: they are not asked who they are.
    pub clients: Option<ClientVerification>,
    /// The versions of TLS that it speaks.
    pub versions: Vec<TlsVersion>,
    /// What may be negotiated.
    pub ciphers: CipherSuites,
    /// Whether a session can be resumed, by a ticket that the client keeps, for up to twelve
    /// hours. The client's certificate is not verified again then.
    pub session_tickets: bool,
    /// Whether the secrets of every session are appended to the file that the environment variable
    /// `SSLKEYLOGFILE` names, if it names one: whoever reads it can read the traffic.
    pub keep_secrets: bool,
}

/// Why a port cannot speak TLS as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerTlsError {
    /// The verification of clients cannot be set up.
    #[error("clients cannot be verified: {0}")]
    Clients(String),
    /// No cipher suite is left for the versions and the kind of key.
    #[error(
        "none of the cipher suites can be used with the certificate's key ({0}) in the versions \
         of TLS that are spoken"
    )]
    NoUsableCipher(String),
    /// rustls refuses it.
    #[error("{0}")]
    Refused(String),
}

// === impl ServerTls ===

impl ServerTls {
    /// Makes a configuration of rustls of it. Nothing global is needed or changed.
    ///
    /// # Errors
    ///
    /// When the parts do not fit together.
    pub fn build(self) -> Result<Arc<ServerConfig>, ServerTlsError> {
        let key = Arc::clone(self.identity.certified_key());
        let algorithm = key.key.algorithm();
        if !self.ciphers.suit(&self.versions, algorithm) {
            let name = format!("{algorithm:?}");
            return Err(ServerTlsError::NoUsableCipher(name));
        }
        let provider = Arc::new(CryptoProvider {
            cipher_suites: self.ciphers.into_suites(),
            ..ring::default_provider()
        });
        let clients = match self.clients {
            Some(clients) => clients.verifier(&provider)?,
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let versions: Vec<_> = self.versions.iter().map(|v| v.supported()).collect();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(refused)?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        // A session is resumed by a ticket or not at all: nothing is remembered here.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if self.session_tickets {
            config.ticketer = ring::Ticketer::new().map_err(refused)?;
        } else {
            config.send_tls13_tickets = 0;
        }
        if self.keep_secrets {
            config.key_log = Arc::new(KeyLogFile::new());
        }
        Ok(Arc::new(config))
    }
}

fn refused(error: tokio_rustls::rustls::Error) -> ServerTlsError {
    ServerTlsError::Refused(error.to_string())
}
