use std::fmt;
use std::sync::Arc;

use switchyard_listener::tls::{Identity, RevocationLists, TrustAnchors};
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::{
    NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier,
};
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, Error, ServerConfig};

use super::ALPN;
use super::node_verifier::NodeVerifier;

/// Mutual TLS between the nodes of a cluster: TLS 1.3 alone, since all of them are of one kind.
#[derive(Clone)]
pub(crate) struct PeerTls {
    server: Arc<ServerConfig>,
    identity: Identity,
    /// Of any node of the cluster.
    verifier: NodeVerifier,
    provider: Arc<CryptoProvider>,
}

/// Why there is no TLS between nodes.
#[derive(Debug, thiserror::Error)]
#[error("no TLS with these certificates: {0}")]
pub(crate) struct PeerTlsError(String);

impl PeerTls {
    /// For the node that `identity` is, among those whose certificates `anchors` have issued.
    ///
    /// # Errors
    ///
    /// When the parts do not fit together.
    pub(crate) fn new(
        identity: Identity,
        anchors: TrustAnchors,
        revoked: RevocationLists,
    ) -> Result<Self, PeerTlsError> {
        let provider = Arc::new(ring::default_provider());
        let roots = anchors.roots();
        let revoked = revoked.lists();
        let unusable = |error: VerifierBuilderError| PeerTlsError(error.to_string());
        let servers =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&provider))
                .with_crls(revoked.iter().cloned())
                .enforce_revocation_expiration()
                .build()
                .map_err(unusable)?;
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&provider))
                .with_crls(revoked.iter().cloned())
                .enforce_revocation_expiration()
                .build()
                .map_err(unusable)?;
        let verifier = NodeVerifier {
            servers,
            clients,
            expected: None,
        };
        let server = server(&identity, &verifier, &provider);
        Ok(Self {
            server: server.map_err(|error| PeerTlsError(error.to_string()))?,
            identity,
            verifier,
            provider,
        })
    }

    /// For the port that peers connect to.
    pub(crate) fn server(&self) -> &Arc<ServerConfig> {
        &self.server
    }

    /// For a connection to the node called `name`; `None`: to any node of the cluster.
    pub(super) fn client(&self, name: Option<&str>) -> Result<ClientConfig, Error> {
        let verifier = NodeVerifier {
            expected: name.map(str::to_owned),
            ..self.verifier.clone()
        };
        let key = Arc::clone(self.identity.certified_key());
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        client.alpn_protocols = vec![ALPN.to_vec()];
        // Nodes are told apart by their certificates, not by the name that is asked for.
        client.enable_sni = false;
        client.resumption = Resumption::disabled();
        Ok(client)
    }
}

fn server(
    identity: &Identity,
    verifier: &NodeVerifier,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<ServerConfig>, Error> {
    let key = Arc::clone(identity.certified_key());
    let mut server = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(verifier.clone()))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    server.alpn_protocols = vec![ALPN.to_vec()];
    // Whoever comes back proves again who it is.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    Ok(Arc::new(server))
}

impl fmt::Debug for PeerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerTls({:?})", self.identity)
    }
}
