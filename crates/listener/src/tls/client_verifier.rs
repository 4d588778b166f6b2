use std::sync::Arc;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
};

use super::certificate::Certificate;
use super::explain::explain;
use super::{RevocationLists, ServerTlsError, TrustAnchors};

/// How the certificates of clients are verified. That a client holds the key of the certificate
/// that it shows is verified as well, unless the certificate counts for nothing.
#[derive(Debug, Clone)]
pub struct ClientVerification {
    /// Who may have issued it. One that is itself among them is fine as well, if it is in its
    /// period of validity, and nothing is revoked.
    pub anchors: TrustAnchors,
    /// What is revoked. Empty: nothing is. Else every certificate of a client's chain needs a
    /// current list of its issuer, as with OpenSSL.
    pub revoked: RevocationLists,
    /// Whether a client may show none. One that it shows must be right all the same.
    pub optional: bool,
    /// Whether one that its holder has issued is fine as well, if it is in its period of validity.
    pub accept_self_signed: bool,
    /// Whether a client without a certificate, or with a wrong one, is disconnected. Else it is let
    /// in all the same: what protects the port then is what follows.
    pub disconnect_on_failure: bool,
}

/// A verifier that knows the ways in which a client may be let in that webpki refuses.
#[derive(Debug)]
struct Verifier {
    strict: Arc<dyn ClientCertVerifier>,
    /// Those that are fine although webpki takes them for no client's.
    listed: Option<TrustAnchors>,
    accept_self_signed: bool,
    disconnect_on_failure: bool,
}

// === impl ClientVerification ===

impl ClientVerification {
    pub(super) fn verifier(
        self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, ServerTlsError> {
        let roots = Arc::clone(self.anchors.roots());
        // Nothing here could say whether one that is listed is revoked.
        let listed = match self.revoked.lists() {
            [] => Some(self.anchors),
            _ => None,
        };
        let strict = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
            .with_crls(self.revoked.lists().iter().cloned())
            .enforce_revocation_expiration();
        let strict = match self.optional {
            true => strict.allow_unauthenticated(),
            false => strict,
        };
        let strict = strict
            .build()
            .map_err(|error| ServerTlsError::Clients(error.to_string()))?;
        Ok(Arc::new(Verifier {
            strict,
            listed,
            accept_self_signed: self.accept_self_signed,
            disconnect_on_failure: self.disconnect_on_failure,
        }))
    }
}

// === impl Verifier ===

impl ClientCertVerifier for Verifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        self.disconnect_on_failure && self.strict.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // A client picks its certificate by them: it would not show one that none has issued.
        match self.accept_self_signed {
            true => &[],
            false => self.strict.root_hint_subjects(),
        }
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .strict
            .verify_client_cert(end_entity, intermediates, now);
        match verified {
            Err(_) if self.accept_self_signed && is_valid_self_signed(end_entity, now) => {
                Ok(ClientCertVerified::assertion())
            }
            Err(error) if is_for_want_of_an_issuer(&error) && self.lists(end_entity) => {
                Ok(ClientCertVerified::assertion())
            }
            Err(error) if self.lets_in_despite(&error) => Ok(ClientCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self
            .strict
            .verify_tls12_signature(message, certificate, signature);
        self.accept_signature(verified)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self
            .strict
            .verify_tls13_signature(message, certificate, signature);
        self.accept_signature(verified)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}

impl Verifier {
    /// Whether `certificate` is one of those that are trusted.
    fn lists(&self, certificate: &CertificateDer<'_>) -> bool {
        let listed = self.listed.as_ref();
        listed.is_some_and(|listed| listed.contains(certificate))
    }

    /// Whether a client is let in although `error` was found in its certificate.
    fn lets_in_despite(&self, error: &Error) -> bool {
        if !self.disconnect_on_failure {
            let reason = explain(error);
            tracing::debug!(reason, "Client certificate not verified");
        }
        !self.disconnect_on_failure
    }

    /// The signature of a certificate that counts for nothing need not be right either: webpki
    /// reads no key in a certificate of X.509 version 1.
    fn accept_signature(
        &self,
        verified: Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        match verified {
            Err(error @ Error::InvalidCertificate(_)) if self.lets_in_despite(&error) => {
                Ok(HandshakeSignatureValid::assertion())
            }
            verified => verified,
        }
    }
}

/// Whether webpki has found no fault in a certificate but that it is an authority's, as those are
/// that `openssl req -x509` makes, or that its issuer is not there: one that has expired is found to
/// have expired before.
fn is_for_want_of_an_issuer(error: &Error) -> bool {
    let Error::InvalidCertificate(error) = error else {
        return false;
    };
    match error {
        CertificateError::UnknownIssuer => true,
        CertificateError::Other(other) => {
            other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
        }
        _ => false,
    }
}

/// Whether the holder of `certificate` has signed it, and it is valid now. webpki has no word for
/// that: it takes such a certificate, which often calls itself an authority, for no client's.
fn is_valid_self_signed(certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
    Certificate::parse(certificate)
        .is_some_and(|parsed| parsed.validity.includes(now) && parsed.is_self_signed())
}
