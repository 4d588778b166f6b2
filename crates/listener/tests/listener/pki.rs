//! An authority of our own, and what it issues.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use switchyard_listener::tls::rustls::crypto::ring;
use switchyard_listener::tls::rustls::sign::SingleCertAndKey;
use switchyard_listener::tls::rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion, version,
};
use switchyard_listener::tls::{
    CertificateChain, CipherSuites, Identity, ListenerTls, PrivateKey, RevocationLists, ServerTls,
    TlsMode, TlsVersion, TrustAnchors,
};

/// The name of the listener in its certificate.
pub(crate) const SERVER_NAME: &str = "router.example";

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub(crate) struct Issued {
    chain: String,
    key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn issue(&self, name: &str, serial: u64) -> Issued {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from(serial));
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Issued::new(&certificate, &key)
    }

    pub(crate) fn anchors(&self) -> TrustAnchors {
        TrustAnchors::from_pem(self.0.pem().as_bytes()).unwrap()
    }

    /// The list of those that it has revoked, as PEM or DER.
    pub(crate) fn revoked(&self, serials: &[u64], as_pem: bool) -> RevocationLists {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 1, 1),
            next_update: date_time_ymd(2125, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials
                .iter()
                .map(|&serial| RevokedCertParams {
                    serial_number: SerialNumber::from(serial),
                    revocation_time: date_time_ymd(2025, 1, 1),
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.0).unwrap();
        let mut lists = RevocationLists::default();
        match as_pem {
            true => lists.add(list.pem().unwrap().as_bytes()).unwrap(),
            false => lists.add(list.der()).unwrap(),
        }
        lists
    }

    /// TLS of a listener whose certificate this authority has issued.
    pub(crate) fn server(&self) -> ServerTls {
        let Issued { chain, key } = self.issue(SERVER_NAME, 1);
        ServerTls {
            identity: Identity::new(
                CertificateChain::from_pem(chain.as_bytes()).unwrap(),
                PrivateKey::from_pem(key.as_bytes(), None).unwrap(),
            )
            .unwrap(),
            clients: None,
            versions: TlsVersion::ALL.to_vec(),
            ciphers: CipherSuites::default(),
            session_tickets: false,
            keep_secrets: false,
        }
    }

    /// A client that trusts this authority and shows `identity`.
    pub(crate) fn client(&self, identity: Option<Issued>) -> Arc<ClientConfig> {
        self.client_of(identity, &[&version::TLS13, &version::TLS12])
    }

    pub(crate) fn client_of(
        &self,
        identity: Option<Issued>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match identity {
            Some(Issued { chain, key }) => {
                // rustls itself would show none of version 1.
                let chain = CertificateChain::from_pem(chain.as_bytes()).unwrap();
                let key = PrivateKey::from_pem(key.as_bytes(), None).unwrap();
                let identity = Identity::new(chain, key).unwrap();
                let certified = Arc::clone(identity.certified_key());
                client.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
            None => client.with_no_client_auth(),
        })
    }
}

impl Issued {
    /// One that nobody else vouches for; its holder may call itself an authority, as those that
    /// OpenSSL makes do.
    pub(crate) fn self_signed(is_ca: bool) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["self.example".to_owned()]).unwrap();
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        Self::new(&params.self_signed(&key).unwrap(), &key)
    }

    /// A self-signed authority of the last century.
    pub(crate) fn expired() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["old.example".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(1999, 1, 1);
        params.not_after = date_time_ymd(2000, 1, 1);
        Self::new(&params.self_signed(&key).unwrap(), &key)
    }

    /// One of X.509 version 1, as OpenSSL makes them.
    pub(crate) fn version_1() -> Self {
        Self {
            chain: include_str!("../../testdata/tls/gateway-v1.pem").to_owned(),
            key: include_str!("../../testdata/tls/gateway-pkcs8.key").to_owned(),
        }
    }

    /// The certificate as PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.chain
    }

    fn new(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self {
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

/// `server` as a listener takes it.
pub(crate) fn listener_tls(mode: TlsMode, server: ServerTls) -> Option<ListenerTls> {
    let server = server.build().unwrap();
    Some(ListenerTls { mode, server })
}
