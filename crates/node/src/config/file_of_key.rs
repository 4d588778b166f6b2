use std::fmt::Display;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::section::Section;
use super::value::{Value, text};

/// More is none of the files that a configuration names, in bytes.
const MAX_LEN: u64 = 64 * 1024 * 1024;

/// A file that the value of a key names. Its contents are never quoted: they may be a secret.
pub(super) struct FileOfKey {
    key: &'static str,
    /// Byte offset of its name.
    at: usize,
    path: PathBuf,
    pub(super) contents: Vec<u8>,
}

// === impl FileOfKey ===

impl FileOfKey {
    /// Reads the file that `key` names, if the key is there. Notes an error if the file is not.
    pub(super) fn read(
        section: &mut Section<'_>,
        key: &'static str,
        inputs: &mut impl Hasher,
    ) -> Option<Self> {
        let at = section.value(key)?.at();
        let name = section.optional(key, text)?;
        Self::open(section, key, at, &name, inputs)
    }

    /// Reads the files that the array `key` names.
    pub(super) fn read_all(
        section: &mut Section<'_>,
        key: &'static str,
        inputs: &mut impl Hasher,
    ) -> Vec<Self> {
        let names = section.list(key, |name: Value<'_>| text(name));
        let names = names.unwrap_or_default().into_iter();
        names
            .filter_map(|(at, name)| Self::open(section, key, at, &name, inputs))
            .collect()
    }

    /// The value of `outcome`, which was made of the contents, or notes its error.
    pub(super) fn accept<T, E: Display>(
        &self,
        section: &Section<'_>,
        outcome: Result<T, E>,
    ) -> Option<T> {
        let note = |error: E| self.error(section, &error);
        outcome.map_err(note).ok()
    }

    /// Notes a warning about the contents.
    pub(super) fn warn(&self, section: &Section<'_>, warning: &str) {
        let message = format!("{}: {warning}", self.path.display());
        section.warn_at_key(self.key, &message);
    }

    fn open(
        section: &Section<'_>,
        key: &'static str,
        at: usize,
        name: &str,
        inputs: &mut impl Hasher,
    ) -> Option<Self> {
        let mut file = Self {
            key,
            at,
            path: section.directory().join(name),
            contents: Vec::new(),
        };
        match read(&file.path) {
            Ok(contents) => {
                (key, &contents).hash(inputs);
                file.contents = contents;
                Some(file)
            }
            Err(error) => {
                file.error(section, &format_args!("the file cannot be read: {error}"));
                None
            }
        }
    }

    fn error(&self, section: &Section<'_>, error: &dyn Display) {
        let message = format!("{}: {error}", self.path.display());
        section.error(self.at, self.key, &message);
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Before it is opened: to open a pipe would wait for its other end.
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    if metadata.len() > MAX_LEN {
        return Err(io::Error::other("it is too large"));
    }
    let mut contents = Vec::new();
    File::open(path)?.take(MAX_LEN).read_to_end(&mut contents)?;
    Ok(contents)
}
