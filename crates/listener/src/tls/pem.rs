use tokio_rustls::rustls::pki_types::pem::{self, PemObject};

/// Every section of the kind `T` in `text`, PEM; sections of other kinds are skipped.
///
/// # Errors
///
/// Says in words what is wrong with the PEM.
pub(super) fn sections<T: PemObject>(text: &[u8]) -> Result<Vec<T>, String> {
    let sections: Result<Vec<T>, pem::Error> = T::pem_slice_iter(text).collect();
    sections.map_err(|error| match error {
        pem::Error::MissingSectionEnd { .. } => "a PEM section has no END line".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a PEM section has a malformed BEGIN line".into(),
        pem::Error::Base64Decode(_) => "a PEM section is not base64".to_owned(),
        _ => "the PEM is malformed".to_owned(),
    })
}

/// Whether `text` has a PEM section of any kind.
pub(super) fn is_pem(text: &[u8]) -> bool {
    contains(text, b"-----BEGIN ")
}

/// Whether `needle` is somewhere in `text`.
pub(super) fn contains(text: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(text, needle).is_some()
}
