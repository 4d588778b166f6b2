use std::io;

use switchyard_listener::tls::explain as explain_generally;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// Why a TLS handshake failed, in words, with what to do; "it" is the other side.
pub(crate) fn explain(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
    match tls {
        Some(error) => explain_tls(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it closed the connection during the TLS handshake".to_owned()
        }
        None => error.to_string(),
    }
}

fn explain_tls(error: &Error) -> String {
    let words = match error {
        Error::InvalidCertificate(error) => return explain_certificate(error),
        Error::AlertReceived(AlertDescription::UnknownCA) => {
            "it does not trust the authority of the certificate shown to it: see its cacertfile"
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "it does not speak TLS: is TLS configured there?"
        }
        other => return explain_generally(other),
    };
    words.to_owned()
}

fn explain_certificate(error: &CertificateError) -> String {
    let words = match error {
        CertificateError::UnknownIssuer => {
            "its certificate was issued by an authority that is not trusted here: see cacertfile \
             (of a client: --cacert)"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for other hosts than the one that was asked for: see --api, and \
             the names in the certificate (switchyard cluster certs --host)"
        }
        CertificateError::ApplicationVerificationFailure => {
            "its certificate is another than the one in the configuration file"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not for this use: the extended key usage of a node must have both \
             serverAuth and clientAuth"
        }
        other => return explain_generally(&Error::InvalidCertificate(other.clone())),
    };
    words.to_owned()
}
