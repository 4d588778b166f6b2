//! Any text as a configuration file: every error names a line, a key or the file, and no secret is shown
//! (contract L1, L4).

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use switchyard::fuzzing::check_configuration;

/// Every secret of a seed begins so, and nothing else that anybody says.
const MARK: &str = "hunter";

fuzz_target!(|text: &str| {
    let file = Path::new("switchyard-fuzz.toml");
    let verdict = check_configuration(file, text);
    assert_eq!(check_configuration(file, text), verdict);
    for (line, message) in &verdict.problems {
        // The parser itself may give up on all of a file.
        let is_for_all = message.contains('"') || message.contains("TOML");
        assert!(line.is_some() || is_for_all, "{message}");
        let lines = text.split('\n').count();
        assert!(
            line.is_none_or(|line| (1..=lines).contains(&line)),
            "{line:?} {message}"
        );
    }
    if !verdict.problems.is_empty() {
        assert!(
            verdict.shown.starts_with("switchyard-fuzz.toml:"),
            "{}",
            verdict.shown
        );
    }
    for secret in secrets(text) {
        assert!(
            !verdict.shown.contains(&secret),
            "{secret} in {}",
            verdict.shown
        );
    }
});

/// The secrets in `text` that are in no other place of it.
fn secrets(text: &str) -> Vec<String> {
    let mut secrets = Vec::new();
    if let Ok(table) = text.parse::<toml::Table>() {
        collect(&toml::Value::Table(table), false, &mut secrets);
    }
    // In a file that is no TOML.
    for line in text.lines() {
        if let Some((key, value)) = line.split_once('=')
            && key.trim().ends_with("password")
            && let Some(value) = value.trim().strip_prefix(['"', '\''])
        {
            let end = value.find(|char: char| !char.is_alphanumeric());
            secrets.push(value[..end.unwrap_or(value.len())].to_owned());
        }
    }
    secrets.retain(|secret| secret.starts_with(MARK) && text.matches(&**secret).count() == 1);
    secrets
}

fn collect(value: &toml::Value, is_secret: bool, secrets: &mut Vec<String>) {
    match value {
        toml::Value::String(text) if is_secret => secrets.push(text.clone()),
        toml::Value::Array(values) => {
            values
                .iter()
                .for_each(|value| collect(value, is_secret, secrets));
        }
        toml::Value::Table(table) => {
            for (key, value) in table {
                let is_secret = is_secret || matches!(&**key, "password" | "passwords");
                collect(value, is_secret, secrets);
            }
        }
        _ => {}
    }
}
