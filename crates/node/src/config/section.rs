use std::fmt;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problems;
use super::suggestion::suggestion;
use super::value::{Parsed, Value};

/// A table of a configuration file that is being read. Every key must be asked for, one way or
/// another, before [`Self::finish`]: what is left is unknown.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    /// Its key path, such as `listen.component`; empty for the file.
    path: String,
    /// Byte offset of its header; `None` for the file.
    at: Option<usize>,
    table: &'a DeTable<'a>,
    /// Keys asked for.
    known: Vec<&'a str>,
    problems: &'a Problems,
}

impl<'a> Section<'a> {
    /// The file as a whole.
    pub(crate) const fn root(table: &'a DeTable<'a>, problems: &'a Problems) -> Self {
        Self {
            path: String::new(),
            at: None,
            table,
            known: Vec::new(),
            problems,
        }
    }

    /// Its keys, where they name things that the file itself defines.
    pub(crate) fn keys(&self) -> Vec<&'a str> {
        let keys = self.table.iter().map(|(key, _)| key.get_ref());
        keys.map(|key| -> &'a str { key }).collect()
    }

    /// The value of `key`, which is known from here on.
    pub(crate) fn value(&mut self, key: &'a str) -> Option<Value<'a>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.table.get(key).map(Value)
    }

    /// The value of `key`, if it is there and right.
    pub(crate) fn optional<T>(
        &mut self,
        key: &'a str,
        parse: impl FnOnce(Value<'a>) -> Parsed<T>,
    ) -> Option<T> {
        let value = self.value(key)?;
        self.accept(key, parse(value))
    }

    /// The value of `key`, which must be there.
    pub(crate) fn required<T>(
        &mut self,
        key: &'a str,
        parse: impl FnOnce(Value<'a>) -> Parsed<T>,
    ) -> Option<T> {
        self.require(key);
        self.optional(key, parse)
    }

    /// True if there is a `key`.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Notes an error of the section as a whole.
    pub(crate) fn error_here(&self, message: &str) {
        self.problems.error(self.at, message);
    }

    /// Notes an error if there is no `key`.
    pub(crate) fn require(&self, key: &str) {
        if !self.table.contains_key(key) {
            let message = format!("missing key \"{}\"", self.path_of(key));
            self.problems.error(self.at, message);
        }
    }

    /// The elements of the array `key` that are right, with their places; `None` without the key.
    pub(crate) fn list<T>(
        &mut self,
        key: &'a str,
        parse: impl Fn(Value<'a>) -> Parsed<T>,
    ) -> Option<Vec<(usize, T)>> {
        let value = self.value(key)?;
        let DeValue::Array(elements) = value.get() else {
            return self.accept(key, value.expected("an array"));
        };
        let mut list = Vec::with_capacity(elements.len());
        for element in elements.iter() {
            let element = Value(element);
            let parsed = self.accept(key, parse(element));
            list.extend(parsed.map(|parsed| (element.at(), parsed)));
        }
        Some(list)
    }

    /// The array `key`, each element of which may occur once.
    pub(crate) fn set<T: PartialEq>(
        &mut self,
        key: &'a str,
        parse: impl Fn(Value<'a>) -> Parsed<T>,
    ) -> Option<Vec<T>> {
        let mut set = Vec::new();
        for (at, element) in self.list(key, parse)? {
            if set.contains(&element) {
                self.error(at, key, "is in the list twice");
            } else {
                set.push(element);
            }
        }
        Some(set)
    }

    /// The table `key`.
    pub(crate) fn section(&mut self, key: &'a str) -> Option<Self> {
        let value = self.value(key)?;
        match value.get() {
            DeValue::Table(table) => Some(self.child(key, value, table)),
            _ => self.accept(key, value.expected("a table")),
        }
    }

    /// The tables of the array `key`.
    pub(crate) fn sections(&mut self, key: &'a str) -> Vec<Self> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let DeValue::Array(elements) = value.get() else {
            let path = self.path_of(key);
            let what = format!("an array of tables: write [[{path}]] with double brackets");
            self.accept::<()>(key, value.expected(what));
            return Vec::new();
        };
        let element = |element: &'a Spanned<DeValue<'a>>| match element.get_ref() {
            DeValue::Table(table) => Some(self.child(key, Value(element), table)),
            _ => self.accept(key, Value(element).expected("a table")),
        };
        elements.iter().filter_map(element).collect()
    }

    /// All entries, in place of [`Self::finish`], in the order of the file: key, its byte offset,
    /// value. For a table whose keys are names that the operator chooses.
    pub(crate) fn entries(self) -> Vec<(&'a str, usize, Value<'a>)> {
        let entries = self.table.iter();
        let mut entries: Vec<(&str, _, _)> = entries
            .map(|(key, value)| (&**key.get_ref(), key.span().start, Value(value)))
            .collect();
        entries.sort_by_key(|(_, at, _)| *at);
        entries
    }

    /// Where files are looked for that the section refers to.
    pub(crate) fn directory(&self) -> &'a Path {
        self.problems.directory()
    }

    /// Skips the tables and values of `keys` that are there, and says why.
    pub(crate) fn skip(&mut self, keys: &[&'static str], why: &str) {
        for key in keys {
            if self.value(key).is_some() {
                let message = format!("\"{}\" is skipped: {why}", self.path_of(key));
                self.problems.warning(self.place_of(key), message);
            }
        }
    }

    /// Refuses `key` unless it says what happens anyway: a later version will know more.
    pub(crate) fn refuse_unless(
        &mut self,
        key: &'a str,
        harmless: impl FnOnce(&DeValue<'a>) -> bool,
    ) {
        let Some(value) = self.value(key) else { return };
        if !harmless(value.get()) {
            self.error_at_key(key, "is not supported in this version");
        }
    }

    /// Refuses `key`, and says why.
    pub(crate) fn refuse_with(&mut self, key: &'static str, why: &str) {
        if self.value(key).is_some() {
            self.error_at_key(key, why);
        }
    }

    /// Notes an error about the value of `key`.
    pub(crate) fn error_at_key(&self, key: &str, message: &str) {
        let message = format!("\"{}\": {message}", self.path_of(key));
        self.problems.error(self.place_of(key), message);
    }

    /// Notes an error about a part, at byte `at`, of the value of `key`.
    pub(crate) fn error(&self, at: usize, key: &str, message: &str) {
        let message = format!("\"{}\": {message}", self.path_of(key));
        self.problems.error(Some(at), message);
    }

    /// Notes a warning about a part, at byte `at`, of the value of `key`.
    pub(crate) fn warn(&self, at: usize, key: &str, message: &str) {
        let message = format!("\"{}\": {message}", self.path_of(key));
        self.problems.warning(Some(at), message);
    }

    /// Notes a warning about the value of `key`.
    pub(crate) fn warn_at_key(&self, key: &str, message: &str) {
        let message = format!("\"{}\": {message}", self.path_of(key));
        self.problems.warning(self.place_of(key), message);
    }

    /// What is said about the value of `key`.
    pub(crate) fn about(&self, key: &str, message: &impl fmt::Display) -> String {
        format!("\"{}\": {message}", self.path_of(key))
    }

    /// Reports every key that nobody has asked for.
    pub(crate) fn finish(self) {
        for (key, _) in self.table.iter() {
            let name: &str = key.get_ref();
            if !self.known.contains(&name) {
                let nearest = suggestion(name, self.known.iter().copied());
                let message = format!("unknown key \"{}\": {nearest}", self.path_of(name));
                self.problems.error(Some(key.span().start), message);
            }
        }
    }

    /// Byte offset of `key` if it is there, else of the section.
    pub(crate) fn place_of(&self, key: &str) -> Option<usize> {
        let entry = self.table.get_key_value(key);
        entry.map(|(key, _)| key.span().start).or(self.at)
    }

    fn child(&self, key: &str, value: Value<'a>, table: &'a DeTable<'a>) -> Self {
        Self {
            path: self.path_of(key),
            at: Some(value.at()),
            table,
            known: Vec::new(),
            problems: self.problems,
        }
    }

    /// Notes the error of `parsed`, which is the value of `key` or a part of it.
    pub(crate) fn accept<T>(&self, key: &str, parsed: Parsed<T>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(complaint) => {
                self.error(complaint.at, key, &complaint.message);
                None
            }
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            return key.to_owned();
        }
        format!("{}.{key}", self.path)
    }
}
