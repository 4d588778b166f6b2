use super::*;
use crate::Secret;

const CERTIFICATE: &[u8] = include_bytes!("../../testdata/tls/gateway.pem");
const VERSION_1: &[u8] = include_bytes!("../../testdata/tls/gateway-v1.pem");
const SEC1: &[u8] = include_bytes!("../../testdata/tls/gateway-sec1.key");
const PKCS8: &[u8] = include_bytes!("../../testdata/tls/gateway-pkcs8.key");
const ENCRYPTED: &[u8] = include_bytes!("../../testdata/tls/gateway-encrypted.key");
const SCRYPT: &[u8] = include_bytes!("../../testdata/tls/gateway-scrypt.key");
const DES3: &[u8] = include_bytes!("../../testdata/tls/gateway-des3.key");
const LEGACY: &[u8] = include_bytes!("../../testdata/tls/gateway-legacy.key");
const OTHER: &[u8] = include_bytes!("../../testdata/tls/other-pkcs1.key");

fn identity(key: &[u8], password: Option<&str>) -> Result<Identity, String> {
    let chain = CertificateChain::from_pem(CERTIFICATE).unwrap();
    let password = password.map(Secret::new);
    let key = PrivateKey::from_pem(key, password.as_ref()).map_err(|error| error.to_string())?;
    Identity::new(chain, key).map_err(|error| error.to_string())
}

#[test]
fn contract_l_a_key_is_read_in_every_usual_form() {
    for (key, password) in [
        (SEC1, None),
        (PKCS8, None),
        (PKCS8, Some("of no use")),
        (ENCRYPTED, Some("hunter2")),
        (SCRYPT, Some("hunter2")),
    ] {
        identity(key, password).unwrap();
    }
    // Certificate and key in one file, with text between them, as MongooseIM's manual has it.
    let both = [
        b"subject=CN = gateway.example\n",
        CERTIFICATE,
        b"\n",
        ENCRYPTED,
    ]
    .concat();
    identity(&both, Some("hunter2")).unwrap();
}

#[test]
fn contract_l_a_key_that_cannot_be_used_is_refused_with_the_remedy() {
    for (key, password, expected) in [
        (ENCRYPTED, None, "no password is given"),
        (
            ENCRYPTED,
            Some("hunter3"),
            "the password does not open the key",
        ),
        (
            SCRYPT,
            Some("hunter3"),
            "the password does not open the key",
        ),
        (
            LEGACY,
            Some("hunter2"),
            "openssl pkcs8 -topk8 -v2 aes-256-cbc",
        ),
        (
            DES3,
            Some("hunter2"),
            "openssl pkcs8 -topk8 -v2 aes-256-cbc",
        ),
        (OTHER, None, "does not belong to the first certificate"),
        (CERTIFICATE, None, "no private key is in it"),
        (b"", None, "no private key is in it"),
        (
            b"-----BEGIN PRIVATE KEY-----\nMIGH",
            None,
            "has no END line",
        ),
        (
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGH",
            None,
            "has no END line",
        ),
    ] {
        let error = identity(key, password).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(!error.contains("hunter"), "{error}");
    }
}

#[test]
fn a_certificate_of_x509_version_1_makes_an_identity_and_is_spoken_of() {
    let chain = || CertificateChain::from_pem(VERSION_1).unwrap();
    let key = |text| PrivateKey::from_pem(text, None).unwrap();
    Identity::new(chain(), key(PKCS8)).unwrap();
    let mismatch = Identity::new(chain(), key(OTHER)).unwrap_err();
    assert_eq!(mismatch, IdentityError::Mismatch);
    let error = chain().check().unwrap_err().to_string();
    assert!(error.contains("issue version 3 (openssl x509"), "{error}");
    let usual = CertificateChain::from_pem(CERTIFICATE).unwrap();
    assert_eq!(usual.check(), Ok(()));
}

#[test]
fn what_is_wrong_with_a_clients_certificate_is_said_in_words() {
    use rustls::{AlertDescription, CertificateError, Error, OtherError};
    use std::sync::Arc;
    let by_webpki = |error: webpki::Error| {
        let other = CertificateError::Other(OtherError(Arc::new(error)));
        Error::InvalidCertificate(other)
    };
    for (error, expected) in [
        (by_webpki(webpki::Error::CaUsedAsEndEntity), "(CA:TRUE)"),
        (
            by_webpki(webpki::Error::UnsupportedCertVersion),
            "issue version 3",
        ),
        (
            by_webpki(webpki::Error::ExtensionValueInvalid),
            "openssl x509 -text",
        ),
        (CertificateError::UnknownIssuer.into(), "see cacertfile"),
        (CertificateError::BadEncoding.into(), "is malformed"),
        (
            CertificateError::InvalidOcspResponse.into(),
            "cannot be verified",
        ),
        (
            Error::AlertReceived(AlertDescription::UnknownCA),
            "does not trust",
        ),
    ] {
        let words = explain(&error);
        assert!(words.starts_with("it"), "{words}");
        assert!(words.contains(expected), "{words}");
        let is_debug_text = |word: &&str| format!("{error:?}").contains(*word) && word.len() > 5;
        assert_eq!(words.split(' ').find(is_debug_text), None, "{words}");
    }
}

#[test]
fn contract_l4_debug_output_hides_keys() {
    let key = PrivateKey::from_pem(PKCS8, None).unwrap();
    assert_eq!(format!("{key:?}"), "PrivateKey(***)");
    let identity = identity(PKCS8, None).unwrap();
    assert_eq!(format!("{identity:?}"), "Identity(1 certificates, ***)");
}

#[test]
fn contract_l_cipher_suites_are_named_as_openssl_does_and_none_is_ignored() {
    let suites = CipherSuites::parse("ECDHE-RSA-AES256-GCM-SHA384:TLS_AES_256_GCM_SHA384");
    let suites = suites.unwrap();
    assert!(suites.serve(TlsVersion::V1_2) && suites.serve(TlsVersion::V1_3));
    assert_eq!(
        CipherSuites::parse("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_AES_256_GCM_SHA384"),
        Ok(suites)
    );
    for name in [
        "DHE-RSA-AES256-GCM-SHA384",
        "AES256-SHA",
        "TLS_AES_128_CCM_SHA256",
    ] {
        let list = format!("ECDHE-RSA-AES256-GCM-SHA384:{name}");
        let error = CipherSuites::parse(&list).unwrap_err();
        assert_eq!(error, CipherError::Unknown(name.to_owned()));
        assert!(
            error.to_string().contains("ECDHE-ECDSA-CHACHA20-POLY1305"),
            "{error}"
        );
    }
    for expression in [
        "HIGH",
        "!aNULL",
        "kEECDH+AES",
        "@STRENGTH",
        "TLSv1.2",
        "-MD5",
    ] {
        let list = format!("{expression}:ECDHE-RSA-AES256-GCM-SHA384");
        let error = CipherSuites::parse(&list).unwrap_err();
        assert_eq!(error, CipherError::Expression(expression.to_owned()));
    }
    assert_eq!(CipherSuites::parse(": "), Err(CipherError::Empty));
}

#[test]
fn contract_l_suites_of_which_none_fits_the_key_are_refused() {
    let tls = |ciphers: &str, versions: &[TlsVersion]| {
        let tls = ServerTls {
            identity: identity(PKCS8, None).unwrap(),
            clients: None,
            versions: versions.to_vec(),
            ciphers: CipherSuites::parse(ciphers).unwrap(),
            session_tickets: true,
            keep_secrets: false,
        };
        tls.build()
    };
    let rsa = "ECDHE-RSA-AES256-GCM-SHA384";
    let error = tls(rsa, &TlsVersion::ALL).unwrap_err();
    assert_eq!(error, ServerTlsError::NoUsableCipher("ECDSA".to_owned()));
    tls(
        &format!("{rsa}:TLS_AES_128_GCM_SHA256"),
        &[TlsVersion::V1_3],
    )
    .unwrap();
}

#[test]
fn a_certificate_that_expires_is_spoken_of_in_time() {
    use rustls::pki_types::UnixTime;
    use std::time::Duration;
    let validity = CertificateChain::from_pem(CERTIFICATE)
        .unwrap()
        .validity()
        .unwrap();
    let day = Duration::from_secs(24 * 3600);
    let concern = |at| validity.concern(UnixTime::since_unix_epoch(at), 14 * day);
    let from = UnixTime::now().as_secs();
    assert_eq!(concern(Duration::from_secs(from)), None);
    assert!(concern(Duration::ZERO).unwrap().contains("not valid yet"));
    assert!(concern(60_000 * day).unwrap().contains("has expired"));
    // From the middle of 2027, when it is valid, to 2134.
    let end = (21_000..60_000)
        .find(|&days| concern(days * day).is_some())
        .unwrap();
    assert!(concern(end * day).unwrap().contains("expires in 13 days"));
}
