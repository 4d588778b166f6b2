use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use sha1::{Digest, Sha1};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Clocks of other machines may be behind.
const BACKDATED: Duration = Duration::from_secs(3600);
/// An authority outlives what it issues.
const AUTHORITY_DAYS: u32 = 3650;

/// Issues certificates. It is made of its key alone: what else is in its certificate follows.
pub(super) struct Authority(Issuer<'static, KeyPair>);

/// Whose certificate it is.
pub(super) enum Subject<'a> {
    /// A node, reached at these hosts by clients of its API.
    Node(&'a str, &'a [String]),
    /// A client of the API.
    Operator(&'a str),
}

impl Authority {
    /// The authority with this key.
    pub(super) fn new(key: KeyPair) -> Self {
        Self(Issuer::new(authority(&key), key))
    }

    /// The certificate of the authority with this key, PEM.
    pub(super) fn certificate(key: &KeyPair) -> Result<String, Error> {
        let mut params = authority(key);
        set_validity(&mut params, AUTHORITY_DAYS);
        Ok(params.self_signed(key)?.pem())
    }

    /// A certificate for the holder of `key`, PEM.
    pub(super) fn issue(
        &self,
        subject: &Subject<'_>,
        key: &KeyPair,
        days: u32,
    ) -> Result<String, Error> {
        let mut params = CertificateParams::default();
        let (Subject::Node(name, _) | Subject::Operator(name)) = *subject;
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = vec![SanType::DnsName(name.try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if let Subject::Node(_, hosts) = subject {
            // A node is a server and a client of the others.
            params
                .extended_key_usages
                .push(ExtendedKeyUsagePurpose::ServerAuth);
            for host in *hosts {
                params.subject_alt_names.push(match host.parse::<IpAddr>() {
                    Ok(address) => SanType::IpAddress(address),
                    Err(_) => SanType::DnsName(host.as_str().try_into()?),
                });
            }
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, days);
        Ok(params.signed_by(key, &self.0)?.pem())
    }
}

fn authority(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    // Two authorities never have the same name.
    let mut name = "Switchyard CA ".to_owned();
    for byte in Sha1::digest(key.der_bytes()).iter().take(6) {
        // Into a string that cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn set_validity(params: &mut CertificateParams, days: u32) {
    let now = SystemTime::now();
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + DAY * days).into();
}
