use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use switchyard_listener::Secret;
use switchyard_listener::tls::rustls::pki_types::UnixTime;
use switchyard_listener::tls::{
    CertificateChain, CertificateError, CipherSuites, ClientVerification, Identity, ListenerTls,
    PrivateKey, RevocationLists, ServerTls, TlsMode, TlsVersion, TrustAnchors,
};
use toml::de::DeValue;

use super::file_of_key::FileOfKey;
use super::section::Section;
use super::value::{Parsed, Value, boolean, one_of, string};

/// `[listen.component.tls]` (contract L), with the files that it names.
#[derive(Clone)]
pub(crate) struct ComponentTls {
    /// What the listener needs.
    pub(crate) tls: ListenerTls,
    versions: Vec<TlsVersion>,
    verify: VerifyMode,
    /// A digest of all of it, contents of files included.
    inputs: u64,
}

/// `verify_mode`: what is wanted of a client's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum VerifyMode {
    /// One that an authority of `cacertfile` has issued.
    #[default]
    Peer,
    /// That, or one that is self-signed.
    SelfsignedPeer,
    /// None.
    None,
}

/// Whether an own certificate of X.509 version 1 will do, which OpenSSL takes and rustls does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AcceptVersion1 {
    /// The operator hears that not everybody takes it.
    WithWarning,
    /// Whoever verifies it does so by rustls.
    Never,
}

/// An operator hears of a certificate that expires within this time.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// `session_tickets`, of which there is one kind.
const STATELESS: &str = "stateless";

// === impl ComponentTls ===

impl ComponentTls {
    /// Reads the section and the files that it names; `None` if anything is wrong with them.
    pub(crate) fn read(mut section: Section<'_>) -> Option<Self> {
        let read = Self::read_keys(&mut section);
        section.finish();
        read
    }

    fn read_keys(section: &mut Section<'_>) -> Option<Self> {
        let mut inputs = DefaultHasher::new();
        let mode = section.optional("mode", one_of(&TlsMode::ALL, TlsMode::name));
        let mode = mode.unwrap_or_default();
        let identity = read_identity(section, AcceptVersion1::WithWarning, &mut inputs);
        let verify = section.optional("verify_mode", one_of(&VerifyMode::ALL, VerifyMode::name));
        let verify = match section.has("verify_mode") {
            // After a mistake nothing more is said about what the mode would need.
            true => verify.unwrap_or(VerifyMode::None),
            false => VerifyMode::default(),
        };
        let clients = read_clients(section, verify, &mut inputs);
        let ciphers = section.optional("ciphers", ciphers);
        let versions = read_versions(section, ciphers.as_ref());
        let tickets = section.optional("session_tickets", one_of(&[()], |()| STATELESS));
        let keep_secrets = section.optional("keep_secrets", boolean).unwrap_or(false);
        say_what_is_different(section, keep_secrets);
        let server = ServerTls {
            identity: identity?,
            clients: clients?,
            versions: versions.clone()?,
            ciphers: ciphers.unwrap_or_default(),
            session_tickets: tickets.is_some(),
            keep_secrets,
        };
        (mode.name(), verify.name(), tickets.is_some(), keep_secrets).hash(&mut inputs);
        format!("{:?}", (&server.versions, &server.ciphers)).hash(&mut inputs);
        let server = server.build().map_err(|error| error.to_string());
        let built = server.map_err(|error| section.error_at_key("certfile", &error));
        Some(Self {
            tls: ListenerTls {
                mode,
                server: built.ok()?,
            },
            versions: versions?,
            verify,
            inputs: inputs.finish(),
        })
    }
}

/// The same options, and files with the same contents.
impl PartialEq for ComponentTls {
    fn eq(&self, other: &Self) -> bool {
        self.inputs == other.inputs
    }
}

impl Eq for ComponentTls {}

impl fmt::Debug for ComponentTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ComponentTls({self})")
    }
}

/// As `check-config` shows it.
impl fmt::Display for ComponentTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.tls.mode {
            TlsMode::Tls => "TLS",
            TlsMode::StartTls => "STARTTLS or plain text",
            TlsMode::StartTlsRequired => "STARTTLS required",
        })?;
        for version in &self.versions {
            write!(f, " {}", version.name())?;
        }
        f.write_str(match self.verify {
            VerifyMode::Peer => ", client certificates verified",
            VerifyMode::SelfsignedPeer => ", client certificates verified or self-signed",
            VerifyMode::None => "",
        })
    }
}

// === impl VerifyMode ===

impl VerifyMode {
    const ALL: [Self; 3] = [Self::Peer, Self::SelfsignedPeer, Self::None];

    const fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::SelfsignedPeer => "selfsigned_peer",
            Self::None => "none",
        }
    }
}

// === parts of the section ===

/// `certfile`, `keyfile` and `password`. Without `keyfile` the key is in `certfile`.
pub(super) fn read_identity(
    section: &mut Section<'_>,
    accept_version_1: AcceptVersion1,
    inputs: &mut DefaultHasher,
) -> Option<Identity> {
    section.require("certfile");
    let certificates = FileOfKey::read(section, "certfile", inputs);
    let has_key_file = section.value("keyfile").is_some();
    let key = FileOfKey::read(section, "keyfile", inputs);
    // An empty one is none: MongooseIM's own sample files have that.
    let password = section.optional("password", string);
    let password = password.filter(|password| !password.is_empty());
    let password = password.map(Secret::new);
    if let Some(password) = &password {
        password.expose().hash(inputs);
    }
    let certificates = certificates?;
    let key = if has_key_file { &key? } else { &certificates };
    let chain = CertificateChain::from_pem(&certificates.contents);
    let chain = certificates
        .accept(section, chain)
        .filter(|chain| is_accepted(section, &certificates, chain, accept_version_1));
    let validity = chain.as_ref().and_then(CertificateChain::validity);
    if let Some(concern) = validity.and_then(|validity| validity.concern(UnixTime::now(), SOON)) {
        certificates.warn(section, &concern);
    }
    let private = key.accept(
        section,
        PrivateKey::from_pem(&key.contents, password.as_ref()),
    );
    key.accept(section, Identity::new(chain?, private?))
}

/// Warns of, or refuses, a certificate that rustls itself would not verify.
fn is_accepted(
    section: &Section<'_>,
    file: &FileOfKey,
    chain: &CertificateChain,
    accept_version_1: AcceptVersion1,
) -> bool {
    match (chain.check(), accept_version_1) {
        (Err(CertificateError::Version), AcceptVersion1::WithWarning) => {
            let message = "the certificate is of X.509 version 1: only components with OpenSSL \
                           take it; issue version 3 (openssl x509 -req ... -extfile FILE)";
            file.warn(section, message);
            true
        }
        (checked, _) => file.accept(section, checked).is_some(),
    }
}

/// What `verify_mode` needs. `Some(None)`: clients are not asked for a certificate.
fn read_clients(
    section: &mut Section<'_>,
    verify: VerifyMode,
    inputs: &mut DefaultHasher,
) -> Option<Option<ClientVerification>> {
    let disconnect_on_failure = section.optional("disconnect_on_failure", boolean);
    let disconnect_on_failure = disconnect_on_failure.unwrap_or(true);
    if verify == VerifyMode::None {
        let no_effect = "it has no effect with verify_mode = \"none\"";
        section.skip(&["cacertfile", "crl_files"], no_effect);
        return Some(None);
    }
    disconnect_on_failure.hash(inputs);
    if section.value("cacertfile").is_none() {
        let message = format!(
            "\"{}\" (the default is \"peer\") needs cacertfile, the authorities that issue the \
             certificates of components; if components have none, say verify_mode = \"none\"",
            verify.name()
        );
        section.error_at_key("verify_mode", &message);
    }
    let authorities = read_authorities(section, inputs);
    if !disconnect_on_failure {
        let message = "a component with a wrong certificate, or none, is let in all the same: its \
                       secret alone protects the port";
        section.warn_at_key("disconnect_on_failure", message);
    }
    let (anchors, revoked) = authorities?;
    Some(Some(ClientVerification {
        anchors,
        revoked,
        optional: false,
        accept_self_signed: verify == VerifyMode::SelfsignedPeer,
        disconnect_on_failure,
    }))
}

/// `cacertfile` and `crl_files`.
pub(super) fn read_authorities(
    section: &mut Section<'_>,
    inputs: &mut DefaultHasher,
) -> Option<(TrustAnchors, RevocationLists)> {
    let file = FileOfKey::read(section, "cacertfile", inputs);
    let anchors =
        file.and_then(|file| file.accept(section, TrustAnchors::from_pem(&file.contents)));
    let mut revoked = RevocationLists::default();
    for file in FileOfKey::read_all(section, "crl_files", inputs) {
        file.accept(section, revoked.add(&file.contents));
    }
    Some((anchors?, revoked))
}

/// `versions`, and whether `ciphers` serve them.
fn read_versions(
    section: &mut Section<'_>,
    ciphers: Option<&CipherSuites>,
) -> Option<Vec<TlsVersion>> {
    let is_served = |version: &TlsVersion| ciphers.is_none_or(|ciphers| ciphers.serve(*version));
    if section.value("versions").is_none() {
        let (served, left): (Vec<_>, _) = TlsVersion::ALL.iter().copied().partition(is_served);
        for version in left {
            let message = format!(
                "no suite of {0} is named: {0} is not spoken",
                version.name()
            );
            section.warn_at_key("ciphers", &message);
        }
        return Some(served);
    }
    let versions = section.set("versions", version)?;
    let given = section.value("versions").map(Value::get);
    if versions.is_empty() && given.is_some_and(|given| !is_empty_array(given)) {
        // None of them is right, which has been reported.
        return None;
    }
    if versions.is_empty() {
        section.error_at_key("versions", "must not be empty");
        return None;
    }
    if let Some(version) = versions.iter().find(|version| !is_served(version)) {
        let message = format!(
            "no suite of {} is named, which versions ask for",
            version.name()
        );
        section.error_at_key("ciphers", &message);
        return None;
    }
    Some(versions)
}

/// Options that mean something else here than with MongooseIM, or nothing.
fn say_what_is_different(section: &mut Section<'_>, keep_secrets: bool) {
    if section.optional("early_data", boolean) == Some(true) {
        let message = "it has no effect: data that comes before the negotiation is complete can be \
                       replayed by anybody, and is not accepted here";
        section.warn_at_key("early_data", message);
    }
    if keep_secrets {
        let message = "the secrets of every session are written to the file that the environment \
                       variable SSLKEYLOGFILE names, if it names one: for debugging alone";
        section.warn_at_key("keep_secrets", message);
    }
    section.skip(&["module"], "there is one implementation of TLS here");
    let refused = [
        (
            "dhfile",
            "finite-field Diffie-Hellman is not supported: keys are always agreed on elliptic \
             curves. Remove the key",
        ),
        (
            "protocol_options",
            "is of an earlier version of the syntax: name the versions of TLS in versions",
        ),
        (
            "verify_peer",
            "is called verify_mode in this version of the syntax",
        ),
    ];
    for (key, message) in refused {
        if section.value(key).is_some() {
            section.error_at_key(key, message);
        }
    }
}

fn is_empty_array(value: &DeValue<'_>) -> bool {
    matches!(value, DeValue::Array(elements) if elements.is_empty())
}

fn version(value: Value<'_>) -> Parsed<TlsVersion> {
    match string(value)? {
        old @ ("sslv2" | "sslv3" | "tlsv1" | "tlsv1.0" | "tlsv1.1") => {
            value.complain(format_args!(
                "\"{old}\" is not supported, being insecure (RFC 8996); there are \"tlsv1.2\" and \
             \"tlsv1.3\""
            ))
        }
        _ => one_of(&TlsVersion::ALL, TlsVersion::name)(value),
    }
}

fn ciphers(value: Value<'_>) -> Parsed<CipherSuites> {
    CipherSuites::parse(string(value)?).or_else(|error| value.complain(error))
}
