use std::path::{Path, PathBuf};

use crate::config::load::{Loaded, parse};

/// The configuration that the cases vary; its TLS begins in line 6.
const TLS: &str = r#"[node]
name = "node1"
[[listen.component]]
port = 8888
password = "hunter1"
[listen.component.tls]
mode = "starttls_required"
certfile = "gateway.pem"
keyfile = "gateway-encrypted.key"
password = "hunter2"
verify_mode = "selfsigned_peer"
cacertfile = "gateway.pem"
disconnect_on_failure = true
versions = ["tlsv1.2", "tlsv1.3"]
ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384:TLS_AES_256_GCM_SHA384"
session_tickets = "stateless"
early_data = false
keep_secrets = false
"#;

/// Files named without a directory are where the configuration is.
fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../listener/testdata/tls/node1.toml")
}

fn load(text: &str) -> Loaded {
    parse(&file(), text).unwrap_or_else(|error| panic!("{error}"))
}

/// The errors of `text` without the directory.
fn errors(text: &str) -> String {
    let directory = format!("{}/", file().parent().unwrap().display());
    match parse(&file(), text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string().replace(&directory, ""),
    }
}

#[test]
fn contract_l_every_tls_option_of_mongooseim_is_understood() {
    let loaded = load(TLS);
    assert_eq!(loaded.warnings, [""; 0]);
    let tls = loaded.config.listeners[0].tls.as_ref().unwrap();
    let expected = "STARTTLS required tlsv1.2 tlsv1.3, client certificates verified or self-signed";
    assert_eq!(tls.to_string(), expected);
    let shown = format!("{loaded:?}");
    assert!(!shown.contains("hunter"), "{shown}");
    assert_eq!(load(TLS).config, loaded.config, "nothing has changed");
    let other = TLS.replace("gateway-encrypted.key", "gateway-scrypt.key");
    assert_ne!(
        load(&other).config,
        loaded.config,
        "the key is another file's"
    );
}

#[test]
fn contract_l_a_certificate_of_x509_version_1_is_served_with_a_warning() {
    let warnings = load(&TLS.replacen("gateway.pem", "gateway-v1.pem", 1)).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("issue version 3"), "{warnings:?}");
    // Nodes and clients of the API verify by rustls.
    let files = "certfile = \"gateway-v1.pem\"\nkeyfile = \"gateway-sec1.key\"";
    for section in ["cluster", "api"] {
        let text = format!(
            "[node]\nname = \"node1\"\n[{section}.tls]\n{files}\ncacertfile = \"gateway.pem\"\n"
        );
        let errors = errors(&text);
        let expected = format!(
            "\"{section}.tls.certfile\": gateway-v1.pem: the certificate is of X.509 version 1, \
             which is not supported: issue version 3"
        );
        assert!(errors.contains(&expected), "{errors}");
    }
}

#[test]
fn contract_l_a_misspelt_key_of_tls_is_named_whatever_else_is_missing() {
    let files = "certfile = \"gateway.pem\"\nkeyfile = \"gateway-sec1.key\"";
    let (before, _) = TLS.split_once("[[listen").unwrap();
    for (section, keys, expected) in [
        (
            "[[listen.component]]\nport = 8888\npassword = \"x\"\n[listen.component.tls]",
            format!("{files}\nverfy_mode = \"none\""),
            "unknown key \"listen.component.tls.verfy_mode\": did you mean \"verify_mode\"?",
        ),
        (
            "[[listen.component]]\nport = 8888\npassword = \"x\"\n[listen.component.tls]",
            "cerfile = \"x\"".to_owned(),
            "unknown key \"listen.component.tls.cerfile\": did you mean \"certfile\"?",
        ),
        (
            "[cluster.tls]",
            format!("{files}\ncacertfle = \"gateway.pem\""),
            "unknown key \"cluster.tls.cacertfle\": did you mean \"cacertfile\"?",
        ),
        (
            "[api.tls]",
            "cerfile = \"x\"".to_owned(),
            "unknown key \"api.tls.cerfile\": did you mean \"certfile\"?",
        ),
    ] {
        let errors = errors(&format!("{before}{section}\n{keys}\n"));
        assert!(errors.contains(expected), "{expected}: {errors}");
    }
}

#[test]
fn contract_l_an_option_of_no_use_is_said_once() {
    for (original, replacement, expected) in [
        ("early_data = false", "early_data = true", "can be replayed"),
        (
            "keep_secrets = false",
            "keep_secrets = true",
            "for debugging alone",
        ),
        (
            "keep_secrets = false",
            "module = \"just_tls\"",
            "is skipped",
        ),
        (
            "disconnect_on_failure = true",
            "disconnect_on_failure = false",
            "is let in all the same",
        ),
        (
            "\"selfsigned_peer\"",
            "\"none\"",
            "no effect with verify_mode = \"none\"",
        ),
        (
            "versions = [\"tlsv1.2\", \"tlsv1.3\"]\nciphers = \"ECDHE-ECDSA-AES256-GCM-SHA384:TLS_AES_256_GCM_SHA384\"",
            "ciphers = \"ECDHE-ECDSA-AES256-GCM-SHA384\"",
            "tlsv1.3 is not spoken",
        ),
    ] {
        assert!(TLS.contains(original), "{original}");
        let warnings = load(&TLS.replacen(original, replacement, 1)).warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(expected), "{warnings:?}");
    }
}

/// Each case replaces the first text by the second in [`TLS`], and expects an error that begins
/// with the third and contains the fourth.
#[test]
fn contract_l_a_wrong_value_is_one_mistake() {
    let without = TLS.replace("cacertfile = \"gateway.pem\"\n", "");
    for (text, right, wrong) in [
        (&*without, "\"selfsigned_peer\"", "\"self_signed\""),
        (&*without, "\"selfsigned_peer\"", "false"),
        (TLS, "[\"tlsv1.2\", \"tlsv1.3\"]", "[\"tlsv1.1\"]"),
    ] {
        let errors = errors(&text.replace(right, wrong));
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

#[test]
fn contract_l_an_empty_password_of_a_key_is_none() {
    let plain = TLS.replace("gateway-encrypted.key", "gateway-pkcs8.key");
    load(&plain.replace("hunter2", ""));
    let errors = errors(&TLS.replace("hunter2", ""));
    assert!(errors.contains("gateway-encrypted.key"), "{errors}");
}

#[test]
fn contract_l_mistakes_about_tls_are_named_with_file_and_remedy() {
    let cases = [
        (
            "certfile = \"gateway.pem\"\n",
            "",
            "6: missing key",
            "tls.certfile",
        ),
        (
            "\"gateway.pem\"",
            "\"absent.pem\"",
            "8: ",
            "absent.pem: the file cannot be read",
        ),
        ("\"gateway.pem\"", "\".\"", "8: ", "it is not a file"),
        (
            "\"gateway.pem\"",
            "\"gateway-pkcs8.key\"",
            "8: ",
            "gateway-pkcs8.key: no certificate is in it",
        ),
        (
            "\"gateway-encrypted.key\"",
            "\"other-pkcs1.key\"",
            "9: ",
            "other-pkcs1.key: the key does not belong to the first certificate",
        ),
        (
            "\"gateway-encrypted.key\"",
            "\"gateway-legacy.key\"",
            "9: ",
            "gateway-legacy.key: the key is encrypted in OpenSSL's old form",
        ),
        (
            "keyfile = \"gateway-encrypted.key\"\n",
            "",
            "8: ",
            "gateway.pem: no private key is in it",
        ),
        (
            "\"hunter2\"",
            "\"hunter3\"",
            "9: ",
            "the password does not open the key",
        ),
        (
            "password = \"hunter2\"\n",
            "",
            "9: ",
            "no password is given",
        ),
        (
            "cacertfile = \"gateway.pem\"\n",
            "",
            "11: ",
            "needs cacertfile",
        ),
        (
            "verify_mode = \"selfsigned_peer\"\ncacertfile = \"gateway.pem\"\n",
            "",
            "6: ",
            "verify_mode = \"none\"",
        ),
        (
            "keep_secrets = false",
            "crl_files = [\"gateway.pem\"]",
            "18: ",
            "gateway.pem: no revocation list is in it",
        ),
        ("\"selfsigned_peer\"", "\"self\"", "11: ", "no such value"),
        (
            "\"starttls_required\"",
            "\"start_tls\"",
            "7: ",
            "no such value",
        ),
        (
            "\"tlsv1.2\", ",
            "\"tlsv1.1\", ",
            "14: ",
            "\"tlsv1.1\" is not supported",
        ),
        (
            "[\"tlsv1.2\", \"tlsv1.3\"]",
            "[]",
            "14: ",
            "must not be empty",
        ),
        (
            "ECDHE-ECDSA-AES256-GCM-SHA384:TLS_AES_256_GCM_SHA384",
            "ECDHE-ECDSA-AES256-GCM-SHA384:DHE-RSA-AES256-SHA",
            "15: ",
            "there is no cipher suite \"DHE-RSA-AES256-SHA\" here; name some of TLS_AES_256_GCM",
        ),
        (
            "ECDHE-ECDSA-AES256-GCM-SHA384:TLS_AES_256_GCM_SHA384",
            "HIGH:!aNULL",
            "15: ",
            "\"HIGH\" is an expression of OpenSSL",
        ),
        (
            "ECDHE-ECDSA-AES256-GCM-SHA384:",
            "",
            "15: ",
            "no suite of tlsv1.2 is named, which versions ask for",
        ),
        (
            "ECDHE-ECDSA-AES256-GCM-SHA384:TLS_AES_256_GCM_SHA384\"",
            "ECDHE-RSA-AES256-GCM-SHA384\"\n#",
            "15: ",
            "no suite of tlsv1.3",
        ),
        (
            "early_data = false",
            "dhfile = \"dh.pem\"",
            "17: ",
            "elliptic curves",
        ),
        (
            "early_data = false",
            "verify_peer = true",
            "17: ",
            "is called verify_mode",
        ),
        (
            "early_data = false",
            "cert = \"x\"",
            "17: unknown key",
            "did you mean",
        ),
        ("\"stateless\"", "\"stateful\"", "16: ", "no such value"),
    ];
    for (original, replacement, start, expected) in cases {
        assert!(TLS.contains(original), "{original}");
        let errors = errors(&TLS.replacen(original, replacement, 1));
        let start = format!("node1.toml:{start}");
        assert!(errors.starts_with(&start), "{start}: {errors}");
        assert!(errors.contains(expected), "{expected}: {errors}");
        assert!(!errors.contains("hunter"), "{errors}");
    }
}

#[test]
fn contract_l_a_table_without_options_is_never_plain_text() {
    let (before, _) = TLS.split_once("[listen.component.tls]").unwrap();
    for tls in ["tls = {}", "tls = true", "[listen.component.tls]"] {
        assert!(errors(&format!("{before}{tls}\n")).contains("listen.component.tls"));
    }
}
