use std::fmt;
use std::io;
use std::sync::Arc;

use futures::future::BoxFuture;
use switchyard_listener::tls::{Identity, TrustAnchors};
use switchyard_registry::{Dialer, PeerAddress, PeerStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::sign::SingleCertAndKey;

use super::pinned_verifier::PinnedVerifier;
use super::{ALPN, explain};

/// How a client of the API knows that it talks to the right server.
pub(crate) enum ServerTrust {
    /// One of these has issued its certificate, for the host that was asked for.
    Authorities(TrustAnchors),
    /// It has this very certificate: the client has read it from the server's own file.
    Certificate(CertificateDer<'static>),
}

/// Connects a client of the API in TLS.
#[derive(Clone)]
pub(crate) struct ApiDialer {
    client: Arc<ClientConfig>,
    host: ServerName<'static>,
}

impl ApiDialer {
    /// To the server at `host`, which `trust` is to recognise; as `identity`, if it is asked for.
    ///
    /// # Errors
    ///
    /// In words.
    pub(crate) fn new(
        host: &str,
        trust: ServerTrust,
        identity: Option<&Identity>,
    ) -> anyhow::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match trust {
            ServerTrust::Authorities(anchors) => WebPkiServerVerifier::builder_with_provider(
                Arc::clone(anchors.roots()),
                Arc::clone(&provider),
            )
            .build()?,
            ServerTrust::Certificate(certificate) => Arc::new(PinnedVerifier {
                certificate,
                algorithms: provider.signature_verification_algorithms,
            }),
        };
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut client = match identity {
            Some(identity) => {
                let key = Arc::clone(identity.certified_key());
                client.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
            }
            None => client.with_no_client_auth(),
        };
        client.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self {
            client: Arc::new(client),
            host: ServerName::try_from(host.to_owned())?,
        })
    }
}

impl fmt::Debug for ApiDialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiDialer")
    }
}

impl Dialer for ApiDialer {
    fn dial(&self, server: &PeerAddress) -> BoxFuture<'static, io::Result<Box<dyn PeerStream>>> {
        let (dialer, address) = (self.clone(), server.address.clone());
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let connecting = TlsConnector::from(dialer.client).connect(dialer.host, stream);
            match connecting.await {
                Ok(stream) => Ok(Box::new(stream) as Box<dyn PeerStream>),
                Err(error) => Err(io::Error::new(error.kind(), explain(&error))),
            }
        })
    }
}
