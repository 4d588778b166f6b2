use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

/// Why a TLS handshake fails, in words, with what to do; "it" is the other side.
#[must_use]
pub fn explain(error: &Error) -> String {
    match error {
        // What verifiers of our own say is in words.
        Error::InvalidCertificate(CertificateError::Other(other))
            if !other.0.is::<webpki::Error>() =>
        {
            other.0.to_string()
        }
        Error::InvalidCertificate(error) => {
            format!("its certificate {}", fault_by_rustls(error))
        }
        Error::InvalidCertRevocationList(_) => {
            "the list in crl_files that its certificate needs cannot be verified".to_owned()
        }
        Error::NoCertificatesPresented => "it shows no certificate".to_owned(),
        Error::PeerIncompatible(_) => {
            "it speaks no version or cipher of TLS that is spoken here".to_owned()
        }
        Error::AlertReceived(alert) => explain_alert(*alert),
        other => other.to_string(),
    }
}

/// What is wrong with a certificate, to be said behind "the certificate".
pub(super) const fn fault_of_certificate(error: &webpki::Error) -> &'static str {
    match error {
        webpki::Error::UnsupportedCertVersion => {
            "is of X.509 version 1, which is not supported: issue version 3 \
             (openssl x509 -req ... -extfile FILE)"
        }
        webpki::Error::CaUsedAsEndEntity => {
            "is that of an authority (CA:TRUE): let the authority issue one for each component or \
             node (basicConstraints = CA:FALSE)"
        }
        webpki::Error::EndEntityUsedAsCa => {
            "was issued by one that is no authority's (basicConstraints = CA:TRUE is missing there)"
        }
        webpki::Error::UnsupportedCriticalExtension => {
            "has a critical extension that is not supported here: issue one without it"
        }
        webpki::Error::PathLenConstraintViolated | webpki::Error::NameConstraintViolation => {
            "is one that its authority may not issue: see the constraints of the authority's own"
        }
        _ => "is not as RFC 5280 has it (openssl x509 -text shows it)",
    }
}

fn fault_by_rustls(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::UnknownIssuer => {
            "was issued by an authority that is not trusted here: see cacertfile"
        }
        CertificateError::BadSignature => {
            "is not signed by the authority that it names, or its key is another one: see \
             cacertfile"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "has expired: renew it, or set the clocks"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet: are the clocks right?"
        }
        CertificateError::Revoked => "is revoked",
        CertificateError::UnknownRevocationStatus => {
            "is in the scope of no list in crl_files: its authority's is missing there"
        }
        CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => {
            "needs a list in crl_files that has expired: renew the list"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not for this use: its extended key usage, if it has one, must name clientAuth for \
             a client, and serverAuth for a server"
        }
        CertificateError::UnhandledCriticalExtension => {
            fault_of_certificate(&webpki::Error::UnsupportedCriticalExtension)
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "has a key or a signature of a kind that is not supported: RSA from 2048 to 8192 bits, \
             ECDSA on P-256 or P-384, and Ed25519, with SHA-256 or better, are"
        }
        CertificateError::BadEncoding => "is malformed",
        CertificateError::Other(other) => match other.0.downcast_ref() {
            Some(error) => fault_of_certificate(error),
            None => "is refused",
        },
        _ => "cannot be verified (openssl x509 -text shows it)",
    }
}

fn explain_alert(alert: AlertDescription) -> String {
    let words = match alert {
        AlertDescription::UnknownCA => {
            "it does not trust the authority of the certificate shown to it"
        }
        AlertDescription::CertificateRequired => "it wants a certificate, and none was shown",
        AlertDescription::CertificateExpired => "it finds the certificate shown to it expired",
        AlertDescription::CertificateRevoked => "it finds the certificate shown to it revoked",
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied => {
            "it refuses the certificate shown to it, whose name is another than it expects perhaps"
        }
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => {
            "it speaks no version or cipher of TLS that is spoken here"
        }
        other => return format!("it ended the TLS handshake: {other:?}"),
    };
    words.to_owned()
}
