use std::collections::BTreeMap;

use switchyard_registry::Domain;

use crate::{Component, Secret};

/// The secrets that open one name: one, or two while one takes the other's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSet {
    newest: Secret,
    previous: Option<Secret>,
}

/// Which secrets open which names on one listener.
///
/// A name with an entry of its own is opened by that entry alone; the others by the shared secret,
/// or not at all where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    shared: Option<SecretSet>,
    by_name: BTreeMap<Domain, SecretSet>,
}

/// The secrets that one connection may prove to know. None: nobody can open its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidates([Option<Secret>; SecretSet::MAX]);

// === impl SecretSet ===

impl SecretSet {
    /// Most secrets that are valid for a name at once.
    pub(crate) const MAX: usize = 2;

    /// `secret` alone.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self {
            newest: secret,
            previous: None,
        }
    }

    /// Both, until every component has `newest`.
    #[must_use]
    pub fn rotating(newest: Secret, previous: Secret) -> Self {
        Self {
            newest,
            previous: Some(previous),
        }
    }

    fn contains(&self, secret: &Secret) -> bool {
        self.newest == *secret || self.previous.as_ref() == Some(secret)
    }
}

// === impl Secrets ===

impl Secrets {
    /// `by_name` for the names in it, `shared` for all others.
    #[must_use]
    pub fn new(shared: Option<SecretSet>, by_name: BTreeMap<Domain, SecretSet>) -> Self {
        Self { shared, by_name }
    }

    /// What opens the name of `component` on a router that serves `hosts`.
    ///
    /// A prefix and `prefix.HOST` may be two spellings of one address, so neither is a way around
    /// the entry of the other.
    pub(crate) fn of(&self, component: &Component, hosts: &[Domain]) -> Candidates {
        let name = component.domain.as_str();
        let own = self.by_name.get(name);
        if !component.is_subdomain {
            let entry = own.or_else(|| self.of_prefix(name, hosts));
            return Candidates::new(entry.or(self.shared.as_ref()));
        }
        let mut candidates = Candidates::new(own.or(self.shared.as_ref()));
        for host in hosts {
            if let Some(entry) = self.by_name.get(format!("{name}.{host}").as_str()) {
                candidates.retain(entry);
            }
        }
        candidates
    }

    /// The entry of `prefix` if `name` is `prefix.HOST`.
    fn of_prefix(&self, name: &str, hosts: &[Domain]) -> Option<&SecretSet> {
        hosts.iter().find_map(|host| {
            let prefix = name.strip_suffix(host.as_str())?.strip_suffix('.')?;
            self.by_name.get(prefix)
        })
    }
}

impl From<Secret> for Secrets {
    fn from(secret: Secret) -> Self {
        Self::new(Some(SecretSet::new(secret)), BTreeMap::new())
    }
}

// === impl Candidates ===

impl Candidates {
    fn new(set: Option<&SecretSet>) -> Self {
        Self(match set {
            Some(set) => [Some(set.newest.clone()), set.previous.clone()],
            None => [None, None],
        })
    }

    /// As many as there may be, whether there are or not.
    pub(crate) fn slots(&self) -> [Option<&Secret>; SecretSet::MAX] {
        self.0.each_ref().map(Option::as_ref)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots() == [None, None]
    }

    pub(crate) fn contains(&self, secret: &Secret) -> bool {
        self.slots().contains(&Some(secret))
    }

    /// Leaves those that `set` holds as well.
    fn retain(&mut self, set: &SecretSet) {
        for slot in &mut self.0 {
            *slot = slot.take().filter(|secret| set.contains(secret));
        }
    }
}

#[cfg(test)]
impl From<[Option<Secret>; SecretSet::MAX]> for Candidates {
    fn from(secrets: [Option<Secret>; SecretSet::MAX]) -> Self {
        Self(secrets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(secrets: &str) -> SecretSet {
        match secrets.split_once(' ') {
            Some((newest, previous)) => {
                SecretSet::rotating(Secret::new(newest), Secret::new(previous))
            }
            None => SecretSet::new(Secret::new(secrets)),
        }
    }

    /// The secrets that open `name`; a name in brackets is a prefix.
    fn opening(name: &str, shared: Option<&str>, table: &[(&str, &str)]) -> String {
        let hosts = ["example.org", "other.example"].map(|host| Domain::prepare(host).unwrap());
        let domain = |name| Domain::prepare(name).unwrap();
        let by_name = table
            .iter()
            .map(|(name, secrets)| (domain(name), set(secrets)));
        let secrets = Secrets::new(shared.map(set), by_name.collect());
        let prefix = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'));
        let component = Component {
            domain: domain(prefix.unwrap_or(name)),
            is_subdomain: prefix.is_some(),
            hidden: false,
        };
        let candidates = secrets.of(&component, &hosts);
        let found: Vec<&str> = candidates
            .slots()
            .into_iter()
            .flatten()
            .map(Secret::expose)
            .collect();
        assert_eq!(candidates.is_empty(), found.is_empty());
        found.join(" ")
    }

    #[test]
    fn a_secret_of_one_name_opens_that_name_alone() {
        let table = [("a.example", "alpha"), ("b.example", "beta old")];
        for (name, shared, expected) in [
            ("a.example", Some("common"), "alpha"),
            ("A.Example.", Some("common"), "alpha"),
            ("b.example", Some("common"), "beta old"),
            ("c.example", Some("common"), "common"),
            ("sub.a.example", Some("common"), "common"),
            ("a.example", None, "alpha"),
            ("c.example", None, ""),
        ] {
            assert_eq!(opening(name, shared, &table), expected, "{name}");
        }
    }

    #[test]
    fn neither_a_prefix_nor_the_whole_name_is_a_way_around_the_others_entry() {
        let shared = Some("common");
        for (name, table, expected) in [
            ("[chat]", &[("chat", "alpha")][..], "alpha"),
            ("chat.example.org", &[("chat", "alpha")], "alpha"),
            ("chat.other.example", &[("chat", "alpha")], "alpha"),
            ("chat.third.example", &[("chat", "alpha")], "common"),
            ("[chat]", &[("chat.other.example", "alpha")], ""),
            (
                "[chat]",
                &[("chat.other.example", "alpha common")],
                "common",
            ),
            (
                "chat.example.org",
                &[("chat.other.example", "alpha")],
                "common",
            ),
            (
                "[chat]",
                &[("chat", "new old"), ("chat.example.org", "old")],
                "old",
            ),
            (
                "chat.example.org",
                &[("chat", "new"), ("chat.example.org", "old")],
                "old",
            ),
        ] {
            assert_eq!(opening(name, shared, table), expected, "{name} {table:?}");
        }
    }
}
