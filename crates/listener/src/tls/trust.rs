use std::fmt;
use std::sync::Arc;

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use webpki::BorrowedCertRevocationList;

use super::pem;

/// The authorities whose certificates are trusted.
#[derive(Clone)]
pub struct TrustAnchors {
    roots: Arc<RootCertStore>,
    certificates: Arc<[CertificateDer<'static>]>,
}

/// Lists of certificates that their authorities have revoked.
#[derive(Clone, Default)]
pub struct RevocationLists(Vec<CertificateRevocationListDer<'static>>);

/// Why a file says nothing about trust.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The PEM, or what is in it, is malformed.
    #[error("{0}")]
    Malformed(String),
    /// There is no certificate.
    #[error("no certificate of an authority is in it: expected a PEM section CERTIFICATE")]
    NoCertificate,
    /// There is no revocation list.
    #[error("no revocation list is in it: expected a PEM section X509 CRL, or DER")]
    NoRevocationList,
}

// === impl TrustAnchors ===

impl TrustAnchors {
    /// Every certificate in `text`, PEM.
    ///
    /// # Errors
    ///
    /// When there is none, or one of them is none.
    pub fn from_pem(text: &[u8]) -> Result<Self, TrustError> {
        let certificates =
            pem::sections::<CertificateDer<'_>>(text).map_err(TrustError::Malformed)?;
        if certificates.is_empty() {
            return Err(TrustError::NoCertificate);
        }
        let mut roots = RootCertStore::empty();
        for (index, certificate) in certificates.iter().enumerate() {
            roots.add(certificate.clone()).map_err(|_| {
                TrustError::Malformed(format!(
                    "certificate {} of the file is malformed",
                    index + 1
                ))
            })?;
        }
        Ok(Self {
            roots: Arc::new(roots),
            certificates: certificates.into(),
        })
    }

    /// As rustls takes them.
    #[must_use]
    pub fn roots(&self) -> &Arc<RootCertStore> {
        &self.roots
    }

    /// Whether `certificate` is one of them, byte for byte.
    pub(super) fn contains(&self, certificate: &CertificateDer<'_>) -> bool {
        self.certificates.iter().any(|one| one == certificate)
    }
}

impl fmt::Debug for TrustAnchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustAnchors({})", self.certificates.len())
    }
}

// === impl RevocationLists ===

impl RevocationLists {
    /// Adds those in `bytes`: any number as PEM, or one as DER.
    ///
    /// # Errors
    ///
    /// When there is none, or one of them is none.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), TrustError> {
        let lists = if pem::is_pem(bytes) {
            pem::sections(bytes).map_err(TrustError::Malformed)?
        } else {
            vec![CertificateRevocationListDer::from(bytes.to_vec())]
        };
        if lists.is_empty() {
            return Err(TrustError::NoRevocationList);
        }
        let understood = |list: &CertificateRevocationListDer<'_>| {
            BorrowedCertRevocationList::from_der(list).is_ok()
        };
        if !lists.iter().all(understood) {
            return Err(TrustError::NoRevocationList);
        }
        self.0.extend(lists);
        Ok(())
    }

    /// As rustls takes them.
    #[must_use]
    pub fn lists(&self) -> &[CertificateRevocationListDer<'static>] {
        &self.0
    }
}

impl fmt::Debug for RevocationLists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RevocationLists({})", self.0.len())
    }
}
