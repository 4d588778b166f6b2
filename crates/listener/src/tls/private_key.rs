use std::fmt;

use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::pem;
use crate::Secret;

const ENCRYPTED_BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const ENCRYPTED_END: &str = "-----END ENCRYPTED PRIVATE KEY-----";

/// A private key. `Debug` does not show it (contract L4).
pub struct PrivateKey(PrivateKeyDer<'static>);

/// Why there is no private key in a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Encrypted as OpenSSL did before PKCS#8, with a key derived by MD5 in one round.
    #[error(
        "the key is encrypted in OpenSSL's old form (\"Proc-Type: 4,ENCRYPTED\"), which is weak; \
         convert it: {CONVERT}"
    )]
    LegacyEncryption,
    /// Neither PEM nor a key.
    #[error("{0}")]
    Malformed(String),
    /// There is none.
    #[error(
        "no private key is in it: expected a PEM section PRIVATE KEY, ENCRYPTED PRIVATE KEY, \
         RSA PRIVATE KEY or EC PRIVATE KEY"
    )]
    Missing,
    /// It is encrypted.
    #[error("the key is encrypted and no password is given")]
    PasswordMissing,
    /// It is encrypted with something that is not supported, DES for example.
    #[error("the key is encrypted with an algorithm that is not supported; convert it: {CONVERT}")]
    UnsupportedEncryption,
    /// It does not open with the password.
    #[error("the password does not open the key")]
    WrongPassword,
}

/// How to bring an encrypted key into a form that can be read.
const CONVERT: &str = "openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD.pem -out NEW.pem";

// === impl PrivateKey ===

impl PrivateKey {
    /// The first private key in `text`, PEM: PKCS#8, encrypted with `password` or not, PKCS#1 or
    /// SEC 1. Deciphering takes as long as whoever encrypted it wanted, a second perhaps.
    ///
    /// # Errors
    ///
    /// See [`KeyError`]. Whether it is a key of a supported kind is found by
    /// [`Identity::new`](super::Identity::new).
    pub fn from_pem(text: &[u8], password: Option<&Secret>) -> Result<Self, KeyError> {
        if pem::contains(text, b"Proc-Type: 4,ENCRYPTED") {
            return Err(KeyError::LegacyEncryption);
        }
        if let Some(encrypted) = encrypted_section(text)? {
            let password = password.ok_or(KeyError::PasswordMissing)?;
            return decrypt(encrypted, password).map(Self);
        }
        let keys = pem::sections::<PrivateKeyDer<'_>>(text).map_err(KeyError::Malformed)?;
        keys.into_iter().next().map(Self).ok_or(KeyError::Missing)
    }

    pub(super) fn into_der(self) -> PrivateKeyDer<'static> {
        self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(***)")
    }
}

/// The PEM section of an encrypted PKCS#8 key, its lines included.
fn encrypted_section(text: &[u8]) -> Result<Option<&str>, KeyError> {
    let Some(start) = memchr::memmem::find(text, ENCRYPTED_BEGIN.as_bytes()) else {
        return Ok(None);
    };
    let malformed = || KeyError::Malformed("a PEM section has no END line".to_owned());
    let rest = text.get(start..).unwrap_or_default();
    let length = memchr::memmem::find(rest, ENCRYPTED_END.as_bytes()).ok_or_else(malformed)?;
    let section = rest.get(..length + ENCRYPTED_END.len()).unwrap_or_default();
    let not_text = |_| KeyError::Malformed("a PEM section is not base64".to_owned());
    std::str::from_utf8(section).map(Some).map_err(not_text)
}

fn decrypt(section: &str, password: &Secret) -> Result<PrivateKeyDer<'static>, KeyError> {
    let malformed = || KeyError::Malformed("the encrypted key is malformed".to_owned());
    let (_, document) = SecretDocument::from_pem(section).map_err(|_| malformed())?;
    // An algorithm that is not built in does not even parse.
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
        .map_err(|_| KeyError::UnsupportedEncryption)?;
    let key = encrypted.decrypt(password.expose()).map_err(explain)?;
    let key = PrivatePkcs8KeyDer::from(key.as_bytes().to_vec());
    Ok(PrivateKeyDer::Pkcs8(key))
}

/// A wrong password shows as wrong padding, or by chance as a document that is none.
fn explain(error: pkcs8::Error) -> KeyError {
    use pkcs8::pkcs5::Error;
    match error {
        pkcs8::Error::EncryptedPrivateKey(
            Error::NoPbes1CryptSupport
            | Error::UnsupportedAlgorithm { .. }
            | Error::AlgorithmParametersInvalid { .. },
        ) => KeyError::UnsupportedEncryption,
        _ => KeyError::WrongPassword,
    }
}
