//! Where the secrets of a listener come from, and that they stay secret.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use switchyard_listener::{Secret, SecretSet, Secrets};
use switchyard_registry::Domain;

use super::errors;
use crate::config::load::{Loaded, parse};

const START: &str = "[node]\nname = \"n\"\n[[listen.component]]\nport = 1\n";

/// The secrets of a listener that has `keys`, its warnings, and how they are described.
fn read(keys: &str) -> (Secrets, Vec<String>, String) {
    let Loaded { config, warnings } = super::load(&format!("{START}{keys}"));
    let secrets = &config.listeners[0].secrets;
    (secrets.secrets(), warnings, secrets.to_string())
}

fn one(secret: &str) -> SecretSet {
    SecretSet::new(Secret::new(secret))
}

fn two(newest: &str, previous: &str) -> SecretSet {
    SecretSet::rotating(Secret::new(newest), Secret::new(previous))
}

fn table<const N: usize>(entries: [(&str, SecretSet); N]) -> BTreeMap<Domain, SecretSet> {
    let prepared = entries.map(|(name, set)| (Domain::prepare(name).unwrap(), set));
    prepared.into()
}

/// A file that holds `text`, of which its path is given as it stands in a configuration.
fn file(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_source_gives_one_secret_or_two() {
    let directory = tempfile::tempdir().unwrap();
    let new = file(directory.path(), "new", "new\n");
    let old = file(directory.path(), "old", "old");
    let path = std::env::var("PATH").unwrap();
    for (keys, shared, described) in [
        ("password = \"new\"", one("new"), "password"),
        ("password = [\"new\"]", one("new"), "password"),
        (
            "password = [\"new\", \"old\"]",
            two("new", "old"),
            "password",
        ),
        (
            &format!("password_file = \"{new}\""),
            one("new"),
            "password_file",
        ),
        (
            &format!("password_file = [\"{new}\", \"{old}\"]"),
            two("new", "old"),
            "password_file",
        ),
        ("password_env = \"PATH\"", one(&path), "password_env"),
    ] {
        let (secrets, warnings, shown) = read(keys);
        assert_eq!(
            secrets,
            Secrets::new(Some(shared), BTreeMap::new()),
            "{keys}"
        );
        assert_eq!(warnings, [""; 0]);
        assert_eq!(shown, format!("secret from {described}"));
    }
}

#[test]
fn a_table_gives_names_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(directory.path(), "c", "charlie\n");
    let keys = format!(
        "[listen.component.passwords]\n\"A.Example\" = \"alpha\"\nb = [\"beta\", {{ env = \
         \"PATH\" }}]\n\"c.example\" = {{ file = \"{path}\" }}\n"
    );
    let environment = std::env::var("PATH").unwrap();
    let expected = table([
        ("a.example", one("alpha")),
        ("b", two("beta", &environment)),
        ("c.example", one("charlie")),
    ]);
    let (secrets, _, shown) = read(&keys);
    assert_eq!(secrets, Secrets::new(None, expected.clone()));
    assert_eq!(shown, "secrets of 3 names alone");
    let (secrets, _, shown) = read(&format!("password = \"common\"\n{keys}"));
    assert_eq!(secrets, Secrets::new(Some(one("common")), expected));
    assert_eq!(shown, "secret from password, 3 names with their own");
}

#[test]
fn a_file_is_looked_for_beside_the_configuration_and_should_be_the_operators_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(directory.path(), "secret", "hunter2");
    let config = directory.path().join("node1.toml");
    let text = format!("{START}password_file = \"secret\"");
    assert_eq!(parse(&config, &text).unwrap().warnings, [""; 0]);
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let warnings = parse(&config, &text).unwrap().warnings;
    assert!(warnings[0].contains("node1.toml:5: \"listen.component.password_file\": "));
    assert!(warnings[0].ends_with("chmod o-rw"), "{warnings:?}");
}

#[test]
fn contract_l4_mistakes_about_secrets_name_the_line_and_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let lines = file(directory.path(), "lines", "hunter2\nhunter3");
    let empty = file(directory.path(), "empty", "\n");
    let directory = directory.path().to_str().unwrap();
    for (keys, expected) in [
        // the sources
        (
            "password_env = \"hunter2\"",
            "5: \"listen.component.password_env\": the environment variable that it names is not set",
        ),
        (
            "password_file = \"hunter2\"",
            "5: \"listen.component.password_file\": the file cannot be read: No such file or directory (os error 2)",
        ),
        (
            &format!("password_file = \"{directory}\""),
            "5: \"listen.component.password_file\": it is not a file",
        ),
        (
            &format!("password_file = \"{empty}\""),
            "5: \"listen.component.password_file\": the file is empty",
        ),
        (
            &format!("password_file = \"{lines}\""),
            "5: \"listen.component.password_file\": the file holds more than one line: it must hold the secret alone",
        ),
        (
            "password = \"hunter2\"\npassword_env = \"PATH\"",
            "6: \"listen.component.password_env\": password is given as well: choose one of them",
        ),
        // how many
        (
            "password = []",
            "5: \"listen.component.password\": expected one, or two while one takes the other's place",
        ),
        (
            "password = [\"hunter1\", \"hunter2\", \"hunter3\"]",
            "5: \"listen.component.password\": expected one, or two while one takes the other's place",
        ),
        (
            "password = [\"hunter1\", \"\"]",
            "5: \"listen.component.password\": must not be empty",
        ),
        // the table
        (
            "passwords = \"hunter2\"",
            "5: \"listen.component.passwords\": expected a table, found a string",
        ),
        (
            "[listen.component.passwords]\n\"hunter2 or what\" = \"a.example\"",
            "6: \"listen.component.passwords\": the domain has an empty, malformed or overlong label, or a forbidden character",
        ),
        (
            "[listen.component.passwords]\n\"a.example\" = \"hunter2\"\n\"A.example.\" = \"hunter3\"",
            "7: \"listen.component.passwords\": this name is in the table twice",
        ),
        (
            "[listen.component.passwords]\n\"a.example\" = { path = \"hunter2\" }",
            "6: \"listen.component.passwords\": expected a secret, { file = \"PATH\" } or { env = \"NAME\" }, found a table",
        ),
        (
            "[listen.component.passwords]\n\"a.example\" = \"\"",
            "6: \"listen.component.passwords\": must not be empty",
        ),
        // the syntax
        ("password = hunter2", "5: "),
        ("password = \"hunter2", "5: "),
        ("password = 'hunter2' hunter3", "5: "),
        ("password = \"hunter2\\hunter3\"", "5: "),
        ("password = \"hunter2\"\npassword = \"hunter3\"", "6: "),
        ("password \"hunter2\"", "5: "),
        ("password = [\"hunter2\", \"hunter3\"", "5: "),
        ("password = \"\"\"hunter2\nhunter3", "6: "),
        ("password = \"hunter\u{7}2\"", "5: "),
    ] {
        let errors = errors(&format!("{START}{keys}"));
        assert!(
            errors.starts_with(&format!("node1.toml:{expected}")),
            "{keys}\n{errors}"
        );
        assert!(!errors.contains("hunter"), "{keys}\n{errors}");
    }
}
