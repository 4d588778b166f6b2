use std::sync::Arc;

use switchyard_listener::tls::{
    CipherSuites, ClientVerification, Identity, RevocationLists, ServerTls, ServerTlsError,
    TlsVersion, TrustAnchors,
};
use tokio_rustls::rustls::ServerConfig;

use super::ALPN;

/// How the API is served as `identity`. With `clients`, who may show a certificate of these
/// authorities: whether he must is decided for each call, which can be answered in words.
///
/// # Errors
///
/// When the parts do not fit together.
pub(crate) fn api_server(
    identity: Identity,
    clients: Option<(TrustAnchors, RevocationLists)>,
) -> Result<Arc<ServerConfig>, ServerTlsError> {
    let clients = clients.map(|(anchors, revoked)| ClientVerification {
        anchors,
        revoked,
        optional: true,
        accept_self_signed: false,
        disconnect_on_failure: true,
    });
    let server = ServerTls {
        identity,
        clients,
        versions: TlsVersion::ALL.to_vec(),
        ciphers: CipherSuites::default(),
        session_tickets: false,
        keep_secrets: false,
    };
    let mut server = Arc::unwrap_or_clone(server.build()?);
    server.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(server))
}
