use pkcs8::der::asn1::{BitStringRef, GeneralizedTime, UtcTime};
use pkcs8::der::{self, AnyRef, Decode, Reader, SliceReader, Tag};
use tokio_rustls::rustls::crypto::ring;

use super::Validity;

/// The few parts of a certificate (RFC 5280 §4.1) that rustls does not give. It verifies
/// certificates, but says neither how long one is valid, nor whether one is self-signed, and reads
/// none of a version before 3.
pub(super) struct Certificate<'a> {
    pub(super) validity: Validity,
    issuer: &'a [u8],
    subject: &'a [u8],
    /// The key with its algorithm, as rustls has it: SubjectPublicKeyInfo in DER.
    pub(super) public_key: &'a [u8],
    key_algorithm: &'a [u8],
    key: &'a [u8],
    /// What is signed.
    signed: &'a [u8],
    signature_algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// `None` if it is malformed.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        Self::read(bytes).ok()
    }

    /// Whether the key in it has made its signature, and the issuer has its subject's name.
    pub(super) fn is_self_signed(&self) -> bool {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        self.subject == self.issuer
            && algorithms.all.iter().any(|algorithm| {
                *algorithm.signature_alg_id() == *self.signature_algorithm
                    && *algorithm.public_key_alg_id() == *self.key_algorithm
                    && algorithm
                        .verify_signature(self.key, self.signed, self.signature)
                        .is_ok()
            })
    }

    fn read(bytes: &'a [u8]) -> der::Result<Self> {
        let mut file = SliceReader::new(bytes)?;
        let mut certificate = SliceReader::new(sequence(&mut file)?)?;
        file.finish()?;
        let signed = certificate.tlv_bytes()?;
        let signature_algorithm = sequence(&mut certificate)?;
        let signature = bits(&mut certificate)?;
        certificate.finish()?;

        let mut tbs = SliceReader::new(signed)?;
        let mut tbs = SliceReader::new(sequence(&mut tbs)?)?;
        if Tag::peek(&tbs)?.is_context_specific() {
            // version
            tbs.tlv_bytes()?;
        }
        let _serial_number = tbs.tlv_bytes()?;
        let _signature_algorithm = tbs.tlv_bytes()?;
        let issuer = tbs.tlv_bytes()?;
        let mut validity = SliceReader::new(sequence(&mut tbs)?)?;
        let subject = tbs.tlv_bytes()?;
        let public_key = tbs.tlv_bytes()?;
        let mut key = SliceReader::new(public_key)?;
        let mut key = SliceReader::new(sequence(&mut key)?)?;
        Ok(Self {
            validity: Validity {
                not_before: time(&mut validity)?,
                not_after: time(&mut validity)?,
            },
            issuer,
            subject,
            public_key,
            key_algorithm: sequence(&mut key)?,
            key: bits(&mut key)?,
            signed,
            signature_algorithm,
            signature,
        })
    }
}

/// What the SEQUENCE that comes next holds.
fn sequence<'a>(reader: &mut SliceReader<'a>) -> der::Result<&'a [u8]> {
    let any = AnyRef::decode(reader)?;
    any.header().tag().assert_eq(Tag::Sequence)?;
    Ok(any.value())
}

/// The BIT STRING of whole bytes that comes next.
fn bits<'a>(reader: &mut SliceReader<'a>) -> der::Result<&'a [u8]> {
    let bits = BitStringRef::decode(reader)?;
    bits.as_bytes()
        .ok_or_else(|| Tag::BitString.value_error().into())
}

/// The time that comes next, in seconds since 1970.
fn time(reader: &mut SliceReader<'_>) -> der::Result<u64> {
    let since_1970 = match Tag::peek(reader)? {
        Tag::UtcTime => UtcTime::decode(reader)?.to_unix_duration(),
        _ => GeneralizedTime::decode(reader)?.to_unix_duration(),
    };
    Ok(since_1970.as_secs())
}
