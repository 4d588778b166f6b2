use tokio_rustls::rustls::crypto::ring::cipher_suite as suite;
use tokio_rustls::rustls::{SignatureAlgorithm, SupportedCipherSuite};

use super::TlsVersion;

/// Every cipher suite there is: its name in OpenSSL, and with IANA where that differs.
const SUITES: [(&str, &str, SupportedCipherSuite); 9] = [
    (
        "TLS_AES_256_GCM_SHA384",
        "",
        suite::TLS13_AES_256_GCM_SHA384,
    ),
    (
        "TLS_AES_128_GCM_SHA256",
        "",
        suite::TLS13_AES_128_GCM_SHA256,
    ),
    (
        "TLS_CHACHA20_POLY1305_SHA256",
        "",
        suite::TLS13_CHACHA20_POLY1305_SHA256,
    ),
    (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "ECDHE-RSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "ECDHE-RSA-CHACHA20-POLY1305",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// The cipher suites that may be negotiated, the preferred first.
#[derive(Debug, Clone, PartialEq)]
pub struct CipherSuites(Vec<SupportedCipherSuite>);

/// Why a list of cipher suites is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// No suite of that name is there.
    #[error("there is no cipher suite \"{0}\" here; name some of {all}", all = names())]
    Unknown(String),
    /// OpenSSL's language of sets: what it means changes with the version of OpenSSL.
    #[error(
        "\"{0}\" is an expression of OpenSSL for a set of suites, which is not supported; \
         name some of {all}",
        all = names()
    )]
    Expression(String),
    /// The list names none.
    #[error("no cipher suite is named; name some of {all}", all = names())]
    Empty,
}

// === impl CipherSuites ===

impl Default for CipherSuites {
    /// Every suite.
    fn default() -> Self {
        Self(SUITES.iter().map(|&(.., suite)| suite).collect())
    }
}

impl CipherSuites {
    /// The suites that `list` names as OpenSSL does, between colons, commas or spaces. Names of
    /// IANA are understood as well.
    ///
    /// # Errors
    ///
    /// Names the first that is not there: to leave it out in silence could leave out the only one
    /// that the operator wanted.
    pub fn parse(list: &str) -> Result<Self, CipherError> {
        let mut suites = Vec::new();
        for name in list.split([':', ',', ' ']).filter(|name| !name.is_empty()) {
            let suite = find(name)?;
            if !suites.contains(&suite) {
                suites.push(suite);
            }
        }
        if suites.is_empty() {
            return Err(CipherError::Empty);
        }
        Ok(Self(suites))
    }

    /// Whether any of them belongs to `version`, in which each works with one kind of key, or with
    /// every kind in TLS 1.3.
    #[must_use]
    pub fn serve(&self, version: TlsVersion) -> bool {
        let mut suites = self.0.iter();
        suites.any(|suite| suite.version() == version.supported())
    }

    /// Whether any of them can be negotiated in `versions` with a key for `algorithm`.
    pub(super) fn suit(&self, versions: &[TlsVersion], algorithm: SignatureAlgorithm) -> bool {
        self.0.iter().any(|suite| {
            let spoken = |version: &TlsVersion| suite.version() == version.supported();
            versions.iter().any(spoken) && suite.usable_for_signature_algorithm(algorithm)
        })
    }

    pub(super) fn into_suites(self) -> Vec<SupportedCipherSuite> {
        self.0
    }
}

fn find(name: &str) -> Result<SupportedCipherSuite, CipherError> {
    let is = |(openssl, iana, _): &&(&str, &str, _)| name == *openssl || name == *iana;
    let found = SUITES.iter().find(is);
    found
        .map(|&(.., suite)| suite)
        .ok_or_else(|| match is_expression(name) {
            true => CipherError::Expression(name.to_owned()),
            false => CipherError::Unknown(name.to_owned()),
        })
}

/// `!aNULL`, `+RSA`, `@STRENGTH`, `kEECDH+AES`, `HIGH`, `TLSv1.2`: anything but the name of one
/// suite, which has parts between hyphens or begins with `TLS_`.
fn is_expression(name: &str) -> bool {
    name.contains(['!', '+', '@', '='])
        || name.starts_with('-')
        || !(name.contains('-') || name.starts_with("TLS_"))
}

/// Every name, for error texts.
fn names() -> String {
    SUITES.map(|(openssl, ..)| openssl).join(", ")
}
