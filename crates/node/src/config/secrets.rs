use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use switchyard_listener::{Secret, SecretSet, Secrets};
use switchyard_registry::Domain;
use toml::de::DeValue;

use super::secret_file;
use super::section::Section;
use super::value::{Parsed, Value, string, text};

/// The secrets of one listener, and where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListenerSecrets {
    /// For the names without an entry of their own; `None`: those cannot connect.
    shared: Option<(SecretSource, SecretSet)>,
    /// `[listen.component.passwords]`
    by_name: BTreeMap<Domain, SecretSet>,
}

/// Where the shared secret of a listener comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretSource {
    Environment,
    File,
    Literal,
}

/// The keys of which a listener has one at most.
const SOURCES: [SecretSource; 3] = [
    SecretSource::Literal,
    SecretSource::File,
    SecretSource::Environment,
];

/// Names and their own secrets.
const TABLE: &str = "passwords";

// === impl ListenerSecrets ===

impl ListenerSecrets {
    /// Reads the keys of `section` that are about secrets; `None` if they are wrong.
    pub(crate) fn read(section: &mut Section<'_>) -> Option<Self> {
        let given = SOURCES.map(|source| section.value(source.key()).map(|value| (source, value)));
        let has_table = section.value(TABLE).is_some();
        let mut given = given.into_iter().flatten();
        let Some((source, value)) = given.next() else {
            if !has_table {
                let message = "missing: give password, password_file, password_env, or a table \
                               [listen.component.passwords]";
                section.error_at_key("password", message);
                return None;
            }
            return Some(Self {
                shared: None,
                by_name: read_table(section)?,
            });
        };
        if let Some((another, _)) = given.next() {
            let message = format!("{} is given as well: choose one of them", source.key());
            section.error_at_key(another.key(), &message);
        }
        let shared = section.accept(source.key(), source.read(section, value));
        let by_name = match has_table {
            true => read_table(section)?,
            false => BTreeMap::new(),
        };
        Some(Self {
            shared: Some((source, shared?)),
            by_name,
        })
    }

    /// What the listener crate needs.
    pub(crate) fn secrets(&self) -> Secrets {
        let shared = self.shared.as_ref().map(|(_, set)| set.clone());
        Secrets::new(shared, self.by_name.clone())
    }

    /// The keys whose values, or what they refer to, differ from `old`.
    pub(crate) fn changes_since(&self, old: &Self) -> Vec<&'static str> {
        let mut changes = Vec::new();
        if self.shared != old.shared {
            let sources = [&old.shared, &self.shared].map(|shared| shared.as_ref());
            changes.extend(
                sources
                    .into_iter()
                    .flatten()
                    .map(|(source, _)| source.key()),
            );
            changes.dedup();
        }
        if self.by_name != old.by_name {
            changes.push(TABLE);
        }
        changes
    }
}

/// Where the secrets come from, never what they are.
impl fmt::Display for ListenerSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.by_name.len();
        let plural = if names == 1 { "" } else { "s" };
        match &self.shared {
            None => write!(f, "secrets of {names} name{plural} alone"),
            Some((source, _)) => {
                write!(f, "secret from {}", source.key())?;
                match names {
                    0 => Ok(()),
                    _ => write!(f, ", {names} name{plural} with their own"),
                }
            }
        }
    }
}

// === impl SecretSource ===

impl SecretSource {
    const fn key(self) -> &'static str {
        match self {
            Self::Environment => "password_env",
            Self::File => "password_file",
            Self::Literal => "password",
        }
    }

    fn read(self, section: &Section<'_>, value: Value<'_>) -> Parsed<SecretSet> {
        one_or_two(value, |value| self.read_one(self.key(), section, value))
    }

    /// Reads one secret; `key` is where a warning is noted.
    fn read_one(
        self,
        key: &'static str,
        section: &Section<'_>,
        value: Value<'_>,
    ) -> Parsed<Secret> {
        match self {
            Self::Environment => environment(value),
            Self::File => file(key, section, value),
            Self::Literal => text(value).map(|secret| Secret::new(&secret)),
        }
    }
}

// === reading ===

/// `[listen.component.passwords]`; `None` if it is wrong.
fn read_table(section: &mut Section<'_>) -> Option<BTreeMap<Domain, SecretSet>> {
    let table = section.section(TABLE)?;
    let mut secrets = BTreeMap::new();
    let mut is_right = true;
    for (key, at, value) in table.entries() {
        // No message quotes the key: where the two sides are mixed up, it is the secret.
        let name = Domain::prepare(key).or_else(|error| value.complain(error));
        let secret = one_or_two(value, |value| read_entry(section, value));
        let Some((name, secret)) = section
            .accept(TABLE, name)
            .zip(section.accept(TABLE, secret))
        else {
            is_right = false;
            continue;
        };
        match secrets.entry(name) {
            Entry::Vacant(vacant) => drop(vacant.insert(secret)),
            Entry::Occupied(_) => {
                section.error(at, TABLE, "this name is in the table twice");
                is_right = false;
            }
        }
    }
    is_right.then_some(secrets)
}

/// A secret, `{ file = "PATH" }` or `{ env = "NAME" }`.
fn read_entry(section: &Section<'_>, value: Value<'_>) -> Parsed<Secret> {
    const EXPECTED: &str = "a secret, { file = \"PATH\" } or { env = \"NAME\" }";
    let DeValue::Table(table) = value.get() else {
        return match value.get() {
            DeValue::String(_) => SecretSource::Literal.read_one(TABLE, section, value),
            _ => value.expected(EXPECTED),
        };
    };
    let source = match (table.get("file"), table.get("env"), table.len()) {
        (Some(path), None, 1) => (SecretSource::File, path),
        (None, Some(name), 1) => (SecretSource::Environment, name),
        _ => return value.expected(EXPECTED),
    };
    source.0.read_one(TABLE, section, Value(source.1))
}

/// One secret, or an array of two: the new one and the one before.
fn one_or_two<'a>(
    value: Value<'a>,
    read: impl Fn(Value<'a>) -> Parsed<Secret>,
) -> Parsed<SecretSet> {
    let DeValue::Array(elements) = value.get() else {
        return read(value).map(SecretSet::new);
    };
    let mut elements = elements.iter().map(Value);
    match (elements.next(), elements.next(), elements.next()) {
        (Some(only), None, _) => read(only).map(SecretSet::new),
        (Some(newest), Some(previous), None) => {
            Ok(SecretSet::rotating(read(newest)?, read(previous)?))
        }
        _ => value.complain("expected one, or two while one takes the other's place"),
    }
}

fn environment(value: Value<'_>) -> Parsed<Secret> {
    match std::env::var(string(value)?) {
        Ok(secret) if !secret.is_empty() => Ok(Secret::new(&secret)),
        Ok(_) => value.complain("the environment variable that it names is empty"),
        Err(std::env::VarError::NotPresent) => {
            value.complain("the environment variable that it names is not set")
        }
        Err(std::env::VarError::NotUnicode(_)) => {
            value.complain("the environment variable that it names is not UTF-8")
        }
    }
}

fn file(key: &'static str, section: &Section<'_>, value: Value<'_>) -> Parsed<Secret> {
    let path = section.directory().join(string(value)?);
    let read = secret_file::read(&path).or_else(|error| value.complain(error))?;
    if read.is_open_to_others {
        let message = "everybody on this machine can read or change the file: chmod o-rw";
        section.warn(value.at(), key, message);
    }
    Ok(read.secret)
}
