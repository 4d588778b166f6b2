use std::fmt;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::sign::CertifiedKey;

use super::certificate::Certificate;
use super::explain::fault_of_certificate;
use super::{PrivateKey, Validity, pem};

/// A certificate, and those of the authorities between it and one that the other side trusts.
#[derive(Debug, Clone)]
pub struct CertificateChain(Vec<CertificateDer<'static>>);

/// Who this side is: a certificate chain and its private key. `Debug` does not show the key.
#[derive(Clone)]
pub struct Identity(Arc<CertifiedKey>);

/// Why there is no certificate chain in a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The PEM, or one of the certificates, is malformed.
    #[error("{0}")]
    Malformed(String),
    /// There is none.
    #[error("no certificate is in it: expected a PEM section CERTIFICATE")]
    Missing,
    /// The own one is of a version before 3. OpenSSL makes and takes such, rustls does not.
    #[error("the certificate {}", fault_of_certificate(&webpki::Error::UnsupportedCertVersion))]
    Version,
    /// Those who verify the own one as this program does would refuse it.
    #[error("the certificate {0}")]
    Unusable(&'static str),
}

/// Why a certificate chain and a private key make no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The key is another one's.
    #[error(
        "the key does not belong to the first certificate of the chain, which must be the \
         server's own"
    )]
    Mismatch,
    /// The key is of another kind.
    #[error(
        "the key is of a kind that is not supported: RSA from 2048 to 8192 bits, ECDSA on P-256 or \
         P-384, and Ed25519 are"
    )]
    UnsupportedKey,
}

// === impl CertificateChain ===

impl CertificateChain {
    /// The certificates in `text`, PEM: the own one first, then each issuer.
    ///
    /// # Errors
    ///
    /// When there is none, or one of them is none.
    pub fn from_pem(text: &[u8]) -> Result<Self, CertificateError> {
        let chain =
            pem::sections::<CertificateDer<'_>>(text).map_err(CertificateError::Malformed)?;
        if chain.is_empty() {
            return Err(CertificateError::Missing);
        }
        for (index, certificate) in chain.iter().enumerate() {
            if Certificate::parse(certificate).is_none() {
                let text = format!("certificate {} of the file is malformed", index + 1);
                return Err(CertificateError::Malformed(text));
            }
        }
        Ok(Self(chain))
    }

    /// Whether rustls can read the own one: others who verify it by rustls refuse it if not.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it, and what to do.
    pub fn check(&self) -> Result<(), CertificateError> {
        let own = self.0.first().ok_or(CertificateError::Missing)?;
        match webpki::EndEntityCert::try_from(own) {
            Ok(_) => Ok(()),
            Err(webpki::Error::UnsupportedCertVersion) => Err(CertificateError::Version),
            Err(error) => Err(CertificateError::Unusable(fault_of_certificate(&error))),
        }
    }

    /// When the first of them, the own one, is valid.
    #[must_use]
    pub fn validity(&self) -> Option<Validity> {
        let own = self.0.first().and_then(|own| Certificate::parse(own));
        own.map(|own| own.validity)
    }
}

/// The DNS names (RFC 5280 §4.2.1.6) that a certificate carries. Says nothing about who issued it.
#[must_use]
pub fn dns_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let parsed = webpki::EndEntityCert::try_from(certificate);
    parsed.map_or_else(
        |_| Vec::new(),
        |parsed| parsed.valid_dns_names().map(str::to_owned).collect(),
    )
}

// === impl Identity ===

impl Identity {
    /// Puts the two together. The certificate may be one that rustls itself would not verify: see
    /// [`CertificateChain::check`].
    ///
    /// # Errors
    ///
    /// When they do not belong together, or the key cannot be used.
    pub fn new(chain: CertificateChain, key: PrivateKey) -> Result<Self, IdentityError> {
        let provider = ring::default_provider();
        let key = provider
            .key_provider
            .load_private_key(key.into_der())
            .map_err(|_| IdentityError::UnsupportedKey)?;
        let own = chain.0.first().and_then(|own| Certificate::parse(own));
        let fits = key
            .public_key()
            .is_none_or(|public_key| own.is_some_and(|own| own.public_key == public_key.as_ref()));
        if !fits {
            return Err(IdentityError::Mismatch);
        }
        Ok(Self(Arc::new(CertifiedKey::new(chain.0, key))))
    }

    /// The DNS names that its certificate carries.
    #[must_use]
    pub fn dns_names(&self) -> Vec<String> {
        self.0.cert.first().map_or_else(Vec::new, dns_names)
    }

    /// As rustls takes it, in a resolver of server or client certificates.
    #[must_use]
    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.0
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} certificates, ***)", self.0.cert.len())
    }
}
