use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use switchyard_listener::{AccessClass, AccessPattern, AccessScope, JidPart, PartTest};
use switchyard_registry::Domain;

use super::problem::Problems;
use super::section::Section;
use super::value::{Parsed, Value, one_of, string};

/// `[acl]`: classes of JIDs, by name (contract L2).
#[derive(Debug)]
pub(crate) struct Acl<'a> {
    classes: BTreeMap<&'a str, Class>,
}

/// A class that a file defines.
#[derive(Debug)]
pub(crate) struct Class {
    /// Who belongs to it.
    pub(crate) class: AccessClass,
    /// One of its patterns has no condition but `current_domain`.
    pub(crate) has_current_domain_alone: bool,
    /// What its regular expressions ask for that there is not here.
    left_out: Vec<LeftOut>,
    /// A rule of a component listener has asked for it.
    is_used: Cell<bool>,
}

/// A regular expression that cannot be used: an error in a class that is.
#[derive(Debug)]
struct LeftOut {
    /// Byte offset of the expression.
    at: usize,
    /// The key, and why.
    reason: String,
}

/// A pattern of a class.
struct Pattern {
    scope: Match,
    tests: Vec<(JidPart, PartTest)>,
    left_out: Vec<LeftOut>,
}

/// What to do about an expression that cannot be used.
const REMEDY: &str = "write it without that, as several patterns, or as a glob";

/// The classes that need no definition.
pub(crate) const BUILT_IN: [&str; 2] = ["all", "none"];

/// What the option `match` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    All,
    AnyHostedDomain,
    CurrentDomain,
    None,
}

/// The conditions on one part of a JID.
struct PartKeys {
    part: JidPart,
    is: &'static str,
    regexp: &'static str,
    glob: &'static str,
}

const PARTS: [PartKeys; 3] = [
    PartKeys {
        part: JidPart::User,
        is: "user",
        regexp: "user_regexp",
        glob: "user_glob",
    },
    PartKeys {
        part: JidPart::Server,
        is: "server",
        regexp: "server_regexp",
        glob: "server_glob",
    },
    PartKeys {
        part: JidPart::Resource,
        is: "resource",
        regexp: "resource_regexp",
        glob: "resource_glob",
    },
];

// === impl Acl ===

impl<'a> Acl<'a> {
    /// Reads the section, if there is one, of a router that serves `hosts` itself.
    pub(crate) fn read(section: Option<Section<'a>>, hosts: &[Domain]) -> Self {
        let hosts: Arc<[Domain]> = hosts.into();
        let mut classes = BTreeMap::new();
        let Some(mut section) = section else {
            return Self { classes };
        };
        for name in section.keys() {
            let patterns = section.sections(name);
            let class = Class::read(patterns, &hosts);
            if BUILT_IN.contains(&name) {
                section.warn_at_key(name, "is built in: what is defined here has no effect");
            } else {
                classes.insert(name, class);
            }
        }
        section.finish();
        Self { classes }
    }

    /// The class called `name`, if the file defines it.
    pub(crate) fn get(&self, name: &str) -> Option<&Class> {
        self.classes.get(name)
    }

    /// Notes as warnings the expressions of the classes that no component listener uses.
    pub(crate) fn warn_of_what_is_left_out(&self, problems: &Problems) {
        let unused = self.classes.values().filter(|class| !class.is_used.get());
        for LeftOut { at, reason } in unused.flat_map(|class| &class.left_out) {
            let message = format!("{reason}; no component listener uses this class");
            problems.warning(Some(*at), message);
        }
    }

    /// Every name that a clause may have.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        BUILT_IN.into_iter().chain(self.classes.keys().copied())
    }
}

// === impl Class ===

impl Class {
    fn read(patterns: Vec<Section<'_>>, hosts: &Arc<[Domain]>) -> Self {
        let mut has_current_domain_alone = false;
        let mut all_left_out = Vec::new();
        let mut class = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            let Pattern {
                scope,
                tests,
                left_out,
            } = Pattern::read(pattern);
            all_left_out.extend(left_out);
            has_current_domain_alone |= scope == Match::CurrentDomain && tests.is_empty();
            class.push(AccessPattern::new(scope.among(hosts), tests));
        }
        Self {
            class: AccessClass::Patterns(class.into()),
            has_current_domain_alone,
            left_out: all_left_out,
            is_used: Cell::new(false),
        }
    }

    /// Notes as errors the expressions of a class that a component listener uses.
    pub(crate) fn refuse_what_is_left_out(&self, problems: &Problems) {
        self.is_used.set(true);
        for LeftOut { at, reason } in &self.left_out {
            let message = format!("{reason}; a component listener uses this class: {REMEDY}");
            problems.error(Some(*at), message);
        }
    }
}

// === impl Pattern ===

impl Pattern {
    fn read(mut section: Section<'_>) -> Self {
        let scope = section.optional("match", one_of(&Match::ALL, Match::name));
        let mut pattern = Self {
            scope: scope.unwrap_or(Match::CurrentDomain),
            tests: Vec::new(),
            left_out: Vec::new(),
        };
        for keys in &PARTS {
            pattern.read_part(&mut section, keys);
        }
        section.finish();
        pattern
    }

    fn read_part(&mut self, section: &mut Section<'_>, keys: &PartKeys) {
        let part = keys.part;
        let is = section.optional(keys.is, |value| {
            said(value, PartTest::is(part, string(value)?))
        });
        let regexp = section.optional(keys.regexp, |value| {
            Ok((value.at(), PartTest::regexp(string(value)?)))
        });
        let glob = section.optional(keys.glob, |value| {
            said(value, PartTest::glob(part, string(value)?))
        });
        let regexp = regexp.and_then(|(at, test)| match test {
            Ok(test) => Some(test),
            Err(error) => {
                let reason = section.about(keys.regexp, &error);
                self.left_out.push(LeftOut { at, reason });
                None
            }
        });
        let tests = [is, regexp, glob].into_iter().flatten();
        self.tests.extend(tests.map(|test| (part, test)));
    }
}

fn said<T>(value: Value<'_>, test: Result<T, impl std::error::Error>) -> Parsed<T> {
    test.or_else(|error| value.complain(error))
}

// === impl Match ===

impl Match {
    const ALL: [Self; 4] = [
        Self::All,
        Self::AnyHostedDomain,
        Self::CurrentDomain,
        Self::None,
    ];

    /// As written in a file.
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::AnyHostedDomain => "any_hosted_domain",
            Self::CurrentDomain => "current_domain",
            Self::None => "none",
        }
    }

    fn among(self, hosts: &Arc<[Domain]>) -> AccessScope {
        match self {
            Self::All | Self::CurrentDomain => AccessScope::All,
            Self::AnyHostedDomain => AccessScope::Hosted(Arc::clone(hosts)),
            Self::None => AccessScope::None,
        }
    }
}
